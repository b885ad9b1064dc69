import { surql } from "@sentient/db-pool";
import { sabotage } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { createState, type ForkOptions } from "../src/index.ts";
import { freshState, type Fresh } from "./support/fresh.ts";
import { claimed, done, parent, problem } from "./support/histories.ts";
import { withAppend } from "./support/runs.ts";

const keysOf = async ({ state }: Fresh, run: string) => new Set((await state.journal(run)).keys());

describe("a fork", () => {
  test("begins from a checkpoint, an event, a position, or from now, and nothing is copied", async () => {
    const fresh = await freshState();
    const { state, db } = fresh;
    const { id, points } = await parent(fresh);
    const { position } = await state.checkpoints.get(id, "fetched");
    const forks = await Promise.all(
      [{ checkpoint: "fetched" }, { n: points[1]! }, { position }, {}].map((point) => state.fork(id, point)),
    );
    const rows = await db.query(surql<string[]>`array::concat(
      (SELECT VALUE record::id(id)[0] FROM step), (SELECT VALUE record::id(id)[0] FROM patch), (SELECT VALUE record::id(id)[0] FROM checkpoint))`);
    expect(new Set(rows)).toEqual(new Set([id]));
    for (const [i, { run, existed }] of forks.entries()) {
      const two = ["main/plan#1", "main/fetch#1"];
      expect(existed).toBe(false);
      expect(run).toMatchObject({
        status: "queued",
        root: run.id,
        name: "write",
        input: { q: 1 },
        tags: ["t"],
        secrets: ["token"],
      });
      expect(run.forkOf).toEqual({ run: id, n: i < 3 ? points[1] : points[2] });
      expect(run).not.toHaveProperty("parent");
      expect(await keysOf(fresh, run.id)).toEqual(new Set(i < 3 ? two : [...two, "main/send#1"]));
      expect(await state.stateAt(run.id)).toEqual({ i: i < 3 ? 1 : 2 });
      expect(await state.stateAt(run.id, { n: 1 })).toEqual({ i: i < 3 ? 1 : 2 });
    }
  });

  test("goes its own way, and so does the parent", async () => {
    const fresh = await freshState();
    const { state } = fresh;
    const { id, points, lease } = await parent(fresh);
    const { run } = await state.fork(id, { n: points[0]!, queue: "forks" });
    const own = await claimed(fresh, "forks");
    await state.commit(own, {
      steps: [done("fetch", "mine")],
      state: { i: "mine" },
      checkpoint: { name: "fetched" },
    });
    await state.commit(lease, { steps: [done("more", 4)], state: { i: 4 } });
    expect((await state.journal(run.id)).get("main/fetch#1")).toMatchObject({ result: "mine" });
    expect((await state.journal(id)).get("main/fetch#1")).toMatchObject({ result: 1 });
    expect(await keysOf(fresh, run.id)).toEqual(new Set(["main/plan#1", "main/fetch#1"]));
    expect(await state.stateAt(run.id)).toEqual({ i: "mine" });
    expect(await state.stateAt(id)).toEqual({ i: 4 });
    await state.commit(own, { end: { complete: "done" } });
    expect((await state.load(id)).status).toBe("running");
  });

  test("writes its first state whole, as a patch of its own would follow on nothing", async () => {
    const fresh = await freshState();
    const { state } = fresh;
    const pad = "x".repeat(2_000);
    const { id, lease } = await parent(fresh);
    await state.commit(lease, { state: { pad, i: 4 } });
    const { run } = await state.fork(id, { queue: "forks" });
    const own = await claimed(fresh, "forks");
    for (const i of [5, 6]) {
      const { n } = await state.commit(own, { state: { pad, i } });
      expect(await state.stateAt(run.id, { n })).toEqual({ pad, i });
      expect(await state.stateAt(run.id, { n: n - 1 })).toEqual({ pad, i: i - 1 });
    }
  });

  test("may have another input, state, version, and other results of steps, which are rows of its own", async () => {
    const fresh = await freshState();
    const { state } = fresh;
    const { id, points } = await parent(fresh);
    const steps = {
      "main/plan#1": "edited",
      "main/send#1": { large: "y".repeat(70_000) },
      "branch/new#2": 7,
    };
    const { run } = await state.fork(id, {
      n: points[1]!,
      input: { q: 2 },
      state: { i: "edited" },
      version: "2",
      tags: [],
      steps,
      by: "ada",
    });
    expect(run).toMatchObject({ version: "2", input: { q: 2 }, tags: [], steps: 3 });
    expect(await state.stateAt(run.id)).toEqual({ i: "edited" });
    const journal = await state.journal(run.id);
    expect(journal.get("main/plan#1")).toMatchObject({ status: "completed", name: "plan", result: "edited" });
    expect(journal.get("main/fetch#1")).toMatchObject({ result: 1 });
    expect(journal.get("main/send#1")).toMatchObject({ name: "send", result: steps["main/send#1"] });
    expect(journal.get("branch/new#2")).toMatchObject({ name: "new", result: 7 });
    expect((await state.journal(id)).get("main/plan#1")).toMatchObject({ result: 0 });
    const { events } = await fresh.bus.history({ run: run.id });
    expect(events).toMatchObject([
      {
        type: "run.queued",
        n: 1,
        data: {
          forkOf: { run: id, n: points[1] },
          by: "ada",
          edits: { fields: ["input", "state", "version"] },
        },
      },
    ]);
    expect(JSON.stringify(events[0]!.data)).not.toContain("edited");
    const lease = await claimed(fresh);
    await state.requireSame(lease, (await state.journal(lease)).get("main/plan#1")!, {
      name: "plan",
      inputHash: "other",
    });
    const again = state.commit(lease, { steps: [done("plan", "twice")] });
    await expect(again).rejects.toMatchObject({ code: "state.step_exists" });
  });

  test.each([
    [
      [
        { complete: 1 },
        { fail: problem },
        { cancel: {} },
        { pause: { by: "ada" } },
        { park: { reason: "asked", problem } },
        { release: true },
        { wait: [{ for: "signal", at: "main/w#1", name: "go" }] },
      ],
    ],
  ])("is made of a run in whatever status", async (endings) => {
    const fresh = await freshState();
    for (const end of endings) {
      const { id } = await parent(fresh, end);
      const { status } = await fresh.state.load(id);
      const { run } = await fresh.state.fork(id, { checkpoint: "fetched", queue: "forks" });
      const lease = await claimed(fresh, "forks");
      await fresh.state.commit(lease, { state: { by: "fork" }, end: { complete: null } });
      expect(await fresh.state.load(run.id)).toMatchObject({ status: "completed" });
      expect((await fresh.state.load(id)).status).toBe(status);
      await fresh.state.cancel(id).catch(() => {});
    }
  });

  test("of a fork of a fork reads through all of them, each up to where they part", async () => {
    const fresh = await freshState();
    const { state } = fresh;
    const { id, points } = await parent(fresh);
    let of = { run: id, n: points[1]! };
    const keys = ["main/plan#1", "main/fetch#1"];
    for (let i = 0; i < 4; i++) {
      const { run } = await state.fork(of.run, { n: of.n, queue: `q${i}` });
      expect(await keysOf(fresh, run.id)).toEqual(new Set(keys));
      const lease = await claimed(fresh, `q${i}`);
      const { n } = await state.commit(lease, { steps: [done(`own${i}`, i)] });
      await state.commit(lease, { steps: [done(`lost${i}`, i)], state: { lost: i } });
      keys.push(`main/own${i}#1`);
      of = { run: run.id, n };
    }
    const { run } = await state.fork(of.run, { n: of.n });
    expect(await keysOf(fresh, run.id)).toEqual(new Set(keys));
    expect(await state.stateAt(run.id)).toEqual({ i: 1 });
    expect(await keysOf(fresh, (await state.fork(of.run, { n: 1 })).run.id)).toEqual(
      new Set(keys.slice(0, -1)),
    );
  });

  test("of a point before a restore, or after it, remembers what counted there", async () => {
    const fresh = await freshState();
    const { state } = fresh;
    const { id, points } = await parent(fresh, { pause: { by: "ada" } });
    await state.restore(id, { n: points[0]! });
    const lease = await claimed(fresh);
    const { n } = await state.commit(lease, { steps: [done("other", 9)], state: { i: "other" } });
    const before = await state.fork(id, { n: points[2]! });
    expect(await keysOf(fresh, before.run.id)).toEqual(
      new Set(["main/plan#1", "main/fetch#1", "main/send#1"]),
    );
    const after = await state.fork(id, { n });
    expect(await keysOf(fresh, after.run.id)).toEqual(new Set(["main/other#1", "main/plan#1"]));
    expect(await state.stateAt(after.run.id)).toEqual({ i: "other" });
  });

  test("can be put back itself, as far as its own first event", async () => {
    const fresh = await freshState();
    const { state } = fresh;
    const { id, points } = await parent(fresh);
    const { run } = await state.fork(id, {
      n: points[1]!,
      steps: { "main/send#1": "edited" },
      queue: "forks",
    });
    const lease = await claimed(fresh, "forks");
    await state.commit(lease, { steps: [done("own")], state: { own: 1 }, end: { pause: { by: "ada" } } });
    await state.restore(run.id, { n: 1 });
    expect(await keysOf(fresh, run.id)).toEqual(new Set(["main/plan#1", "main/fetch#1", "main/send#1"]));
    expect(await state.stateAt(run.id)).toEqual({ i: 1 });
  });

  test("has a mailbox of its own: what the parent has open it asks again", async () => {
    const fresh = await freshState();
    const { state } = fresh;
    const { id, lease } = await parent(fresh);
    await state.signal(id, "go", 1);
    const { n } = await state.commit(lease, { asks: [{ key: "main/ask#1", text: "May I?" }] });
    const { run } = await state.fork(id, { n, queue: "forks" });
    expect(await state.signals(run.id)).toMatchObject({ signals: [] });
    const own = await claimed(fresh, "forks");
    await state.commit(own, { asks: [{ key: "main/ask#1", text: "May I?" }] });
    expect(await state.questions.get(run.id, "main/ask#1")).toMatchObject({ status: "open" });
  });

  test("under one key or id is made once, by however many", async () => {
    const fresh = await freshState();
    const { state } = fresh;
    const { id, points } = await parent(fresh);
    const options = { n: points[1]!, key: "retry-1", state: { i: 7 }, steps: { "main/send#1": 1 } };
    const all = await Promise.all(Array.from({ length: 8 }, () => state.fork(id, options)));
    expect(new Set(all.map(({ run }) => run.id)).size).toBe(1);
    expect(all.filter(({ existed }) => !existed)).toHaveLength(1);
    const conflict = { code: "state.run_conflict" };
    const n = points[2]!;
    const others: ForkOptions[] = [
      { n },
      { state: { i: 8 } },
      { steps: { "main/send#1": 2 } },
      { steps: {} },
      { version: "2" },
      { input: 1 },
    ];
    for (const other of others)
      await expect(state.fork(id, { ...options, ...other })).rejects.toMatchObject(conflict);
    const { n: _, ...now } = options;
    expect((await state.fork(id, now)).existed).toBe(true);
    expect((await state.start({ name: "write", key: "retry-1" })).existed).toBe(false);
    await state.start({ name: "write", id: "mine" });
    await expect(state.fork(id, { id: "mine" })).rejects.toMatchObject(conflict);
  });

  test("is refused for a point or a run that is not there, and for one whose details were removed", async () => {
    const fresh = await freshState();
    const { state, db } = fresh;
    const { id } = await parent(fresh, { complete: null });
    await expect(state.fork("nobody")).rejects.toMatchObject({ code: "state.not_found" });
    await expect(state.fork(id, { n: 99 })).rejects.toMatchObject({ code: "state.position_ahead" });
    await expect(state.fork(id, { checkpoint: "sent" })).rejects.toMatchObject({ code: "state.not_found" });
    await expect(state.fork(id, { n: 1, checkpoint: "fetched" })).rejects.toMatchObject({
      code: "state.bad_option",
    });
    await expect(state.fork(id, { steps: { "not a key": 1 } })).rejects.toMatchObject({
      code: "state.bad_option",
    });
    const { run } = await state.fork(id, { checkpoint: "fetched" });
    await db.query(removeDetails(id));
    const removed = { code: "state.details_removed" };
    await expect(state.fork(id)).rejects.toMatchObject(removed);
    for (const of of [id, run.id]) {
      await expect(state.journal(of)).rejects.toMatchObject(removed);
      await expect(state.stateAt(of)).rejects.toMatchObject(removed);
    }
  });

  test("is refused if the details are removed while it is made; control: without the look it would have lost its past", async () => {
    const fresh = await freshState();
    const { id } = await parent(fresh, { complete: null });
    const forkWhile = (guarded: boolean) => {
      const append: Fresh["bus"]["log"]["append"] = async (entry, options) => {
        await fresh.db.query(removeDetails(id));
        const statements = typeof entry.statements === "function" ? entry.statements : () => [];
        return fresh.bus.log.append(
          {
            ...entry,
            statements: (placed, at) =>
              statements(placed, at).filter(({ text }) => guarded || !text.includes("THROW")),
          },
          options,
        );
      };
      const bus = withAppend(fresh.bus, append);
      return createState(fresh.db, bus).fork(id);
    };
    await expect(forkWhile(true)).rejects.toMatchObject({ code: "state.details_removed" });
    await fresh.db.query(surql`UPDATE type::record("run", ${id}) SET seek.over = endedAt`);
    const failure = await sabotage("fork without the look", async () => {
      const { run } = await forkWhile(false);
      await fresh.state.journal(run.id);
    });
    expect(failure).toMatchObject({
      code: "state.details_removed",
      details: { run: expect.not.stringMatching(id) as string },
    });
  });
});

const removeDetails = (run: string) => surql`UPDATE type::record("run", ${run}) SET seek.over = NONE`;
