import { describe, expect, test } from "vitest";
import { freshState } from "./support/fresh.ts";
import { runThatIs, started } from "./support/histories.ts";

describe("checkpoints", () => {
  test("are listed with the latest first, page by page", async () => {
    const fresh = await freshState();
    const { checkpoints } = fresh.state;
    const lease = await started(fresh);
    for (const name of ["b", "c", "a", "z", "y"])
      await fresh.state.commit(lease, { state: { at: name }, checkpoint: { name, metadata: { of: name } } });
    const { id } = lease.run;
    const first = await checkpoints.list(id, { limit: 2 });
    expect(first.checkpoints).toMatchObject([
      { run: id, name: "y", metadata: { of: "y" }, version: "1", counts: true },
      { name: "z" },
    ]);
    const second = await checkpoints.list(id, { limit: 2, before: first.next! });
    const third = await checkpoints.list(id, { limit: 2, before: second.next! });
    expect([...second.checkpoints, ...third.checkpoints].map(({ name }) => name)).toEqual(["a", "c", "b"]);
    expect(third.next).toBeUndefined();
    await expect(checkpoints.list("nobody")).rejects.toMatchObject({ code: "state.not_found" });
  });

  test("are found by name, and one that is not there is told apart from a run that is not", async () => {
    const fresh = await freshState();
    const { id } = await runThatIs("paused", fresh);
    expect(await fresh.state.checkpoints.get(id, "fetched")).toMatchObject({
      run: id,
      name: "fetched",
      n: 4,
      steps: 1,
    });
    await expect(fresh.state.checkpoints.get(id, "sent")).rejects.toMatchObject({
      code: "state.not_found",
      details: { run: id, checkpoint: "sent" },
    });
  });

  test.each([["queued", "waiting", "paused", "parked"]] as const)(
    "can be made of a run that is %s, %s, %s or %s",
    async (...statuses) => {
      const fresh = await freshState();
      for (const status of statuses) {
        const { id } = await runThatIs(status, fresh);
        const made = await fresh.state.checkpoints.create(id, "here", {
          metadata: { why: "to look" },
          by: "ada",
        });
        expect(made).toMatchObject({ name: "here", steps: 2, metadata: { why: "to look" }, counts: true });
        expect((await fresh.state.load(id)).status).toBe(status);
        const { events } = await fresh.bus.history({ run: id, order: "desc", limit: 1 });
        expect(events[0]).toMatchObject({
          type: "checkpoint.created",
          position: made.position,
          data: { name: "here", by: "ada" },
        });
        expect(await fresh.state.stateAt(id, { checkpoint: "here" })).toEqual({ seen: 2 });
      }
    },
  );

  test.each([["running", "completed", "failed", "cancelled"]] as const)(
    "are not made from outside of a run that is %s, %s, %s or %s",
    async (...statuses) => {
      const fresh = await freshState();
      for (const status of statuses) {
        const { id } = await runThatIs(status, fresh);
        await expect(fresh.state.checkpoints.create(id, "here")).rejects.toMatchObject({
          code: "state.illegal_transition",
        });
        expect((await fresh.state.checkpoints.list(id)).checkpoints).toHaveLength(1);
      }
    },
  );

  test("have one meaning: a name that is taken is refused, whoever comes first", async () => {
    const fresh = await freshState();
    const { id } = await runThatIs("paused", fresh);
    const refused = { code: "state.checkpoint_exists", details: { run: id, checkpoint: "fetched" } };
    await expect(fresh.state.checkpoints.create(id, "fetched")).rejects.toMatchObject(refused);
    const tries = await Promise.allSettled(
      Array.from({ length: 8 }, () => fresh.state.checkpoints.create(id, "here")),
    );
    expect(tries.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const others = tries.flatMap((one) => (one.status === "rejected" ? one.reason.code : []));
    expect(new Set(others)).toEqual(new Set(["state.checkpoint_exists"]));
  });
});
