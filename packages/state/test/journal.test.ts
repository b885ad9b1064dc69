// What a run remembers of its steps, and what becomes of it when its code does something else.

import { canonicalJson, hashOf, type Json } from "@sentient/schema";
import { describe, expect, test } from "vitest";
import type { Point } from "../src/index.ts";
import { freshState } from "./support/fresh.ts";
import { claimed, codeOf, done, failure, failureOf, held, range, running, storyOf } from "./support/runs.ts";

const inputHashOf = (input: Json) => hashOf(canonicalJson(input));

describe("a journal", () => {
  test("has each step by its key, with what became of it", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    const retryAt = new Date(Date.now() + 5_000);
    const startedAt = new Date(Date.now() - 5_000);
    await state.commit(lease, {
      steps: [
        { ...done("main/add#1", { sum: 3 }), name: "add", inputHash: inputHashOf([1, 2]), startedAt },
        { key: "main/ask#1", name: "ask", status: "failed", error: failure },
        { key: "main/pay#1", name: "pay", status: "started" },
        { key: "main/send#1", name: "send", status: "retrying", error: failure, retryAt },
      ],
    });
    const journal = await state.journal(lease.run.id);
    expect([...journal.keys()].toSorted()).toEqual(["main/add#1", "main/ask#1", "main/pay#1", "main/send#1"]);
    expect(journal.get("main/add#1")).toMatchObject({
      key: "main/add#1",
      name: "add",
      status: "completed",
      result: { sum: 3 },
      inputHash: inputHashOf([1, 2]),
      attempts: 1,
      token: 1,
      n: 3,
      startedAt,
    });
    expect(journal.get("main/ask#1")).toMatchObject({ status: "failed", error: failure });
    expect(journal.get("main/pay#1")).toMatchObject({ status: "started" });
    expect(journal.get("main/send#1")).toMatchObject({ status: "retrying", retryAt });
  });

  test("is as it was after each of the run's events", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    const ns: number[] = [];
    for (const i of range(4)) ns.push((await state.commit(lease, { steps: [done(`s${i}`)] })).n);
    for (const [i, n] of ns.entries())
      expect([...(await state.journal(lease.run.id, { at: { n } })).keys()]).toEqual(
        range(i + 1).map((j) => `s${j}`),
      );
    expect((await state.journal(lease.run.id, { at: { n: 2 } })).size).toBe(0);
  });

  test("is asked for at a position or a checkpoint as well, and not at what is not there", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    const { id } = lease.run;
    const { position } = await state.commit(lease, { steps: [done("a")] });
    await state.commit(lease, { steps: [done("b")], checkpoint: { name: "here" } });
    await state.commit(lease, { steps: [done("c")] });
    const keysAt = async (at: Point) => [...(await state.journal(id, { at })).keys()];
    expect(await keysAt({ position })).toEqual(["a"]);
    expect(await keysAt({ checkpoint: "here" })).toEqual(["a", "b"]);
    expect(await keysAt({})).toEqual(["a", "b", "c"]);
    expect(await codeOf(() => keysAt({ n: 99 }))).toBe("state.position_ahead");
    expect(await codeOf(() => keysAt({ position: 1_000_000 }))).toBe("state.position_ahead");
    expect(await codeOf(() => keysAt({ checkpoint: "there" }))).toBe("state.not_found");
    for (const bad of [2, { n: 0 }, { n: 1, position: 1 }, { m: 1 }, null])
      expect(await codeOf(() => keysAt(bad as never))).toBe("state.bad_option");
  });

  test("of a run that has done nothing is empty, and of none is refused", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    expect((await state.journal(lease)).size).toBe(0);
    expect(await codeOf(() => state.journal("nobody"))).toBe("state.not_found");
  });
});

describe("a step that is remembered", () => {
  const key = "main/charge#1";
  const inputHash = inputHashOf({ cents: 100 });

  async function remembering(more: object = {}) {
    const at = await freshState();
    const lease = await running(at.state);
    await at.state.commit(lease, { steps: [{ ...done(key, { paid: true }), name: "charge", ...more }] });
    await at.state.release(lease);
    const next = await held(at.state, "w2");
    const step = (await at.state.journal(next)).get(key)!;
    return { ...at, lease: next, step };
  }

  test("is passed over by the same one", async () => {
    const { state, lease, step } = await remembering({ inputHash });
    await state.requireSame(lease, step, { name: "charge", inputHash });
    await state.requireSame(lease, step, { name: "charge" });
    expect(lease.over.aborted).toBe(false);
  });

  test("is passed over by one of the same name if it was remembered without its input", async () => {
    const { state, lease, step } = await remembering();
    await state.requireSame(lease, step, { name: "charge", inputHash });
    expect(lease.over.aborted).toBe(false);
  });

  const otherHash = inputHashOf({ cents: 999 });
  test.each<[string, { name: string; inputHash: string }]>([
    ["name", { name: "refund", inputHash }],
    ["input", { name: "charge", inputHash: otherHash }],
  ])("parks the run that comes there with another %s, with both", async (_, attempted) => {
    const { state, bus, lease, step } = await remembering({ inputHash });
    const { id } = lease.run;
    const before = await state.journal(id);
    expect(await failureOf(() => state.requireSame(lease, step, attempted))).toMatchObject({
      code: "state.journal_mismatch",
      retryable: false,
      details: { run: id, key, recorded: { name: "charge", inputHash }, attempted },
    });
    expect(await state.load(id)).toMatchObject({
      status: "parked",
      parkedFor: "journal_mismatch",
      problem: { code: "journal_mismatch", message: expect.stringContaining(key) },
    });
    expect(await state.journal(id)).toEqual(before);
    expect((await storyOf(bus, id)).at(-1)).toBe("run.parked");
    expect(lease.over.aborted).toBe(true);
    expect(await codeOf(() => state.commit(lease, { steps: [done("b")] }))).toBe("state.lease_lost");
    expect(await claimed(state)).toEqual([]);
    await state.resume(id); // the code was put back
    const again = await held(state, "w3");
    await state.requireSame(again, step, { name: "charge", inputHash });
    await state.commit(again, { end: { complete: 1 } });
  });

  test("does not park a run that is another's by now", async () => {
    const { state, lease, step } = await remembering({ inputHash });
    await state.cancel(lease.run.id, { force: true });
    const other = () => state.requireSame(lease, step, { name: "refund" });
    expect(await codeOf(other)).toBe("state.lease_lost");
    expect(await state.load(lease.run.id)).toMatchObject({ status: "cancelled" });
  });
});
