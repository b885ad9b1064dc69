import { surql } from "@sentient/db-pool";
import { configureLimits } from "@sentient/schema";
import { sabotage } from "@sentient/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import type { RunListOptions, RunPage, State } from "../src/index.ts";
import { rowOf } from "../src/run.ts";
import type { StartOptions } from "../src/start.ts";
import { freshState, stateOn } from "./support/fresh.ts";
import { INJECTIONS } from "./support/injections.ts";
import { codeOf, failure, range, running, started } from "./support/runs.ts";

async function pagesOf(state: State, options: RunListOptions, between: () => Promise<void> = async () => {}) {
  const pages: RunPage[] = [];
  for (let before: number | undefined, more = true; more;) {
    const page: RunPage = await state.list({ ...options, ...(before === undefined ? {} : { before }) });
    pages.push(page);
    before = page.next;
    more = before !== undefined;
    if (more) await between();
  }
  return pages;
}
const idsOf = (pages: readonly RunPage[]) => pages.flatMap(({ runs }) => runs.map(({ id }) => id as string));

/** Many runs, one after the other. @returns their ids, the newest first */
async function many(state: State, count: number, options: (i: number) => Partial<StartOptions> = () => ({})) {
  const ids: string[] = [];
  for (const i of range(count)) ids.unshift(await started(state, { id: `run-${i}`, ...options(i) }));
  return ids;
}

describe("the id of a run", () => {
  test("that is no text is refused with a code, wherever it is said", async () => {
    const { state } = await freshState();
    const from = { n: 1 };
    for (const bad of [undefined, null, 7, "", {}, []] as never[]) {
      const calls: (() => Promise<unknown>)[] = [
        () => state.load(bad),
        () => state.signal(bad, "go"),
        () => state.nextSignal(bad, "go"),
        () => state.signals(bad),
        () => state.answer(bad, "book#1", true, { by: "ada" }),
        () => state.questions.get(bad, "book#1"),
        () => state.pause(bad),
        () => state.resume(bad),
        () => state.cancel(bad),
        () => state.explain(bad),
        () => state.journal(bad),
        () => state.journal(bad, { at: from }),
        () => state.stateAt(bad, from),
        () => state.restore(bad, from),
        () => state.fork(bad),
        () => state.diff(bad, bad),
        () => state.diff({ run: bad }, { run: bad }),
        () => state.ancestors(bad),
        () => state.descendants(bad),
        () => state.history(bad),
        () => state.export(bad).next(),
        () => state.storage(bad),
        () => state.checkpoints.list(bad),
        () => state.checkpoints.get(bad, "here"),
        () => state.checkpoints.create(bad, "here"),
        () => state.workflows.get(bad),
        () => state.workflows.update(bad, { revision: 1, state: {} }),
        () => state.workflows.addHistory(bad, { type: "review.noted" }),
        () => state.list({ root: bad === undefined ? (7 as never) : bad }),
      ];
      for (const call of calls)
        expect(await codeOf(call), `${String(call)} ${JSON.stringify(bad)}`).toMatch(
          /^state\.(bad_option|not_found)$/,
        );
    }
  });
});

describe("a list of runs", () => {
  test("has the newest first, in pages that know whether there is more", async () => {
    const { state } = await freshState();
    const ids = await many(state, 7);
    expect((await state.list()).runs.map(({ id }) => id)).toEqual(ids);
    const pages = await pagesOf(state, { limit: 3 });
    expect(pages.map(({ runs }) => runs.length)).toEqual([3, 3, 1]);
    expect(idsOf(pages)).toEqual(ids);
    expect((await pagesOf(state, { limit: 7 })).map(({ runs }) => runs.length)).toEqual([7]);
    expect(await freshState().then(({ state: empty }) => empty.list())).toEqual({ runs: [] });
  });

  test("carries no inputs and outputs, which may be 1 MiB each", async () => {
    const { state } = await freshState();
    const lease = await running(state, { input: { large: "x".repeat(900_000) } });
    await state.commit(lease, { end: { complete: { large: "y".repeat(900_000) } } });
    const page = await state.list();
    expect(page.runs).toMatchObject([
      { id: lease.run.id, status: "completed", endedAt: expect.any(Date) as Date },
    ]);
    expect(JSON.stringify(page).length).toBeLessThan(2_000);
    for (const field of ["input", "output", "seek"]) expect(page.runs[0]).not.toHaveProperty(field);
  });

  test("has those that meet every filter", async () => {
    const { state } = await freshState();
    const ids = await many(state, 24, (i) => ({
      ...(i % 2 ? { name: "other", kind: "workflow" } : {}),
      queue: i % 3 ? "default" : "slow",
      tags: i % 4 ? ["a"] : ["a", "b"],
      ...(i % 5 ? {} : { correlation: "order-17" }),
    }));
    const numbered = (keep: (i: number) => boolean) => ids.filter((id) => keep(Number(id.slice(4))));
    const filters: [RunListOptions, (i: number) => boolean][] = [
      [{ name: "other" }, (i) => i % 2 === 1],
      [{ kind: "task" }, (i) => i % 2 === 0],
      [{ queue: "slow" }, (i) => i % 3 === 0],
      [{ tag: "b" }, (i) => i % 4 === 0],
      [{ correlation: "order-17" }, (i) => i % 5 === 0],
      [{ name: "other", queue: "slow", tag: "a" }, (i) => i % 2 === 1 && i % 3 === 0],
      [{ name: "other", tag: "b" }, () => false],
      [{ status: "completed" }, () => false],
      [{ status: ["queued", "completed"], tag: "b" }, (i) => i % 4 === 0],
      [{ name: "other", status: "queued" }, (i) => i % 2 === 1],
    ];
    for (const [options, keep] of filters) {
      const wanted = numbered(keep);
      for (const limit of [1, 4, 100])
        expect(
          idsOf(await pagesOf(state, { ...options, limit })),
          JSON.stringify({ ...options, limit }),
        ).toEqual(wanted);
    }
  });

  test("has those that are parked for a reason, which `resume` sets going again", async () => {
    const { state } = await freshState();
    const ids: string[] = [];
    for (const reason of ["too_long", "no_worker", "too_long"] as const) {
      const lease = await running(state);
      await state.commit(lease, { end: { park: { reason, problem: failure } } });
      ids.unshift(lease.run.id);
    }
    const parkedFor = async (reason: "too_long" | "no_worker" | "asked") =>
      (await state.list({ status: "parked", parkedFor: reason })).runs.map(({ id }) => id);
    expect(await parkedFor("too_long")).toEqual([ids[0], ids[2]]);
    expect(await parkedFor("no_worker")).toEqual([ids[1]]);
    expect(await parkedFor("asked")).toEqual([]);
    await state.resume(ids[0]!);
    expect(await parkedFor("too_long")).toEqual([ids[2]]);
    expect(await codeOf(() => state.list({ parkedFor: "bored" as never }))).toBe("state.bad_option");
  });

  test("has a run under the status it has, whichever that is", async () => {
    const { state } = await freshState();
    const done = await running(state);
    await state.commit(done, { end: { complete: 1 } });
    const failed = await running(state);
    await state.commit(failed, { end: { fail: failure } });
    const waiting = await running(state);
    await state.commit(waiting, {
      end: { wait: [{ for: "signal", at: "go#1", name: "go" }] },
    });
    const paused = await started(state);
    await state.pause(paused);
    const cancelled = await started(state);
    await state.cancel(cancelled);
    const busy = await running(state);
    const queued = await started(state);
    const at = {
      completed: done.run.id,
      failed: failed.run.id,
      waiting: waiting.run.id,
      paused,
      cancelled,
      running: busy.run.id,
      queued,
    };
    for (const [status, id] of Object.entries(at))
      expect((await state.list({ status: status as "queued" })).runs.map((run) => run.id)).toEqual([id]);
    expect((await state.list()).runs.map(({ id }) => id)).toEqual(Object.values(at).toReversed());
  });

  test("has a tree with its root, and the children of a run", async () => {
    const { state } = await freshState();
    const root = await started(state);
    const [one, two] = [await started(state, { parent: root }), await started(state, { parent: root })];
    const below = await started(state, { parent: one });
    await started(state);
    expect(idsOf(await pagesOf(state, { root, limit: 3 }))).toEqual([below, two, one, root]);
    expect(idsOf(await pagesOf(state, { parent: root, limit: 1 }))).toEqual([two, one]);
    expect(idsOf(await pagesOf(state, { parent: one }))).toEqual([below]);
    expect(idsOf(await pagesOf(state, { root: below, parent: one }))).toEqual([]);
    expect(await state.list({ parent: "nowhere" })).toEqual({ runs: [] });
    expect(await state.list({ root: "nowhere" })).toEqual({ runs: [] });
  });

  test("is bounded, and says what it does not understand", async () => {
    const { state } = await freshState();
    expect(await codeOf(() => state.list({ limit: 1_001 }))).toBe("schema.limit");
    for (const bad of [
      { limit: 0 },
      { limit: 1.5 },
      { before: -1 },
      { status: "done" },
      { offset: 3 },
      { tag: "" },
    ])
      expect(await codeOf(() => state.list(bad as RunListOptions))).toBe("state.bad_option");
  });

  test("shows no run twice and leaves none out, though runs start and change between pages", async () => {
    const { state, db } = await freshState();
    const other = await stateOn(db);
    const ids = await many(state, 12);
    const seen: string[] = [];
    let before: number | undefined;
    for (let i = 0; i === 0 || before !== undefined; i++) {
      const page = await state.list({
        status: ["queued", "paused", "cancelled"],
        limit: 3,
        ...(before ? { before } : {}),
      });
      seen.push(...page.runs.map(({ id }) => id));
      before = page.next;
      await other.state.pause(ids[i]!); // one that was seen
      await other.state.cancel(ids[i + 6]!); // one that may come yet
      await started(other.state);
    }
    expect(seen).toEqual(ids);
  });

  test("control: pages by number would", async () => {
    await sabotage("the next page begins where the last one would end now", async () => {
      const { state } = await freshState();
      const ids = await many(state, 6);
      const first = await state.list({ limit: 3 });
      await started(state);
      const second = (await state.list({ limit: 100 })).runs.slice(3, 6);
      expect([...first.runs, ...second].map(({ id }) => id)).toEqual(ids);
    });
  });

  test("looks through no more than it may for one page, and the next one goes on from there", async () => {
    const { state, db } = await freshState();
    const id = await started(state, { tags: ["rare"] });
    const sample = await state.load(id);
    const row = (i: number) =>
      rowOf({ ...sample, id: `more-${i}`, root: `more-${i}`, tags: [] } as never, i + 10);
    for (const block of range(11))
      await db.query(surql`INSERT INTO run ${range(1_000, block * 1_000).map(row)} RETURN NONE`);
    const first = await state.list({ tag: "rare", status: "queued" });
    expect(first.runs).toEqual([]);
    expect(first.next).toBeGreaterThan(0);
    const second = await state.list({ tag: "rare", status: "queued", before: first.next! });
    expect(second.runs.map((run) => run.id)).toEqual([id]);
    expect(second.next).toBeUndefined();
    expect((await state.list({ limit: 1_000 })).runs).toHaveLength(1_000);
  });

  test("goes through all of them where the limit of a page is small", async () => {
    configureLimits({ page: 5 });
    onTestFinished(() => configureLimits({ page: 1_000 }));
    const { state } = await freshState();
    const ids = await many(state, 23, (i) => (i % 11 === 0 ? { tags: ["rare"] } : {}));
    expect((await state.list({ tag: "rare", limit: 5 })).runs.map(({ id }) => id)).toEqual([
      "run-22",
      "run-11",
      "run-0",
    ]);
    expect(idsOf(await pagesOf(state, { limit: 5 }))).toEqual(ids);
  });

  test("takes texts that would do harm as texts, or refuses them", async () => {
    const { state, db } = await freshState();
    await db.query(surql`CREATE canary:1 SET alive = true`);
    for (const text of INJECTIONS) await started(state, { tags: [text], correlation: text });
    await started(state, { tags: ["innocent"], correlation: "innocent" });
    const texts: string[] = [];
    db.on("query", ({ text }) => void texts.push(text));
    for (const text of INJECTIONS) {
      for (const filter of [{ tag: text }, { correlation: text }])
        expect((await state.list(filter)).runs, text).toMatchObject([{ tags: [text], correlation: text }]);
      for (const filter of [
        { name: text },
        { queue: text },
        { root: text },
        { parent: text },
        { status: text },
        { kind: text },
      ])
        expect(await codeOf(() => state.list(filter as RunListOptions)), text).toBe("state.bad_option");
      expect(await codeOf(() => state.load(text))).toBe("state.not_found");
      expect(await codeOf(() => state.history(text))).toBe("state.not_found");
      for (const option of ["id", "name", "queue", "parent", "version"])
        expect(await codeOf(() => started(state, { [option]: text })), text).toBe("state.bad_option");
    }
    expect(texts.filter((sent) => INJECTIONS.some((text) => text.length > 5 && sent.includes(text)))).toEqual(
      [],
    );
    expect(await db.query(surql`SELECT VALUE alive FROM canary`)).toEqual([true]);
    expect((await state.list({ limit: 100 })).runs).toHaveLength(INJECTIONS.length + 1);
  });
});

describe("the history of a run", () => {
  test("is its events, in pages, from either end", async () => {
    const { state } = await freshState();
    const run = await started(state);
    const other = await started(state);
    for (const i of range(5)) {
      await state.signal(run, "go", i);
      await state.signal(other, "go", i);
    }
    const all = (await state.history(run)).events;
    expect(all.map(({ n }) => n)).toEqual([1, 2, 3, 4, 5, 6]);
    const first = await state.history(run, { limit: 4 });
    const second = await state.history(run, { limit: 4, after: first.next! });
    expect([...first.events, ...second.events]).toEqual(all);
    const last = await state.history(run, { order: "desc", limit: 4 });
    const before = await state.history(run, { order: "desc", limit: 4, before: last.next! });
    expect([...last.events, ...before.events]).toEqual(all.toReversed());
  });

  test("is of a run that is there, and bounded", async () => {
    const { state } = await freshState();
    const run = await started(state);
    expect(await codeOf(() => state.history("nowhere"))).toBe("state.not_found");
    expect(await codeOf(() => state.history(run, { limit: 1_001 }))).toBe("schema.limit");
    expect(await codeOf(() => state.history(run, { types: "run.*" } as never))).toBe("state.bad_option");
  });
});
