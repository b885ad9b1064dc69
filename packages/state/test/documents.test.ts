import { surql } from "@sentient/db-pool";
import { canonicalJson, type Json } from "@sentient/schema";
import { sabotage } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { freshState, type Fresh } from "./support/fresh.ts";
import { started } from "./support/histories.ts";

describe("the state of a run", () => {
  test("is an empty object until one was written", async () => {
    const fresh = await freshState();
    const { run } = await fresh.state.start({ name: "write" });
    expect(await fresh.state.stateAt(run.id)).toEqual({});
    expect(await fresh.state.stateAt(run.id, { n: 1 })).toEqual({});
  });

  test("is told as it was after each event, and at each position of the log", async () => {
    const fresh = await freshState();
    const lease = await started(fresh);
    const { id } = lease.run;
    const first = await fresh.state.commit(lease, { state: { seen: 1 } });
    const other = await fresh.bus.publish({ type: "other.told" });
    await fresh.state.commit(lease, { state: { seen: 2 } });
    expect(await fresh.state.stateAt(id, { n: first.n - 1 })).toEqual({});
    expect(await fresh.state.stateAt(id, { n: first.n })).toEqual({ seen: 1 });
    expect(await fresh.state.stateAt(id, { position: other })).toEqual({ seen: 1 });
    expect(await fresh.state.stateAt(id)).toEqual({ seen: 2 });
  });

  test("is not told of a point that is not there yet, or was not yet", async () => {
    const { state, bus } = await freshState();
    const before = await bus.publish({ type: "other.told" });
    const { run } = await state.start({ name: "write" });
    await expect(state.stateAt(run.id, { n: 2 })).rejects.toMatchObject({
      code: "state.position_ahead",
      details: { run: run.id, n: 2, last: 1 },
    });
    await expect(state.stateAt(run.id, { position: before + 2 })).rejects.toMatchObject({
      code: "state.position_ahead",
      details: { head: before + 1 },
    });
    await expect(state.stateAt(run.id, { position: before })).rejects.toMatchObject({
      code: "state.not_found",
    });
    await expect(state.stateAt("nobody")).rejects.toMatchObject({ code: "state.not_found" });
    await expect(state.stateAt(run.id, { n: 1, position: 1 })).rejects.toMatchObject({
      code: "state.bad_option",
    });
  });

  test("is still told by n when the events were trimmed, and by position as far as it is known where they stood", async () => {
    const fresh = await freshState();
    const { state, bus } = fresh;
    const lease = await started(fresh);
    const { id } = lease.run;
    const first = await state.commit(lease, { state: { seen: 1 } });
    const second = await state.commit(lease, { state: { seen: 2 } });
    await bus.trim({ before: second.position, force: true });
    expect(await state.stateAt(id, { n: first.n })).toEqual({ seen: 1 });
    expect(await state.stateAt(id, { position: second.position })).toEqual({ seen: 2 });
    await expect(state.stateAt(id, { position: 1 })).rejects.toMatchObject({ code: "state.details_removed" });
  });

  test("may be any JSON, whole or patched, however large", async () => {
    const fresh = await freshState();
    const lease = await started(fresh);
    const pad = "x".repeat(500);
    const states: Json[] = [
      null,
      17,
      "text",
      [pad, 1, 2],
      [pad, 2],
      { pad, a: { "": 1, "a/b": 2, "a~b": 3 } },
      { pad, a: { "": 2, "a/b": [], "a~b": {} } },
      { pad, constructor: { prototype: { deep: 1 } } },
      { pad, constructor: { prototype: { deep: 2 } } },
      { pad, "0": "zero", hasOwnProperty: 1, toJSON: 2 },
      { large: "y".repeat(100_000), a: 1 },
      { large: "y".repeat(100_000), a: 2 },
      {},
    ];
    const places: number[] = [];
    for (const state of states) places.push((await fresh.state.commit(lease, { state })).n);
    const read = await Promise.all(places.map((n) => fresh.state.stateAt(lease.run.id, { n })));
    expect(read).toEqual(states);
  });

  test("is refused if what was written has changed since", async () => {
    const fresh = await freshState();
    const lease = await started(fresh);
    const pad = "x".repeat(500);
    await fresh.state.commit(lease, { state: { pad, seen: 1 } });
    const { n } = await fresh.state.commit(lease, { state: { pad, seen: 2 } });
    const { n: next } = await fresh.state.commit(lease, { state: { pad, seen: 3 } });
    await fresh.db.query(
      surql`UPDATE patch SET ops = ${'[{"op":"replace","path":"/seen","value":7}]'} WHERE record::id(id)[1] = ${n}`,
    );
    await expect(fresh.state.stateAt(lease.run.id, { n })).rejects.toMatchObject({ code: "state.damaged" });
    expect(await fresh.state.stateAt(lease.run.id, { n: next })).toEqual({ pad, seen: 3 });
    await fresh.db.query(surql`DELETE patch WHERE kind = "snapshot"`);
    await expect(fresh.state.stateAt(lease.run.id)).rejects.toMatchObject({ code: "state.details_removed" });
  });
});

/** Bytes of text that the rows of a run's state hold. */
async function bytesKept({ db }: Fresh): Promise<number> {
  const rows = await db.query(surql<string[]>`SELECT VALUE (ops ?? "") + (state ?? "") + hash FROM patch`);
  return rows.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}

const CHECKPOINTS = 200;
const fields = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`field${i}`, "x".repeat(86)]));

describe("200 checkpoints of a state of 20 KB", () => {
  const snapshot = Buffer.byteLength(canonicalJson(fields));

  async function bytesOf(stateOf: (i: number) => Json): Promise<number> {
    const fresh = await freshState();
    const lease = await started(fresh);
    for (let i = 0; i < CHECKPOINTS; i++)
      await fresh.state.commit(lease, { state: stateOf(i), checkpoint: { name: `c${i}` } });
    expect(await fresh.state.stateAt(lease.run.id, { checkpoint: "c150" })).toEqual(stateOf(150));
    return bytesKept(fresh);
  }

  test("that changes a little cost at most four snapshots of it, and one that changes as a whole costs them all", async () => {
    const done = (i: number) =>
      Object.fromEntries(Array.from({ length: i + 1 }, (_, k) => [`field${k}`, `changed ${k}`]));
    const little = await bytesOf((i) => ({ ...fields, ...done(i), done: i }));
    expect(little / snapshot).toBeLessThanOrEqual(4);
    const whole = await bytesOf((i) =>
      Object.fromEntries(Object.keys(fields).map((key) => [key, `${i}`.padEnd(86, "x")])),
    );
    expect(whole / snapshot).toBeGreaterThan(150);
  });
});

describe("50 writers on one state", () => {
  test("who share a lease lose nothing, and each of their states is told", async () => {
    const fresh = await freshState();
    const lease = await started(fresh);
    const list: number[] = [];
    const commits = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        list.push(i);
        const state = { list: [...list] };
        return { ...(await fresh.state.commit(lease, { state })), state };
      }),
    );
    expect(await fresh.state.stateAt(lease.run.id)).toEqual({ list });
    for (const { n, state } of commits) expect(await fresh.state.stateAt(lease.run.id, { n })).toEqual(state);
  });

  test("who change it from outside lose nothing: whoever saw an older revision is told the one it has now", async () => {
    const { state } = await freshState();
    const { run } = await state.workflows.create({ id: "order", name: "write", state: { items: [] } });
    let refused = 0;
    const add = async (i: number): Promise<void> => {
      for (;;) {
        const { revision } = (await state.workflows.get(run.id)).run;
        const patch = [{ op: "add", path: "/items/-", value: i }];
        try {
          return void (await state.workflows.update(run.id, { revision, patch }));
        } catch (error) {
          expect(error).toMatchObject({ code: "state.revision_mismatch", details: { expected: revision } });
          refused++;
        }
      }
    };
    const wanted = Array.from({ length: 50 }, (_, i) => i);
    const writers = Array.from({ length: 5 }, (_, writer) => wanted.slice(writer * 10, writer * 10 + 10));
    await Promise.all(
      writers.map(async (items) => {
        for (const item of items) await add(item);
      }),
    );
    expect(refused).toBeGreaterThan(0);
    const { items } = (await state.stateAt(run.id)) as { items: number[] };
    expect(items.toSorted((a, b) => a - b)).toEqual(wanted);
  });

  test("control: who do not take turns write patches of a state that is another by then", async () => {
    const fresh = await freshState();
    const lease = await started(fresh);
    const pad = "x".repeat(4_000);
    await fresh.state.commit(lease, { state: { pad, list: [] } });
    Object.defineProperty(lease, "turn", { get: () => Promise.resolve(), set: () => {} });
    await sabotage("writers without turns", async () => {
      const list: number[] = [];
      await Promise.all(
        Array.from({ length: 50 }, (_, i) => {
          list.push(i);
          return fresh.state.commit(lease, { state: { pad, list: [...list] } });
        }),
      );
      expect(await fresh.state.stateAt(lease.run.id)).toEqual({ pad, list });
    });
  });
});
