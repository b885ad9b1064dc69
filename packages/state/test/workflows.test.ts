import { surql } from "@sentient/db-pool";
import { RUN_STATUSES, type Json } from "@sentient/schema";
import { sabotage, VirtualClock } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { apply, type State, type WorkflowUpdate, type Workflow } from "../src/index.ts";
import { freshState, stateOn } from "./support/fresh.ts";
import { INJECTIONS } from "./support/injections.ts";
import { claimed, codeOf, done, failureOf, range, running, storyOf } from "./support/runs.ts";
import { tamperedState, without } from "./support/tampered.ts";

const id = "order-17";
const serves = [{ name: "order", versions: ["1"] }];

function order(state: State, first: Json = { items: [] }): Promise<Workflow & { existed: boolean }> {
  return state.workflows.create({ id, name: "order", input: { customer: 7 }, state: first, tags: ["new"] });
}

async function leaseOf(state: State) {
  const [lease] = await state.claim({ worker: "w-1", serves });
  return lease!;
}

/** What a careful writer does: read, change, and again if somebody was faster. */
async function addItem(state: State, item: Json): Promise<void> {
  for (;;) {
    const { run } = await state.workflows.get(id);
    const patch = [{ op: "add", path: "/items/-", value: item }];
    try {
      await state.workflows.update(id, { revision: run.revision, patch });
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== "state.revision_mismatch") throw error;
    }
  }
}

describe("a workflow that is changed from outside", () => {
  test("has the state it was created with, and then the one it was given, whole or as a patch", async () => {
    const { state } = await freshState();
    const created = await order(state);
    expect(created).toMatchObject({
      existed: false,
      run: { id, kind: "workflow", revision: 1, tags: ["new"] },
      state: { items: [] },
    });
    const one = await state.workflows.update(id, {
      revision: 1,
      patch: [{ op: "add", path: "/items/-", value: "tea" }],
      by: "ada",
    });
    expect(one).toMatchObject({ run: { revision: 2 }, state: { items: ["tea"] } });
    const two = await state.workflows.update(id, {
      revision: 2,
      state: { items: [], note: "empty" },
      tags: ["old"],
    });
    expect(two).toMatchObject({
      run: { revision: 3, tags: ["old"], status: "queued" },
      state: { items: [], note: "empty" },
    });
    expect(await state.workflows.get(id)).toEqual(two);
    const { events } = await state.workflows.history(id);
    expect(events).toMatchObject([
      { type: "run.queued" },
      { type: "state.changed", data: { by: "ada" } },
      { type: "state.changed" },
    ]);
    const lease = await leaseOf(state);
    await state.commit(lease, { state: { items: ["by its worker"] }, end: { complete: 1 } });
    expect((await state.workflows.get(id)).state).toEqual({ items: ["by its worker"] });
  });

  test("keeps a large state too, and changes nothing for what is the same", async () => {
    const { state, bus } = await freshState();
    const large = { text: "x".repeat(200_000) };
    expect((await order(state, large)).state).toEqual(large);
    const larger = { text: "y".repeat(300_000) };
    await state.workflows.update(id, { revision: 1, state: larger });
    const same = await state.workflows.update(id, { revision: 2, state: larger, tags: ["new"] });
    expect(same).toMatchObject({ run: { revision: 2 }, state: larger });
    expect(await storyOf(bus, id)).toEqual(["run.queued", "state.changed"]);
    expect(
      await codeOf(() => state.workflows.update(id, { revision: 2, state: { text: "z".repeat(2 ** 20) } })),
    ).toBe("schema.limit");
  });

  test("refuses a patch that does not fit, and changes nothing then", async () => {
    const { state } = await freshState();
    await order(state);
    for (const patch of [
      [{ op: "test", path: "/items", value: ["tea"] }],
      [{ op: "replace", path: "/nothing/here", value: 1 }],
      [{ op: "explode", path: "/items" }],
      [{ op: "add", path: "/__proto__/polluted", value: true }],
      ["nonsense"],
    ])
      expect(
        await codeOf(() => state.workflows.update(id, { revision: 1, patch })),
        JSON.stringify(patch),
      ).toBe("state.bad_change");
    expect(await codeOf(() => state.workflows.update(id, { revision: 1, patch: [], state: {} }))).toBe(
      "state.bad_option",
    );
    expect(await codeOf(() => state.workflows.update(id, { revision: 1, state: NaN }))).toBe(
      "state.bad_option",
    );
    expect(await state.workflows.get(id)).toMatchObject({ run: { revision: 1 }, state: { items: [] } });
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test("wakes nobody and loses no wait: one that waits goes on waiting", async () => {
    const { state } = await freshState();
    await order(state);
    await state.commit(await leaseOf(state), {
      end: { wait: [{ for: "signal", at: "go#1", name: "go" }] },
    });
    const { run } = await state.workflows.get(id);
    const after = await state.workflows.update(id, { revision: run.revision, state: { items: [1] } });
    expect(after.run).toMatchObject({
      status: "waiting",
      waitingFor: [{ for: "signal", name: "go" }],
      revision: run.revision + 1,
    });
    await state.signal(id, "go");
    expect((await state.workflows.get(id)).run.status).toBe("queued");
  });

  /** Somebody commits between the reading and the writing of somebody else. */
  async function expectNothingOverwritten(drop: string) {
    const { state, db, bus } = await freshState();
    await order(state);
    let first = true;
    const late = tamperedState(db, bus, async (entry) => {
      if (first)
        await state.workflows.update(id, {
          revision: 1,
          patch: [{ op: "add", path: "/items/-", value: "tea" }],
        });
      first = false;
      return without(entry, drop);
    });
    const failure = await failureOf(() =>
      late.workflows.update(id, { revision: 1, state: { items: ["coffee"] } }),
    );
    expect(failure).toMatchObject({ code: "state.revision_mismatch", details: { expected: 1, revision: 2 } });
    expect((await state.workflows.get(id)).state).toEqual({ items: ["tea"] });
  }

  test("is not changed by who has seen an older one, up to the last moment", () =>
    expectNothingOverwritten("no such text"));

  test("control: without its condition the other's change would be lost", async () => {
    await sabotage("the run is saved whatever its revision", () => expectNothingOverwritten("CONTENT"));
  });

  test("loses none of the changes of 50 writers in two processes", async () => {
    const { state, db } = await freshState();
    const other = await stateOn(db);
    await order(state);
    await Promise.all(range(50).map((i) => addItem(i % 2 ? state : other.state, i)));
    const { run, state: after } = await state.workflows.get(id);
    const { items } = after as { items: number[] };
    expect(items.toSorted((a, b) => a - b)).toEqual(range(50));
    expect(run.revision).toBe(51);
    const events = (await state.history(id)).events.filter(({ type }) => type === "state.changed");
    expect(events).toHaveLength(50);
  });

  test("control: writers that do not say what they have seen lose some", async () => {
    const { state } = await freshState();
    await order(state);
    await sabotage("the newest revision is taken for the one that was seen", async () => {
      await Promise.all(
        range(10).map(async (i) => {
          const { state: seen } = await state.workflows.get(id);
          const { items } = seen as { items: number[] };
          for (let isDone = false; !isDone;) {
            const { run } = await state.workflows.get(id);
            const next = { revision: run.revision, state: { items: [...items, i] } };
            isDone = await state.workflows.update(id, next).then(
              () => true,
              () => false,
            );
          }
        }),
      );
      expect(((await state.workflows.get(id)).state as { items: number[] }).items).toHaveLength(10);
    });
  });
});

describe("where the first sketch lost data, or let it be lost", () => {
  test("51: there is one list of statuses, and it has cancelled, waiting and parked", async () => {
    expect(RUN_STATUSES).toEqual([
      "queued",
      "running",
      "waiting",
      "paused",
      "parked",
      "completed",
      "failed",
      "cancelled",
    ]);
    const { state } = await freshState();
    await order(state);
    expect((await state.cancel(id, { reason: "no need" })).status).toBe("cancelled");
    expect((await state.workflows.get(id)).run.status).toBe("cancelled");
  });

  test("52: what was created under an id is found, changed and listed under that id", async () => {
    const { state, db } = await freshState();
    await order(state);
    await state.workflows.update(id, { revision: 1, state: { items: [1] } });
    expect((await state.workflows.get(id)).state).toEqual({ items: [1] });
    expect((await state.list()).runs.map((run) => run.id)).toEqual([id]);
    expect(await db.query(surql`SELECT VALUE record::id(id) FROM run`)).toEqual([id]); // and there is no second record
  });

  test("53: an id is data: a UUID with its hyphens is one, and a text that would do harm is none", async () => {
    const { state, db } = await freshState();
    await db.query(surql`CREATE canary:1 SET alive = true`);
    const uuid = "6f1c2d3e-4a5b-4c6d-8e7f-901234567890";
    await state.workflows.create({ id: uuid, name: "order" });
    expect((await state.workflows.get(uuid)).run.id).toBe(uuid);
    for (const text of INJECTIONS) {
      expect(await codeOf(() => state.workflows.create({ id: text, name: "order" }))).toBe(
        "state.bad_option",
      );
      expect(await codeOf(() => state.workflows.get(text))).toBe("state.not_found");
      expect(await codeOf(() => state.workflows.update(text, { revision: 1, state: {} }))).toBe(
        "state.not_found",
      );
      expect(await codeOf(() => state.workflows.addHistory(text, { type: "thing.noted" }))).toBe(
        "state.not_found",
      );
    }
    const state17 = Object.fromEntries(INJECTIONS.map((text, i) => [`k${i}`, text]));
    await state.workflows.create({ id, name: "order", state: state17, tags: [...INJECTIONS] });
    expect(await state.workflows.get(id)).toMatchObject({ state: state17, run: { tags: [...INJECTIONS] } });
    expect(await db.query(surql`SELECT VALUE alive FROM canary`)).toEqual([true]);
  });

  test("54: nobody sets what is the runtime's to set", async () => {
    const { state } = await freshState();
    for (const field of [
      "status",
      "createdAt",
      "updatedAt",
      "startedAt",
      "revision",
      "token",
      "attempts",
      "lease",
      "kind",
      "seek",
      "root",
    ]) {
      const mine = { id, name: "order", [field]: "running" };
      expect(await codeOf(() => state.workflows.create(mine as never)), field).toBe("state.bad_option");
    }
    await order(state);
    for (const field of ["status", "id", "name", "createdAt", "token", "output", "endedAt", "workflow_id"]) {
      const mine = { revision: 1, state: {}, [field]: "completed" };
      expect(await codeOf(() => state.workflows.update(id, mine as never)), field).toBe("state.bad_option");
    }
    expect((await state.workflows.get(id)).run).toMatchObject({ status: "queued", revision: 1 });
  });

  test("55: an update says what it has seen, and neither revives what is over nor disturbs who is at work", async () => {
    const { state } = await freshState();
    await order(state);
    expect(await codeOf(() => state.workflows.update(id, { state: {} } as WorkflowUpdate))).toBe(
      "state.bad_option",
    );
    await state.workflows.update(id, { revision: 1, state: { items: [1] } });
    const stale = await failureOf(() => state.workflows.update(id, { revision: 1, state: { items: [2] } }));
    expect(stale).toMatchObject({
      code: "state.revision_mismatch",
      details: { run: id, expected: 1, revision: 2 },
    });
    const lease = await leaseOf(state);
    const busy = await failureOf(() =>
      state.workflows.update(id, { revision: lease.run.revision, state: {} }),
    );
    expect(busy).toMatchObject({
      code: "state.illegal_transition",
      message: expect.stringContaining("pause it first") as string,
    });
    await state.commit(lease, { end: { complete: { ok: true } } });
    const { run } = await state.workflows.get(id);
    for (const revision of [run.revision, 1]) {
      const over = await failureOf(() => state.workflows.update(id, { revision, state: {} }));
      expect(over).toMatchObject({
        code: "state.illegal_transition",
        message: expect.stringContaining("fork") as string,
      });
    }
    expect(await state.workflows.get(id)).toMatchObject({
      run: { status: "completed", output: { ok: true } },
      state: { items: [1] },
    });
  });

  test("56: what one hands over stays as it was, and the time is the database's", async () => {
    const clock = new VirtualClock(Date.UTC(2031, 4, 5));
    const { state } = await freshState({ clock });
    const created = Object.freeze({ id, name: "order", state: Object.freeze({ items: Object.freeze([]) }) });
    const { run } = await state.workflows.create(created);
    const options = {
      revision: run.revision,
      patch: [{ op: "add", path: "/items/-", value: { deep: [1] } }],
    };
    const copy = structuredClone(options);
    await clock.advance(1_000);
    const after = await state.workflows.update(id, options);
    expect(options).toEqual(copy);
    expect(after.run.updatedAt).toEqual(new Date(Date.UTC(2031, 4, 5, 0, 0, 1)));
    (after.state as { items: { deep: number[] }[] }).items[0]!.deep.push(2);
    expect(options).toEqual(copy);
    expect((await state.workflows.get(id)).state).toEqual({ items: [{ deep: [1] }] });
  });

  test("57: what is not there is said not to be there, by every verb", async () => {
    const { state } = await freshState();
    const verbs: (() => Promise<unknown>)[] = [
      () => state.workflows.get(id),
      () => state.workflows.update(id, { revision: 1, state: {} }),
      () => state.workflows.history(id),
      () => state.workflows.addHistory(id, { type: "thing.noted" }),
      () => state.load(id),
      () => state.pause(id),
      () => state.resume(id),
      () => state.cancel(id),
      () => state.signal(id, "go"),
      () => state.questions.get(id, "ok#1"),
    ];
    for (const verb of verbs) expect(await codeOf(verb), verb.toString()).toBe("state.not_found");
  });

  test("58: who creates it again, after a restart say, has the one that is there; another one is refused", async () => {
    const { state, bus } = await freshState();
    await order(state);
    await state.workflows.update(id, { revision: 1, state: { items: ["tea"] } });
    const again = await Promise.all(range(8).map(() => order(state)));
    for (const each of again)
      expect(each).toMatchObject({ existed: true, run: { id, revision: 2 }, state: { items: ["tea"] } });
    expect(await storyOf(bus, id)).toEqual(["run.queued", "state.changed"]);
    for (const other of [{ input: 8 }, { name: "other" }, { state: { items: [1] } }])
      expect(
        await codeOf(() =>
          state.workflows.create({
            id,
            name: "order",
            input: { customer: 7 },
            state: { items: [] },
            ...other,
          }),
        ),
      ).toBe("state.run_conflict");
  });

  test("59 and 60: checkpoints made at once are all there, each with what it takes to come back to it", async () => {
    const { state, db } = await freshState();
    const lease = await running(state);
    await Promise.all(
      range(10).map((i) =>
        state.commit(lease, { checkpoint: { name: `at-${i}` }, state: { i }, steps: [done(`step#${i}`)] }),
      ),
    );
    const rows = await db.query(surql<object[]>`SELECT * FROM checkpoint`);
    expect(rows).toHaveLength(10);
    for (const row of rows)
      expect(row).toMatchObject({
        n: expect.any(Number) as number,
        position: expect.any(Number) as number,
        stateHash: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
        steps: expect.any(Number) as number,
        attempt: 1,
        token: lease.token,
        version: "1",
        createdAt: expect.any(Date) as Date,
      });
    expect(await codeOf(() => state.commit(lease, { checkpoint: { name: "at-1" } }))).toBe(
      "state.checkpoint_exists",
    );
  });

  test("61: nothing is put back to running: a restore queues, for whoever claims it, and what is over stays so", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    const at = new Date();
    const event = { type: "run.restored" as const, to: 1, n: 3, at };
    expect(() => apply(lease.run, event)).toThrow(/cannot happen/);
    const paused = apply(lease.run, { type: "run.paused", by: "ada", at });
    expect(apply(paused, event)).toMatchObject({ status: "queued", restores: [{ to: 1, at: 3 }] });
    for (const end of [
      { type: "run.completed", output: 1, at } as const,
      { type: "run.cancelled", at } as const,
    ])
      expect(() => apply(apply(lease.run, end), event)).toThrow(/what is over stays so/);
  });

  test("62: entries added at once are all in the history, in one order, also of a run that is over", async () => {
    const { state, db } = await freshState();
    const other = await stateOn(db);
    await order(state);
    const add = (from: State, i: number) =>
      from.workflows.addHistory(id, { type: "review.noted", data: { i }, source: "ada" });
    const placed = await Promise.all(range(100).map((i) => add(i % 2 ? state : other.state, i)));
    expect(placed.map(({ n }) => n).toSorted((a, b) => a - b)).toEqual(range(100, 2));
    await state.cancel(id);
    const last = await add(state, 100);
    expect(last.n).toBe(103);
    const { events } = await state.workflows.history(id, { limit: 200 });
    const entries = events.filter(({ type }) => type === "review.noted");
    expect(entries.map(({ data }) => (data as { i: number }).i).toSorted((a, b) => a - b)).toEqual(
      range(101),
    );
    for (const [i, { n, position }] of placed.entries())
      expect(entries.find((entry) => entry.n === n)).toMatchObject({
        position,
        data: { i },
        source: "ada",
        workflow: "order",
      });
    expect((await state.load(id)).status).toBe("cancelled");
  });

  test("62: an entry is added once under its id, and none poses as the runtime's own", async () => {
    const { state, bus } = await freshState();
    await order(state);
    const entry = { type: "review.noted", data: { stars: 5 }, id: "review-1" };
    const first = await state.workflows.addHistory(id, entry);
    expect(await state.workflows.addHistory(id, entry)).toEqual(first);
    expect(await codeOf(() => state.workflows.addHistory(id, { ...entry, data: 4 }))).toBe(
      "event_bus.event_conflict",
    );
    for (const type of ["run.completed", "question.answered", "state.changed"])
      expect(await codeOf(() => state.workflows.addHistory(id, { type }))).toBe("state.bad_option");
    expect(await codeOf(() => state.workflows.addHistory(id, { type: "Not a type" }))).toBe(
      "event_bus.invalid_event",
    );
    expect(
      await codeOf(() => state.workflows.addHistory(id, { type: "a.noted", timestamp: 1 } as never)),
    ).toBe("state.bad_option");
    expect(await storyOf(bus, id)).toEqual(["run.queued", "review.noted"]);
  });

  test("63: a run whose worker is not heard of any more goes on with the next one", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    const dead = await running(state);
    await state.commit(dead, { steps: [done("a#1")], state: { at: "a" } });
    expect(await claimed(state, "w2")).toEqual([]);
    await clock.advance(16_000);
    const [next] = await claimed(state, "w2");
    expect((await state.journal(next!)).get("a#1")).toMatchObject({ result: "a#1" });
    expect(await codeOf(() => state.commit(dead, { state: { at: "zombie" } }))).toBe("state.lease_lost");
    expect((await state.workflows.get(dead.run.id)).state).toEqual({ at: "a" });
  });
});
