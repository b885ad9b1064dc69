import { surql } from "@sentient/db-pool";
import { describe, expect, test } from "vitest";
import { freshState, type Fresh } from "./support/fresh.ts";
import { claimed, done, runThatIs, started } from "./support/histories.ts";

describe("a restore", () => {
  test.each([["queued", "waiting", "paused", "parked"]] as const)(
    "puts a run back that is %s, %s, %s or %s",
    async (...statuses) => {
      const fresh = await freshState();
      const { state } = fresh;
      for (const status of statuses) {
        const { id } = await runThatIs(status, fresh);
        const before = await state.load(id);
        const restored = await state.restore(id, { checkpoint: "fetched" }, { by: "ada" });
        expect(restored).toMatchObject({ status: "queued", attempts: 0, restores: [{ to: 4 }] });
        expect(restored.revision).toBeGreaterThan(before.revision);
        expect(await state.stateAt(id)).toEqual({ seen: 1 });
        expect([...(await state.journal(id)).keys()]).toEqual(["main/fetch#1"]);
        const lease = await claimed(fresh, status);
        await state.commit(lease, {
          steps: [done("send", "again")],
          state: { seen: 3 },
          end: { complete: null },
        });
        expect((await state.journal(id)).get("main/send#1")).toMatchObject({ result: "again" });
        expect(await state.stateAt(id)).toEqual({ seen: 3 });
      }
    },
  );

  test("is refused for a run that is running, completed, failed or cancelled, with what to do instead", async () => {
    const fresh = await freshState();
    for (const status of ["running", "completed", "failed", "cancelled"] as const) {
      const advice = status === "running" ? /pause it/ : /fork it/;
      const { id, lease } = await runThatIs(status, fresh);
      const before = await fresh.state.load(id);
      const restoring = fresh.state.restore(id, { checkpoint: "fetched" });
      await expect(restoring).rejects.toMatchObject({
        code: "state.illegal_transition",
        message: expect.stringMatching(advice) as string,
        details: { run: id, status },
      });
      expect(await fresh.state.load(id)).toEqual(before);
      if (status === "running") await fresh.state.commit(lease, { state: { still: "held" } });
    }
  });

  test("is refused while the run is being cancelled", async () => {
    const fresh = await freshState();
    const lease = await started(fresh);
    const wait = [{ for: "signal" as const, at: "main/w#1", name: "go" }];
    await fresh.state.commit(lease, { compensates: true });
    await fresh.state.commit(lease, { end: { wait } });
    await fresh.state.cancel(lease.run.id);
    await expect(fresh.state.restore(lease.run.id, { n: 1 })).rejects.toMatchObject({
      message: expect.stringContaining("being cancelled") as string,
    });
  });

  test("is refused for a point that is not there, and for one that an earlier restore left behind", async () => {
    const fresh = await freshState();
    const { state } = fresh;
    const { id } = await runThatIs("paused", fresh);
    await expect(state.restore(id, { n: 99 })).rejects.toMatchObject({ code: "state.position_ahead" });
    await expect(state.restore(id, { checkpoint: "sent" })).rejects.toMatchObject({
      code: "state.not_found",
    });
    await expect(state.restore(id, {} as never)).rejects.toMatchObject({ code: "state.bad_option" });
    await expect(state.restore("nobody", { n: 1 })).rejects.toMatchObject({ code: "state.not_found" });
    await state.checkpoints.create(id, "late");
    await state.restore(id, { n: 2 });
    expect((await state.checkpoints.list(id)).checkpoints).toMatchObject([
      { name: "late", counts: false },
      { name: "fetched", counts: false },
    ]);
    await expect(state.restore(id, { checkpoint: "late" })).rejects.toMatchObject({
      code: "state.illegal_transition",
      message: expect.stringContaining("fork it") as string,
    });
    const { run } = await state.fork(id, { checkpoint: "late" });
    expect(await state.stateAt(run.id)).toEqual({ seen: 2 });
  });

  test("is refused if the state is not what the checkpoint was made of", async () => {
    const fresh = await freshState();
    const { id } = await runThatIs("paused", fresh);
    await fresh.db.query(surql`UPDATE checkpoint SET stateHash = ${"0".repeat(64)}`);
    await expect(fresh.state.restore(id, { checkpoint: "fetched" })).rejects.toMatchObject({
      code: "state.damaged",
    });
    await expect(fresh.state.fork(id, { checkpoint: "fetched" })).rejects.toMatchObject({
      code: "state.damaged",
    });
    expect((await fresh.state.load(id)).status).toBe("paused");
  });

  test("is told with where to, by whom, and the version and state of the checkpoint", async () => {
    const fresh = await freshState();
    const { id } = await runThatIs("paused", fresh);
    const { position, stateHash } = await fresh.state.checkpoints.get(id, "fetched");
    await fresh.state.restore(id, { checkpoint: "fetched" }, { by: "ada" });
    const { events } = await fresh.bus.history({ run: id, order: "desc", limit: 2 });
    expect(events).toMatchObject([
      { type: "checkpoint.restored", data: { name: "fetched", at: position } },
      { type: "run.restored", data: { to: 4, by: "ada", version: "1", stateHash } },
    ]);
  });

  test("lets the run take a name again that it left behind, and only such a one", async () => {
    const fresh = await freshState();
    const { state } = fresh;
    const { id } = await runThatIs("paused", fresh);
    await state.restore(id, { n: 2 });
    const lease = await claimed(fresh, "paused");
    await state.commit(lease, { state: { seen: "anew" }, checkpoint: { name: "fetched" } });
    expect(await state.stateAt(id, { checkpoint: "fetched" })).toEqual({ seen: "anew" });
    const again = state.commit(lease, { state: { seen: "twice" }, checkpoint: { name: "fetched" } });
    await expect(again).rejects.toMatchObject({ code: "state.checkpoint_exists" });
    expect(await state.stateAt(id)).toEqual({ seen: "anew" });
  });

  test("lets a step go on that was begun before it, and keeps what was known of it then", async () => {
    const fresh = await freshState();
    const { state } = fresh;
    const lease = await started(fresh);
    const { id } = lease.run;
    const step = { key: "main/pay#1", name: "pay" };
    const { n } = await state.commit(lease, { steps: [{ ...step, status: "started" }] });
    await state.commit(lease, { end: { pause: { by: "ada" } } });
    await state.restore(id, { n });
    const next = await claimed({ state });
    expect((await state.journal(next)).get(step.key)).toMatchObject({ status: "started" });
    await state.commit(next, { steps: [{ ...step, status: "completed", attempts: 2, result: "paid" }] });
    expect((await state.journal(id)).get(step.key)).toMatchObject({ status: "completed", result: "paid" });
    expect((await state.journal(id, { at: { n } })).get(step.key)).toMatchObject({ status: "started" });
    const twice = state.commit(next, {
      steps: [{ ...step, status: "completed", attempts: 3, result: "twice" }],
    });
    await expect(twice).rejects.toMatchObject({ code: "state.step_exists" });
  });

  test("leaves runs alone that were started since: the step that started one finds it again", async () => {
    const fresh = await freshState();
    const { state } = fresh;
    const lease = await started(fresh);
    const { n } = await state.commit(lease, { steps: [done("plan")] });
    const child = { name: "read", key: `${lease.run.id}/main/read#1`, parent: lease.run.id, input: 1 };
    const { run } = await state.start({ ...child, lease });
    await state.commit(lease, { end: { wait: [{ for: "run", at: "main/read#1", run: run.id }] } } as never);
    await state.restore(lease.run.id, { n });
    expect((await state.load(run.id)).status).toBe("queued");
    const next = await claimed(fresh);
    expect(await state.start({ ...child, lease: next })).toMatchObject({
      existed: true,
      run: { id: run.id },
    });
  });

  test("goes back as often as it is asked, to whatever still counts", async () => {
    const fresh = await freshState();
    const { state } = fresh;
    const lease = await started(fresh);
    const { id } = lease.run;
    const points: number[] = [];
    for (let i = 0; i < 4; i++)
      points.push((await state.commit(lease, { state: { i }, steps: [done(`s${i}`)] })).n);
    await state.commit(lease, { end: { pause: { by: "ada" } } });
    for (const i of [3, 2, 1, 0, 0]) {
      await state.restore(id, { n: points[i]! });
      expect(await state.stateAt(id)).toEqual({ i });
      expect((await state.journal(id)).size).toBe(i + 1);
    }
    for (let i = 0; i < 4; i++) expect(await state.stateAt(id, { n: points[i]! })).toEqual({ i });
  });

  test("frees the signals that were taken since, and keeps those that were taken before", async () => {
    const fresh = await freshState();
    const { state } = fresh;
    const lease = await started(fresh);
    const { id } = lease.run;
    const takes = async (name: string, key: string) => {
      const { n } = await state.signal(id, name, { hello: name });
      return state.commit(lease, {
        takes: [{ n, key: `main/${key}#1` }],
        steps: [done(key)],
        state: { key },
      });
    };
    const before = await takes("first", "one");
    await takes("second", "two");
    await state.commit(lease, { end: { pause: { by: "ada" } } });
    await state.restore(id, { n: before.n });
    const rows = await fresh.db.query(surql<unknown[]>`SELECT name, takenBy, untaken FROM signal`);
    expect(rows).toEqual([
      { name: "first", takenBy: "main/one#1" },
      { name: "second", untaken: `${id}/second` },
    ]);
    const next = await claimed(fresh);
    const waits = state.commit(next, {
      end: { wait: [{ for: "signal", at: "main/two#1", name: "second" }] },
    } as never);
    await expect(waits).rejects.toMatchObject({ code: "state.nothing_to_wait_for" });
  });

  test("removes the questions that were asked since, and keeps the answers to those that were asked before", async () => {
    const fresh = await freshState();
    const { state } = fresh;
    const lease = await started(fresh);
    const { id } = lease.run;
    const ask = (key: string) => state.commit(lease, { asks: [{ key: `main/${key}#1`, text: `${key}?` }] });
    const { n } = await ask("first");
    await ask("second");
    await state.questions.answer(id, "main/first#1", "yes", { by: "ada" });
    await state.commit(lease, { end: { pause: { by: "ada" } } });
    await state.restore(id, { n });
    expect(await questionsIn(fresh)).toEqual([{ key: "main/first#1", status: "answered" }]);
    const next = await claimed(fresh);
    await state.commit(next, { asks: [{ key: "main/second#1", text: "once more?" }] });
    expect(await questionsIn(fresh)).toContainEqual({ key: "main/second#1", status: "open" });
  });
});

const questionsIn = ({ db }: Fresh) =>
  db.query(surql<unknown[]>`SELECT record::id(id)[1] AS key, status FROM question ORDER BY key`);
