// How runs come to be: once under their key, whoever starts them and however often.

import { openDatabase, surql, type DatabaseOptions } from "@sentient/db-pool";
import { createEventBus } from "@sentient/event-bus";
import { sabotage, servedEngine, tcpProxy, VirtualClock } from "@sentient/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import { createState, type State } from "../src/index.ts";
import { freshFolder, freshState, stateOn } from "./support/fresh.ts";
import {
  claimed,
  codeOf,
  eventsOf,
  failureOf,
  held,
  range,
  running,
  started,
  storyOf,
} from "./support/runs.ts";

describe("a run that is started", () => {
  test("is queued, as it was asked for, and the log is told", async () => {
    const { state, bus } = await freshState();
    const { run, existed } = await state.start({
      name: "research",
      kind: "workflow",
      version: "2",
      input: { topic: "owls" },
      priority: 5,
      tags: ["a"],
      queue: "slow",
      correlation: "c-1",
    });
    expect(existed).toBe(false);
    expect(run).toMatchObject({
      status: "queued",
      kind: "workflow",
      name: "research",
      version: "2",
      input: { topic: "owls" },
      priority: 5,
      queue: "slow",
      root: run.id,
      revision: 1,
      token: 0,
      attempts: 0,
      steps: 0,
      maxAttempts: 5,
    });
    expect(await state.load(run.id)).toEqual(run);
    expect(await eventsOf(bus, run.id)).toMatchObject([
      {
        type: "run.queued",
        n: 1,
        target: "research",
        workflow: "research",
        correlation: "c-1",
        data: { kind: "workflow", name: "research", version: "2", queue: "slow" },
      },
    ]);
  });

  test.each<[string, object]>([
    ["no name", { name: undefined }],
    ["a name that is none", { name: "a/b" }],
    ["a priority beyond its bounds", { priority: 1_001 }],
    ["an option that there is not", { retries: 3 }],
    ["an empty key", { key: "" }],
    ["an id that is none", { id: "a b" }],
  ])("is refused with %s", async (_, options) => {
    const { state, bus } = await freshState();
    expect(await codeOf(() => started(state, options))).toBe("state.bad_option");
    expect((await bus.history()).events).toEqual([]);
  });

  test("takes JSON only, of which there is not too much", async () => {
    const { state, bus } = await freshState();
    expect(await codeOf(() => started(state, { input: { when: new Date() } as never }))).toBe(
      "state.bad_option",
    );
    expect(await codeOf(() => started(state, { state: 1n as never }))).toBe("state.bad_option");
    expect(await codeOf(() => started(state, { input: "x".repeat(1024 * 1024) }))).toBe("schema.limit");
    expect((await bus.history()).events).toEqual([]);
    expect(await started(state, { input: "x".repeat(1024 * 1024 - 2) })).toMatch(/^r-/);
  });
});

describe("the same key", () => {
  /** Many keys, each by many who start it at once, in several processes. */
  async function expectOneEach(
    keys: number,
    starts: number,
    keyOf = (key: string): { key?: string } => ({ key }),
  ) {
    const { state, bus, db } = await freshState();
    const states = [state, (await stateOn(db)).state, (await stateOn(db)).state];
    const results = await Promise.all(
      range(keys).flatMap((key) =>
        range(starts).map((i) =>
          states[i % 3]!.start({ name: "research", input: { key }, ...keyOf(`k-${key}`) }).then(
            ({ run, existed }) => ({ key, id: run.id, existed }),
          ),
        ),
      ),
    );
    for (const ofKey of Map.groupBy(results, ({ key }) => key).values()) {
      expect(new Set(ofKey.map(({ id }) => id)).size).toBe(1);
      expect(ofKey.filter(({ existed }) => !existed)).toHaveLength(1);
    }
    expect(await db.query(surql`count(SELECT VALUE id FROM run)`)).toBe(keys);
    expect((await bus.history({ limit: 1_000 })).events).toHaveLength(keys);
    expect(await claimed(state, "w1", { max: 1_000, lease: 600_000 })).toHaveLength(keys);
  }

  test("is one run, whoever starts it, however many at once", () => expectOneEach(50, 20));

  test("control: without a key each of them is a run", async () => {
    await sabotage("no key", () => expectOneEach(3, 4, () => ({})));
  });

  test("means the same run after it is over, and gives its output", async () => {
    const { state } = await freshState();
    const id = await started(state, { key: "k", input: 1 });
    await state.commit(await held(state), { end: { complete: { total: 3 } } });
    expect(await state.start({ name: "research", key: "k", input: 1 })).toMatchObject({
      existed: true,
      run: { id, status: "completed", output: { total: 3 } },
    });
  });

  test("of a run of which something was told before is that run", async () => {
    const { state, bus } = await freshState();
    await bus.publish([
      { type: "order.placed", run: "order-1" },
      { type: "order.paid", run: "order-1" },
    ]);
    expect(await Promise.all(range(5).map(() => started(state, { id: "order-1" })))).toEqual(
      range(5).map(() => "order-1"),
    );
    expect(await storyOf(bus, "order-1")).toEqual(["order.placed", "order.paid", "run.queued"]);
    await state.commit(await held(state), { end: { complete: 1 } });
  });

  test("with another input is a conflict, and changes nothing", async () => {
    const { state, bus } = await freshState();
    const id = await started(state, { key: "k", input: { a: 1, b: 2 } });
    expect(await started(state, { key: "k", input: { b: 2, a: 1 } })).toBe(id);
    const conflict = await failureOf(() => started(state, { key: "k", input: "SECRET" }));
    expect(conflict).toMatchObject({ code: "state.run_conflict", details: { run: id, name: "research" } });
    expect(JSON.stringify(conflict)).not.toContain("SECRET");
    expect(await state.load(id)).toMatchObject({ input: { a: 1, b: 2 }, revision: 1 });
    expect(await storyOf(bus, id)).toEqual(["run.queued"]);
  });

  test("of another name is another run", async () => {
    const { state } = await freshState();
    expect(await started(state, { key: "k" })).not.toBe(await started(state, { key: "k", name: "other" }));
  });

  test("is one run through a line that loses the replies", async () => {
    const entry = new URL("./fixtures/serve-child.ts", import.meta.url);
    const engine = await servedEngine({ entry, folder: await freshFolder() });
    onTestFinished(() => engine.close());
    const proxy = await tcpProxy({ port: Number(new URL(engine.url).port) });
    onTestFinished(() => proxy.close());
    const opened = async (url: string, options: DatabaseOptions = {}): Promise<State> => {
      const db = await openDatabase({ url, token: engine.token, ...options });
      const bus = createEventBus(db);
      onTestFinished(async () => {
        await bus.close();
        await db.close({ deadline: 500 });
      });
      await bus.history({ limit: 1 }); // the tables are there
      return createState(db, bus);
    };
    const direct = await opened(engine.url);
    await started(direct, { key: "first" });
    const unsteady = await opened(`ws://${proxy.host}:${proxy.port}`, { heartbeat: 1_000 });
    /** Until it is known to be there; under its key that is once. */
    const insist = async (key: number) => {
      for (;;) {
        try {
          return await started(unsteady, { key: `k-${key}`, input: key });
        } catch (error) {
          const { retryable, outcome, code } = error as { retryable: boolean; outcome: string; code: string };
          if (!retryable && outcome !== "unknown" && code !== "db.unreachable") throw error;
        }
      }
    };
    let over = false;
    let hits = 0;
    const faults = (async () => {
      while (!over) {
        proxy.dropReplies();
        hits++;
        await new Promise((resolve) => setTimeout(resolve, 60));
        proxy.reset();
        proxy.pass();
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
    })();
    const oneOf = async (key: number) => {
      const all = await Promise.all([
        ...range(4).map(() => insist(key)),
        ...range(4).map(() => started(direct, { key: `k-${key}`, input: key })),
      ]);
      expect(new Set(all).size).toBe(1);
      return all[0]!;
    };
    const ids: string[] = [];
    try {
      while (hits < 3) ids.push(...(await Promise.all(range(10, ids.length).map(oneOf))));
    } finally {
      over = true;
    }
    await faults;
    console.log(`replies were lost ${hits} times, with ${ids.length} runs`);
    expect(new Set(ids).size).toBe(ids.length);
    expect(await claimed(direct, "w1", { max: 1_000, lease: 600_000 })).toHaveLength(ids.length + 1);
  });
});

describe("a child", () => {
  test("knows its parent and the root of its tree", async () => {
    const { state } = await freshState();
    const root = await started(state);
    const child = await started(state, { parent: root, parentStep: "main/ask#1" });
    const grandchild = await started(state, { parent: child });
    expect(await state.load(child)).toMatchObject({ parent: root, parentStep: "main/ask#1", root });
    expect(await state.load(grandchild)).toMatchObject({ parent: child, root });
  });

  test("has a parent that is there", async () => {
    const { state, bus } = await freshState();
    expect(await failureOf(() => started(state, { parent: "nobody" }))).toMatchObject({
      code: "state.not_found",
      details: { run: "nobody" },
    });
    expect((await bus.history()).events).toEqual([]);
  });

  test("is started under the lease of its parent, and not once that is lost", async () => {
    const clock = new VirtualClock(Date.now());
    const { state, db } = await freshState({ clock });
    const lease = await running(state);
    const parent = lease.run.id;
    const kept = await started(state, { parent, lease, name: "child", key: "a" });
    await clock.advance(15_001);
    const next = await held(state, "w2");
    expect(await failureOf(() => started(state, { parent, lease, name: "child", key: "b" }))).toMatchObject({
      code: "state.lease_lost",
      details: { run: parent, token: 1 },
    });
    const other = await started(state, { parent, lease: next, name: "child", key: "b" });
    const children = await db.query(surql`SELECT VALUE record::id(id) FROM run WHERE parent = ${parent}`);
    expect((children as string[]).toSorted()).toEqual([kept, other].toSorted());
  });
});

test("one that is put off is claimed when its time has come, and not before", async () => {
  const clock = new VirtualClock(Date.now());
  const { state } = await freshState({ clock });
  const id = await started(state, { availableAt: new Date(clock.now() + 5_000) });
  await clock.advance(4_999);
  expect(await claimed(state)).toEqual([]);
  await clock.advance(1);
  expect((await held(state)).run.id).toBe(id);
});
