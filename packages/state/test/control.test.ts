// What people ask of a run, whoever holds it.

import { surql } from "@sentient/db-pool";
import { sabotage, VirtualClock } from "@sentient/testkit";
import { RUN_STATUSES } from "@sentient/schema";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { Lease } from "../src/lease.ts";
import { runId, type Run } from "../src/run.ts";
import * as queries from "../src/queries.ts";
import { freshState, stateOn, type Fresh } from "./support/fresh.ts";
import {
  claimed,
  codeOf,
  done,
  failure,
  failureOf,
  held,
  range,
  running,
  started,
  storyOf,
} from "./support/runs.ts";

/**
 * What becomes of a run: `=` it is left as it is and nothing is told, `·` it is refused, `?` it is asked of whoever works on
 * it. "undo" is of a run that has something to undo.
 */
const TABLE = `
                 queued     running    waiting    paused     parked     completed  failed     cancelled
  pause          paused     running?   paused     =          ·          ·          ·          ·
  resume         =          =          ·          queued     queued     ·          ·          ·
  cancel         cancelled  running?   cancelled  cancelled  cancelled  ·          ·          =
  cancel+force   cancelled  cancelled  cancelled  cancelled  cancelled  ·          ·          =
  cancel+undo    queued?    running?   queued?    queued?    queued?    ·          ·          =
  undo+force     cancelled  cancelled  cancelled  cancelled  cancelled  ·          ·          =
`;
const [head, ...lines] = TABLE.trim()
  .split("\n")
  .map((line) => line.trim().split(/\s+/));

describe("the table", () => {
  test("has every status", () => expect(head).toEqual(RUN_STATUSES));

  let count = 0;
  async function runIn(status: Run["status"], compensates: boolean, { state }: Fresh): Promise<string> {
    const name = `n-${++count}`;
    const id = await started(state, { name });
    const undo = compensates ? { compensates } : {};
    const endings = {
      queued: { release: true },
      waiting: { wait: [{ for: "signal", at: "a", name: "go" }] },
      paused: { pause: { by: "bob" } },
      parked: { park: { reason: "asked", problem: failure } },
      completed: { complete: 1 },
      failed: { fail: failure },
      cancelled: { cancel: {} },
    } as const;
    const lease = await held(state, "w1", { serves: [{ name, versions: ["1"] }] });
    const ending = status === "running" ? {} : { end: endings[status] };
    await state.commit(lease, { progress: { done: 1 }, ...undo, ...ending } as never);
    return id;
  }

  const said = { by: "ada", reason: "lunch" };
  const verbs: Record<string, (id: string, { state }: Fresh) => Promise<Run>> = {
    pause: (id, { state }) => state.pause(id, said),
    resume: (id, { state }) => state.resume(id, said),
    cancel: (id, { state }) => state.cancel(id, said),
    "cancel+force": (id, { state }) => state.cancel(id, { ...said, force: true }),
    "cancel+undo": (id, { state }) => state.cancel(id, said),
    "undo+force": (id, { state }) => state.cancel(id, { ...said, force: true }),
  };

  test.each(lines)("says what %s makes of a run", async (verb, ...outcomes) => {
    const at = await freshState();
    for (const [i, outcome] of outcomes.entries()) {
      const id = await runIn(RUN_STATUSES[i]!, verb.includes("undo"), at);
      await expectOutcome(id, outcome, () => verbs[verb]!(id, at), at);
    }
  });

  async function expectOutcome(id: string, outcome: string, ask: () => Promise<Run>, { state, bus }: Fresh) {
    const [before, story] = [await state.load(id), await storyOf(bus, id)];
    const { status } = before;
    if (outcome === "·") {
      const refusal = { code: "state.illegal_transition", details: { run: id, status } };
      expect(await failureOf(ask)).toMatchObject(refusal);
      expect([await state.load(id), await storyOf(bus, id)]).toEqual([before, story]);
      return;
    }
    const answer = await ask();
    expect(await state.load(id)).toEqual(answer);
    if (outcome === "=") {
      expect([answer, await storyOf(bus, id)]).toEqual([before, story]);
      return;
    }
    expect(answer, status).toMatchObject({ status: outcome.replace("?", ""), revision: before.revision + 1 });
    expect(answer.asked).toEqual(outcome.endsWith("?") ? expect.objectContaining(said) : undefined);
    if (answer.status === "paused") expect(answer).toMatchObject({ pausedBy: "ada", reason: "lunch" });
    if (answer.status === "cancelled") expect(answer).toMatchObject({ cancelledBy: "ada", reason: "lunch" });
    await ask(); // again
    expect(await storyOf(bus, id)).toHaveLength(story.length + 1);
  }
});

test.each(["pause", "resume", "cancel"] as const)(
  "%s of a run that is not there is refused",
  async (what) => {
    const { state } = await freshState();
    expect(await codeOf(() => state[what]("nobody"))).toBe("state.not_found");
    expect(await codeOf(() => state[what]("nobody", { by: "" }))).toBe("state.bad_option");
  },
);

describe("a run that is held", () => {
  test("is told of it with the next renewal, and does it", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    expect((await state.renew([lease])).held).toEqual([{ lease, asked: undefined }]);
    await state.pause(lease.run.id, { by: "ada" });
    expect((await state.renew([lease])).held).toMatchObject([{ asked: { what: "pause", by: "ada" } }]);
    await state.commit(lease, { steps: [done("a")] }); // what is under way may end
    await state.commit(lease, { end: { pause: { by: "ada" } } });
    const paused = await state.load(lease.run.id);
    expect(paused).toMatchObject({ status: "paused", pausedBy: "ada", steps: 1 });
    expect(paused).not.toHaveProperty("asked");
    expect(await claimed(state)).toEqual([]);
    await state.resume(lease.run.id);
    expect((await held(state)).run).toMatchObject({ attempts: 1, steps: 1, token: 3 });
  });

  test("goes on if the pause is taken back in time", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    await state.pause(lease.run.id);
    await state.resume(lease.run.id);
    expect((await state.renew([lease])).held).toEqual([{ lease, asked: undefined }]);
    await state.commit(lease, { end: { complete: 1 } });
  });

  test("is not paused by a worker that has not heard yet that the pause was taken back", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    await state.pause(lease.run.id, { by: "ada" });
    await state.resume(lease.run.id);
    const pause = { by: "ada", asked: true as const };
    expect(await codeOf(() => state.commit(lease, { end: { pause } }))).toBe("state.not_open");
    await state.pause(lease.run.id, { by: "ada" });
    await state.commit(lease, { end: { pause } });
    expect(await state.load(lease.run.id)).toMatchObject({ status: "paused", pausedBy: "ada" });
  });

  test("does not complete once it is to be cancelled, though its worker has not heard of that", async () => {
    const { state, bus } = await freshState();
    const lease = await running(state);
    await state.cancel(lease.run.id, { by: "bob" });
    expect(await codeOf(() => state.commit(lease, { end: { complete: 1 } }))).toBe("state.not_open");
    await state.commit(lease, { end: { cancel: {} } });
    expect((await storyOf(bus, lease.run.id)).at(-1)).toBe("run.cancelled");
  });

  test("cannot be paused once it is to be cancelled", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    await state.pause(lease.run.id);
    await state.cancel(lease.run.id, { by: "bob" });
    expect(await codeOf(() => state.pause(lease.run.id))).toBe("state.illegal_transition");
    expect((await state.resume(lease.run.id)).asked).toMatchObject({ what: "cancel", by: "bob" });
  });

  test("commits nothing any more once it was cancelled by force", async () => {
    const { state, bus } = await freshState();
    const lease = await running(state);
    await state.cancel(lease.run.id, { force: true });
    for (const end of [undefined, { complete: 1 }, { release: true as const }])
      expect(await codeOf(() => state.commit(lease, { steps: [done("a")], ...(end ? { end } : {}) }))).toBe(
        "state.lease_lost",
      );
    expect((await state.journal(lease.run.id)).size).toBe(0);
    expect(await storyOf(bus, lease.run.id)).toEqual(["run.queued", "run.started", "run.cancelled"]);
  });
});

describe("a run whose worker is gone before it did what was asked", () => {
  async function orphan(what: "pause" | "cancel", compensates = false) {
    const clock = new VirtualClock(Date.now());
    const at = await freshState({ clock });
    const lease = await running(at.state);
    if (compensates) await at.state.commit(lease, { compensates });
    await at.state[what](lease.run.id, { by: "ada", reason: "lunch" });
    await clock.advance(15_001);
    return { ...at, id: lease.run.id };
  }

  test.each([true, false])(
    "is paused instead of being given to another (swept before: %j)",
    async (isSwept) => {
      const { state, id } = await orphan("pause");
      if (isSwept) expect(await state.sweep()).toMatchObject({ released: [id] });
      expect(await claimed(state, "w2")).toEqual([]);
      expect(await state.load(id)).toMatchObject({ status: "paused", pausedBy: "ada", reason: "lunch" });
    },
  );

  test.each([true, false])(
    "is cancelled instead of being given to another (swept before: %j)",
    async (isSwept) => {
      const { state, id } = await orphan("cancel");
      if (isSwept) await state.sweep();
      expect(await claimed(state, "w2")).toEqual([]);
      expect(await state.load(id)).toMatchObject({
        status: "cancelled",
        cancelledBy: "ada",
        reason: "lunch",
      });
    },
  );

  test("is given to another if it has something to undo", async () => {
    const { state, id } = await orphan("cancel", true);
    const lease = await held(state, "w2");
    expect(lease.run).toMatchObject({ id, asked: { what: "cancel" }, compensates: true });
    await state.commit(lease, { steps: [done("undo")], end: { cancel: { reason: "lunch" } } });
    expect(await state.load(id)).toMatchObject({ status: "cancelled", steps: 1 });
  });

  test.each(["asked", "its deadline"])(
    "is given to another if something goes on that it has started, and cancelled once nothing does (%s)",
    async (why) => {
      const clock = new VirtualClock(Date.now());
      const { state } = await freshState({ clock });
      const deadline = new Date(clock.now() + 10_000);
      const lease = await running(state, why === "asked" ? {} : { deadline });
      const { id } = lease.run;
      const child = (await state.start({ name: "child", parent: id, parentStep: "c", lease })).run.id;
      if (why === "asked") await state.cancel(id, { by: "ada" });
      await clock.advance(15_001);
      if (why !== "asked") expect(await claimed(state, "w2")).toEqual([]); // it is asked for first
      expect((await held(state, "w2")).run).toMatchObject({ id, asked: { what: "cancel" } });
      await state.cancel(child);
      await clock.advance(15_001);
      expect(await claimed(state, "w3")).toEqual([]);
      expect((await state.load(id)).status).toBe("cancelled");
    },
  );

  test("goes on if the pause is taken back while it is in its queue", async () => {
    const { state, id } = await orphan("pause");
    await state.sweep();
    expect(await state.resume(id)).not.toHaveProperty("asked");
    expect((await held(state, "w2")).run.id).toBe(id);
  });

  test("is paused at once by who asks again while it is in its queue", async () => {
    const { state, id } = await orphan("pause");
    await state.sweep();
    expect(await state.pause(id, { by: "bob" })).toMatchObject({ status: "paused", pausedBy: "bob" });
  });
});

describe("a run whose deadline has passed", () => {
  const late = (clock: VirtualClock, ms: number) => ({ deadline: new Date(clock.now() + ms) });

  test.each(["queued", "waiting", "running"])(
    "is cancelled though it is %s and nobody holds it",
    async (status) => {
      const clock = new VirtualClock(Date.now());
      const { state } = await freshState({ clock });
      const id = await started(state, late(clock, 20_000));
      if (status !== "queued") {
        const lease = await held(state);
        if (status === "waiting")
          await state.commit(lease, { end: { wait: [{ for: "signal", at: "a", name: "go" }] } });
      }
      await clock.advance(20_000);
      expect(await claimed(state)).toEqual([]);
      expect(await state.load(id)).toMatchObject({ status: "cancelled", reason: "its deadline has passed" });
    },
  );

  test("is given to a worker to undo what it did, if there is anything to undo", async () => {
    const clock = new VirtualClock(Date.now());
    const { state } = await freshState({ clock });
    const id = await started(state, late(clock, 20_000));
    await state.commit(await held(state), { compensates: true, end: { release: true } });
    await clock.advance(20_000);
    expect(await claimed(state)).toEqual([]);
    expect((await held(state)).run).toMatchObject({ id, asked: { what: "cancel", by: "its deadline" } });
  });

  test("is worked on until then", async () => {
    const clock = new VirtualClock(Date.now());
    const { state } = await freshState({ clock });
    await started(state, late(clock, 20_000));
    await clock.advance(19_999);
    const lease = await held(state);
    await state.commit(lease, { end: { complete: 1 } });
    expect((await state.load(lease.run.id)).status).toBe("completed");
  });
});

describe("many who ask and work at once", () => {
  async function requireNothingLost(): Promise<void> {
    const { state, bus, db } = await freshState();
    const states = [state, (await stateOn(db)).state];
    const ids = await Promise.all(range(12).map(() => started(state)));
    const leases = await claimed(state, "w1", { max: 12 });
    const asking = ids.flatMap((id, i) => [
      states[i % 2]!.pause(id).catch(refused),
      states[(i + 1) % 2]!.cancel(id).catch(refused),
    ]);
    const working = leases.map(async (lease: Lease, i) => {
      await states[1]!.commit(lease, { steps: [done("a")] }).catch(refused);
      await states[i % 2]!.commit(lease, { end: i % 3 ? { pause: { by: "ada" } } : { complete: 1 } }).catch(
        refused,
      );
    });
    await Promise.all([...asking, ...working]);
    for (const id of ids) {
      const run = await state.load(id);
      const story = await storyOf(bus, id);
      // a cancel that was accepted is not forgotten
      if (story.includes("cancel.requested"))
        expect(run.status === "cancelled" || run.asked?.what === "cancel", `${run.status}: ${story}`).toBe(
          true,
        );
      const moves = story.filter((type) => /^(?:run|pause|cancel)\./.test(type));
      expect(run.revision).toBe(moves.length); // none of them was lost
    }
  }
  const refused = (error: { code?: string }) =>
    expect(error.code).toMatch(/illegal_transition|lease_lost|not_open/);

  test("change it one after the other, and none of it is lost", () => requireNothingLost());

  test("control: without the revision something is lost", async () => {
    const spy = vi
      .spyOn(queries, "saveRun")
      .mockImplementation(
        (run, _, { id: __, ...row }) => surql`UPDATE ${runId(run)} CONTENT ${row} RETURN NONE`,
      );
    onTestFinished(() => spy.mockRestore());
    await sabotage("no revision", () => requireNothingLost());
  });
});
