import { describe, expect, test } from "vitest";
import { freshState } from "./support/fresh.ts";
import { parent } from "./support/histories.ts";

describe("a diff", () => {
  test("of two points of a run tells of its state and steps", async () => {
    const fresh = await freshState();
    const { id, points } = await parent(fresh);
    const { state, input, steps } = await fresh.state.diff({ run: id, n: points[0]! }, id);
    expect(state).toEqual([{ op: "replace", path: "/i", value: 2 }]);
    expect(input).toEqual([]);
    expect(steps.onlyA).toEqual([]);
    expect(steps.onlyB.map(({ key }) => key)).toEqual(["main/fetch#1", "main/send#1"]);
    expect(steps.changed).toEqual([]);
    await expect(fresh.state.diff(id, { run: id, n: 99 })).rejects.toMatchObject({
      code: "state.position_ahead",
    });
  });

  test("of a run and its fork tells of what was edited and what became of it", async () => {
    const fresh = await freshState();
    const { id } = await parent(fresh);
    const fork = await fresh.state.fork(id, {
      checkpoint: "fetched",
      input: { q: 1, deep: true },
      steps: { "main/plan#1": "edited" },
    });
    const { state, input, steps } = await fresh.state.diff(fork.run.id, id);
    expect(state).toEqual([{ op: "replace", path: "/i", value: 2 }]);
    expect(input).toEqual([{ op: "remove", path: "/deep" }]);
    expect(steps.onlyA).toEqual([]);
    expect(steps.onlyB).toMatchObject([{ key: "main/send#1", result: 2 }]);
    expect(steps.changed).toMatchObject([{ key: "main/plan#1", a: { result: "edited" }, b: { result: 0 } }]);
    expect(await fresh.state.diff(id, id)).toEqual({
      state: [],
      input: [],
      steps: { onlyA: [], onlyB: [], changed: [] },
    });
  });
});
