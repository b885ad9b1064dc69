// What is known of agents, what they remember, and who is there to run them.

import { VirtualClock } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import type { State } from "../src/index.ts";
import { control, reworded, startMany, take } from "./support/claiming.ts";
import { freshState, stateOn } from "./support/fresh.ts";
import { tamperedState } from "./support/tampered.ts";

const told = async (bus: Awaited<ReturnType<typeof freshState>>["bus"]) =>
  (await bus.history()).events
    .filter(({ type }) => type.startsWith("agent."))
    .map(({ type, data }) => [type, data]);

describe("the registration", () => {
  test("is told once, and again when something has changed", async () => {
    const { state, bus } = await freshState();
    const first = {
      name: "research",
      version: "2",
      capabilities: ["web"],
      input: { type: "object" },
      description: "finds out",
    };
    expect(await state.agents.register(first)).toMatchObject({ ...first, status: "idle", running: 0 });
    await state.agents.register(first);
    await state.agents.register({ ...first, input: { type: "string" } });
    const { description: _, ...less } = first;
    expect(await state.agents.register(less)).not.toHaveProperty("description");
    const data = { name: "research", version: "2" };
    expect(await told(bus)).toEqual(Array.from({ length: 3 }, () => ["agent.registered", data]));
  });

  test("by many at once is told once", async () => {
    const { state, bus, db } = await freshState();
    const { state: other } = await stateOn(db);
    const all = [state, other].flatMap((each) => [1, 2, 3].map(() => each.agents.register({ name: "a" })));
    await Promise.all(all);
    expect(await told(bus)).toHaveLength(1);
  });

  test("is found by name, with all versions, or one; what is not there is not found", async () => {
    const { state } = await freshState();
    await state.agents.register({ name: "a", version: "1" });
    await state.agents.register({ name: "a", version: "2", queue: "slow" });
    await state.agents.register({ name: "ab" });
    expect((await state.agents.get("a")).map(({ version }) => version)).toEqual(["1", "2"]);
    expect(await state.agents.get("a", "2")).toMatchObject({ queue: "slow" });
    for (const ask of [
      () => state.agents.get("b"),
      () => state.agents.get("a", "3"),
      () => state.agents.pause("b"),
    ])
      await expect(ask()).rejects.toMatchObject({ code: "state.not_found" });
    await expect(state.agents.register({ name: "no name" })).rejects.toMatchObject({
      code: "state.bad_option",
    });
  });

  test("all are listed page by page, or those that can do something", async () => {
    const { state } = await freshState();
    for (const name of ["a", "b", "c"])
      for (const version of ["1", "2"])
        await state.agents.register({
          name,
          version,
          capabilities: version === "2" ? ["web", name] : [],
          queue: `q-${name}`,
        });
    const pages: string[][] = [];
    for (let after: string | undefined = ""; after !== undefined;) {
      const page = await state.agents.list({ limit: 4, ...(after ? { after } : {}) });
      pages.push(page.agents.map(({ name, version }) => `${name}@${version}`));
      after = page.next;
    }
    expect(pages).toEqual([
      ["a@1", "a@2", "b@1", "b@2"],
      ["c@1", "c@2"],
    ]);
    const able = await state.agents.list({ capability: "web", limit: 2 });
    expect(able).toMatchObject({ agents: [{ name: "a" }, { name: "b" }], next: "b@2" });
    expect((await state.agents.list({ capability: "web", after: able.next! })).agents).toHaveLength(1);
    expect((await state.agents.list({ queue: "q-c" })).agents).toHaveLength(2);
    await expect(state.agents.list({ limit: 10_000 })).rejects.toMatchObject({ code: "schema.limit" });
  });

  test("the status is what its runs make it", async () => {
    const { state } = await freshState();
    await state.agents.register({ name: "a" });
    await startMany(state, 3);
    const [lease] = await take(state, 2);
    expect(await state.agents.get("a", "1")).toMatchObject({ status: "running", running: 2 });
    await state.agents.pause("a");
    expect((await state.agents.list()).agents).toMatchObject([{ status: "paused", running: 2 }]);
    await state.commit(lease!, { end: { complete: 1 } });
    await state.agents.resume("a");
    expect(await state.agents.get("a")).toMatchObject([{ status: "running", running: 1 }]);
  });
});

describe("a pause", () => {
  test("is of all versions, also of one that comes later: a redeploy does not end it", async () => {
    const { state, bus } = await freshState();
    await state.agents.register({ name: "a", version: "1" });
    await state.agents.pause("a", { by: "ada", reason: "its model is down" });
    await state.agents.pause("a", { by: "bob" });
    expect(await state.agents.register({ name: "a", version: "2" })).toMatchObject({
      status: "paused",
      pausedBy: "ada",
    });
    expect(await state.agents.register({ name: "a", version: "1", queue: "other" })).toMatchObject({
      status: "paused",
    });
    await startMany(state, 1, { version: "2" });
    expect(await state.claim({ worker: "w", serves: [{ name: "a", versions: ["2"] }] })).toEqual([]);
    expect(await state.agents.resume("a")).toMatchObject([{ status: "idle" }, { status: "idle" }]);
    await state.agents.resume("a");
    expect((await told(bus)).filter(([type]) => type !== "agent.registered")).toEqual([
      ["agent.paused", { name: "a", by: "ada", reason: "its model is down" }],
      ["agent.resumed", { name: "a", by: "somebody" }],
    ]);
  });

  test("that comes while a version is registered is not undone by it", async () => {
    const { state, db, bus } = await freshState();
    await state.agents.register({ name: "a", version: "1" });
    const paused = async (protect: boolean, version: string) => {
      await state.agents.resume("a");
      const held = tamperedState(db, bus, async (entry) => {
        await state.agents.pause("a");
        return protect ? entry : reworded(entry, "$paused.pausedAt", "NONE");
      });
      return (await held.agents.register({ name: "a", version, queue: "other" })).status;
    };
    expect(await paused(true, "1")).toBe("paused");
    expect(await paused(true, "2")).toBe("paused");
    await control("a registration that writes what it knows", async () =>
      expect(await paused(false, "3")).toBe("paused"),
    );
  });

  test("that was answered is followed by no claim, however many race with it", async () => {
    const { state, db, bus } = await freshState();
    const { state: other } = await stateOn(db);
    await state.agents.register({ name: "a" });
    await startMany(state, 30);
    let isPaused = false;
    const late: string[] = [];
    const claimAll = async (each: State) => {
      for (let i = 0; i < 6; i++) {
        const asked = isPaused;
        const leases = await take(each, 1);
        if (asked) late.push(...leases.map(({ run }) => run.id));
      }
    };
    const pause = state.agents.pause("a").then(() => (isPaused = true));
    await Promise.all([pause, ...[state, other, state, other].map(claimAll)]);
    expect(late).toEqual([]);
    const { events } = await bus.history({ limit: 500 });
    const at = events.findIndex(({ type }) => type === "agent.paused");
    expect(events.slice(at).filter(({ type }) => type === "run.started")).toEqual([]);
  });
});

describe("what an agent remembers", () => {
  test("is made once, read, and changed from the revision that was read", async () => {
    const { state, bus } = await freshState();
    const { agents } = state;
    await expect(agents.getState("a")).rejects.toMatchObject({
      code: "state.not_found",
      details: { agent: "a" },
    });
    await expect(agents.get("a", "2")).rejects.toMatchObject({ details: { agent: "a", version: "2" } });
    await expect(agents.updateState("a", () => ({}))).rejects.toMatchObject({ code: "state.not_found" });
    expect(await agents.createState("a", { seen: [] })).toMatchObject({
      name: "a",
      revision: 1,
      state: { seen: [] },
    });
    await expect(agents.createState("a", {})).rejects.toMatchObject({
      code: "state.revision_mismatch",
      details: { revision: 1 },
    });
    expect(await agents.updateState("a", { seen: [1] }, { revision: 1 })).toMatchObject({ revision: 2 });
    await expect(agents.updateState("a", { seen: [2] }, { revision: 1 })).rejects.toMatchObject({
      code: "state.revision_mismatch",
      details: { expected: 1, revision: 2 },
    });
    await expect(agents.updateState("a", { seen: [2] } as never)).rejects.toMatchObject({
      code: "state.bad_option",
    });
    await expect(agents.createState("b", { at: 1n } as never)).rejects.toMatchObject({
      code: "state.bad_option",
    });
    expect(await agents.getState("a")).toMatchObject({ revision: 2, state: { seen: [1] } });
    expect(await told(bus)).toEqual([
      ["agent.changed", { name: "a", revision: 1 }],
      ["agent.changed", { name: "a", revision: 2 }],
    ]);
  });

  const expectCounted = async (states: readonly State[], times: number) => {
    await states[0]!.agents.createState("a", { count: 0 });
    const changes = Array.from({ length: times }, (_, i) =>
      states[i % states.length]!.agents.updateState("a", (now) => ({ count: now.count + 1 })),
    );
    await Promise.all(changes);
    expect(await states[0]!.agents.getState("a")).toMatchObject({
      revision: 1 + times,
      state: { count: times },
    });
  };

  test("no change of many at once is lost", async () => {
    const { state, db } = await freshState();
    await expectCounted([state, (await stateOn(db)).state], 12);
  });

  test("control: without the revision changes are lost", async () => {
    const { db, bus } = await freshState();
    const loose = tamperedState(db, bus, (entry) => reworded(entry, "WHERE revision =", "WHERE 0 !="));
    await control("no revision", () => expectCounted([loose], 20));
  });
});

describe("workers", () => {
  const beat = {
    id: "w-1",
    host: "h",
    pid: 7,
    release: "1.0.0",
    queues: ["default"],
    serves: ["a@1"],
    slots: 4,
    running: 0,
  };

  test("tell of themselves, and are live for 30 seconds", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    const first = await state.workers.beat(beat);
    await clock.advance(29_999);
    expect(await state.workers.list()).toMatchObject([{ id: "w-1", live: true, running: 0 }]);
    const second = await state.workers.beat({ ...beat, running: 2, drainingAt: new Date(clock.now()) });
    expect(second).toMatchObject({ startedAt: first.startedAt, seenAt: new Date(clock.now()), running: 2 });
    await clock.advance(30_000);
    expect(await state.workers.list()).toEqual([]);
    expect(await state.workers.list({ live: false })).toMatchObject([{ id: "w-1", live: false }]);
    expect(await state.workers.beat(beat)).not.toHaveProperty("drainingAt");
    expect(await state.workers.get("w-1")).toMatchObject({ live: true });
  });

  test("are forgotten when they say so, or were silent for a day", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    for (const id of ["w-1", "w-2", "w-3"]) await state.workers.beat({ ...beat, id });
    expect(await state.workers.remove("w-1")).toBe(true);
    expect(await state.workers.remove("w-1")).toBe(false);
    await clock.advance(24 * 3_600_000);
    await state.workers.beat({ ...beat, id: "w-3" });
    expect((await state.sweep()).removed).toEqual([]);
    await clock.advance(1);
    expect((await state.sweep()).removed).toEqual(["w-2"]);
    expect((await state.workers.list({ live: false })).map(({ id }) => id)).toEqual(["w-3"]);
    await expect(state.workers.get("w-2")).rejects.toMatchObject({ code: "state.not_found" });
    await expect(state.workers.beat({ ...beat, slots: -1 })).rejects.toMatchObject({
      code: "state.bad_option",
    });
  });
});
