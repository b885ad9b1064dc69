// What whoever takes a run up again is told: its steps, and its state as it was after each; and what was asked of it meanwhile.

import { describe, expect, test } from "vitest";
import { freshState } from "./support/fresh.ts";
import { claimed, done, held, running, started } from "./support/runs.ts";

const WITH_STATE = { state: true };

describe("a replay", () => {
  test("of a run that was never claimed is empty, and has the state it was started with", async () => {
    const { state } = await freshState();
    const plain = await running(state);
    expect(await state.replay(plain)).toMatchObject({ journal: new Map(), first: {} });
    await started(state, { state: { seen: 1 } });
    const { journal, first } = await state.replay(await held(state), WITH_STATE);
    expect([journal.size, first]).toEqual([0, { seen: 1 }]);
  });

  test("has the state as it was after each step, and nothing where it did not change", async () => {
    const { state } = await freshState();
    const lease = await running(state, { state: { at: 0 } });
    await state.commit(lease, { steps: [done("a")], state: { at: 1 } });
    await state.commit(lease, { steps: [done("b")] });
    await state.commit(lease, { steps: [done("c")], state: { at: 3, more: "x".repeat(200) } });
    await state.commit(lease, { end: { release: true }, state: { at: 4 } });
    const { journal, first, stateAfter } = await state.replay(await held(state), WITH_STATE);
    expect([...journal.keys()].toSorted()).toEqual(["a", "b", "c"]);
    expect(first).toEqual({ at: 0 });
    expect(["a", "b", "c"].map((key) => stateAfter(key))).toEqual([
      { at: 1 },
      undefined,
      { at: 3, more: "x".repeat(200) },
    ]);
  });

  test("of a run that is only looked at is the same, also once it is over", async () => {
    const { state } = await freshState();
    const lease = await running(state, { state: { at: 0 } });
    await state.commit(lease, { steps: [done("a")], state: { at: 1 } });
    const { id } = lease.run;
    const requireSeen = async () => {
      const { journal, first, stateAfter } = await state.replay(id, WITH_STATE);
      expect([[...journal.keys()], first, stateAfter("a")]).toEqual([["a"], { at: 0 }, { at: 1 }]);
      expect((await state.replay(id)).journal.size).toBe(1);
    };
    await requireSeen();
    await state.commit(lease, { end: { complete: null } });
    await requireSeen();
    await expect(state.replay("r-unknown")).rejects.toMatchObject({ code: "state.not_found" });
  });

  test("never goes back in time where steps are replayed in another order", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    await state.commit(lease, { steps: [done("a")], state: { at: 1 } });
    await state.commit(lease, { steps: [done("b")], state: { at: 2 } });
    await state.release(lease);
    const { stateAfter } = await state.replay(await held(state), WITH_STATE);
    expect([stateAfter("b"), stateAfter("a"), stateAfter("b")]).toEqual([{ at: 2 }, undefined, undefined]);
  });

  test("of a fork has what its parent did, and what was edited once all of that is replayed", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    await state.commit(lease, { steps: [done("a")], state: { at: 1 } });
    const { n } = await state.commit(lease, { steps: [done("b")], state: { at: 2 } });
    await state.commit(lease, { steps: [done("c")], state: { at: 3 } });
    await state.commit(lease, { end: { complete: null } });
    await state.fork(lease.run.id, { n, state: { at: 20 } });
    const fork = await held(state);
    await state.commit(fork, { steps: [done("d")], state: { at: 40 } });
    await state.release(fork);
    const { journal, stateAfter } = await state.replay(await held(state), WITH_STATE);
    expect([...journal.keys()].toSorted()).toEqual(["a", "b", "d"]);
    expect(["a", "b", "d"].map((key) => stateAfter(key))).toEqual([{ at: 1 }, { at: 20 }, { at: 40 }]);
  });

  test("of a fork that was told to remember something else has the state that its parent had there", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    await state.commit(lease, { steps: [done("a")], state: { at: 1 } });
    const { n } = await state.commit(lease, { steps: [done("b")], state: { at: 2 } });
    await state.commit(lease, { end: { complete: null } });
    await state.fork(lease.run.id, { n, state: { at: 20 }, steps: { a: "other", c: "new" } });
    const { journal, stateAfter, inherited, origin } = await state.replay(await held(state), WITH_STATE);
    expect([...journal.keys()]).toEqual(["a", "b", "c"]); // where its parent has it
    expect(journal.get("a")).toMatchObject({ result: "other" });
    expect(["a", "b", "c"].map((key) => stateAfter(key))).toEqual([{ at: 1 }, { at: 20 }, undefined]);
    expect([...inherited]).toEqual(["a", "b"]);
    expect(origin.run).toBe(lease.run.id);
  });

  test("is in the order in which it was remembered, and of what has no outcome there is no state", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    await state.commit(lease, { steps: [{ key: "z", name: "z", status: "started" }], state: { at: 1 } });
    await state.commit(lease, { steps: [done("y")], state: { at: 2 } });
    await state.commit(lease, { steps: [{ key: "x", name: "x", status: "started" }], state: { at: 3 } });
    await state.commit(lease, { steps: [{ ...done("z"), attempts: 2 }], state: { at: 4 } });
    await state.release(lease);
    const { journal, stateAfter, skip } = await state.replay(await held(state), WITH_STATE);
    expect([...journal.keys()]).toEqual(["y", "x", "z"]);
    expect([stateAfter("y"), stateAfter("x"), skip("x"), stateAfter("z")]).toEqual([
      { at: 2 },
      undefined,
      undefined,
      { at: 4 },
    ]);
  });

  test("of a run that was put back has what counts, and nothing of what was done since", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    const { n } = await state.commit(lease, { steps: [done("a")], state: { at: 1 } });
    await state.commit(lease, { steps: [done("b")], state: { at: 2 } });
    await state.release(lease);
    await state.restore(lease.run.id, { n });
    const { journal, stateAfter } = await state.replay(await held(state), WITH_STATE);
    expect([[...journal.keys()], stateAfter("a"), stateAfter("b")]).toEqual([["a"], { at: 1 }, undefined]);
  });
});

describe("what was asked of runs", () => {
  test("is told of those that are held, and of no others", async () => {
    const { state } = await freshState();
    for (const id of ["one", "two", "three"]) await started(state, { id });
    const leases = await claimed(state, "w1", { max: 3 });
    expect(await state.asked(leases)).toEqual([]);
    await state.cancel("one", { by: "ada", reason: "enough" });
    await state.pause("two", { by: "bob" });
    await state.cancel("three", { force: true });
    const asked = await state.asked(leases);
    expect(asked.map(({ lease, asked: { what, by } }) => `${lease.run.id} ${what} ${by}`).toSorted()).toEqual(
      ["one cancel ada", "two pause bob"],
    );
    expect(await state.asked([])).toEqual([]);
  });
});
