import { surql } from "@sentient/db-pool";
import { sabotage, seeded, VirtualClock } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import type { Signal, State } from "../src/index.ts";
import { freshState, stateOn } from "./support/fresh.ts";
import { INJECTIONS } from "./support/injections.ts";
import { codeOf, failureOf, held, running, serves, started } from "./support/runs.ts";
import { tamperedState, without } from "./support/tampered.ts";

const forGo = { end: { wait: [{ for: "signal" as const, at: "go#1" as never, name: "go" as never }] } };

async function typesOf(state: State, run: string): Promise<string[]> {
  return (await state.history(run)).events.map(({ type }) => type);
}

describe("a signal", () => {
  test("is kept though nobody waits for it, and taken once, the oldest first", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    const run = lease.run.id;
    const sent: Signal[] = [];
    for (const i of [1, 2, 3]) sent.push(await state.signal(run, "go", { i }, { source: "ada" }));
    await state.signal(run, "other", "x");
    expect(await state.nextSignal(lease, "go")).toEqual(sent[0]);
    expect(sent[0]).toMatchObject({ run, name: "go", data: { i: 1 }, source: "ada" });
    const take = (n: number, key: string) =>
      state.commit(lease, {
        takes: [{ n, key }],
        steps: [{ key, name: "go", status: "completed", result: n }],
      });
    await take(sent[0]!.n, "go#1");
    expect(await codeOf(() => take(sent[0]!.n, "go#2"))).toBe("state.not_open");
    expect((await state.journal(run)).has("go#2")).toBe(false);
    expect((await state.nextSignal(run, "go"))?.data).toEqual({ i: 2 });
    expect((await state.signals(run, { taken: true })).signals).toEqual([{ ...sent[0], takenBy: "go#1" }]);
    expect((await state.signals(run, { taken: false, name: "go" })).signals).toHaveLength(2);
    expect((await state.signals(run)).signals).toHaveLength(4);
    expect(await state.nextSignal(run, "nobody")).toBeUndefined();
  });

  test("is of the event that told of it, which says its name and not what it carries", async () => {
    const { state } = await freshState();
    const run = await started(state);
    const { n } = await state.signal(run, "go", { secret: "s3cret" });
    const [, event] = (await state.history(run)).events;
    expect(event).toMatchObject({ n, type: "signal.received", data: { name: "go" } });
    expect(JSON.stringify(event)).not.toContain("s3cret");
  });

  test("wakes a run that waits for its name, and no other, in the same commit", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    const run = lease.run.id;
    await state.commit(lease, forGo);
    await state.signal(run, "other");
    expect((await state.load(run)).status).toBe("waiting");
    await state.signal(run, "go", 1);
    expect((await state.load(run)).status).toBe("queued");
    const { events } = await state.history(run, { order: "desc", limit: 2 });
    expect(events).toMatchObject([
      { type: "run.resumed", data: { key: "go#1" } },
      { type: "signal.received", data: { name: "go" } },
    ]);
    expect((await state.nextSignal(await held(state), "go"))?.data).toBe(1);
  });

  test("is kept by a run that is paused, which then need not wait", async () => {
    const { state } = await freshState();
    const run = await started(state);
    await state.pause(run);
    await state.signal(run, "go", 7);
    await state.resume(run);
    const lease = await held(state);
    const failure = await failureOf(() => state.commit(lease, forGo));
    expect(failure).toMatchObject({ code: "state.nothing_to_wait_for", retryable: true });
    expect((await state.nextSignal(lease, "go"))?.data).toBe(7);
    await state.commit(lease, { end: { complete: null } });
  });

  test("is refused by a run that is over, and where there is none", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    await state.commit(lease, { end: { complete: 1 } });
    const failure = await failureOf(() => state.signal(lease.run.id, "go"));
    expect(failure).toMatchObject({ code: "state.illegal_transition", details: { status: "completed" } });
    expect(await codeOf(() => state.signal("nowhere", "go"))).toBe("state.not_found");
    expect(await codeOf(() => state.signals("nowhere"))).toBe("state.not_found");
  });

  test("is no larger than 256 KiB, and JSON", async () => {
    const { state } = await freshState();
    const run = await started(state);
    expect(await codeOf(() => state.signal(run, "go", "x".repeat(300_000)))).toBe("schema.limit");
    expect(await codeOf(() => state.signal(run, "go", NaN))).toBe("state.bad_option");
    expect(await typesOf(state, run)).toEqual(["run.queued"]);
  });

  test("goes to one of two branches that both wait for it", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    const { n } = await state.signal(lease.run.id, "go");
    const results = await Promise.allSettled(
      ["a/go#1", "b/go#1"].map((key) => state.commit(lease, { takes: [{ n, key }] })),
    );
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect((await state.signals(lease.run.id)).signals).toHaveLength(1);
  });

  test("is listed in pages, however far apart signals lie", async () => {
    const { state, bus } = await freshState();
    const run = await started(state);
    for (let i = 0; i < 7; i++) {
      await state.signal(run, "go", i);
      if (i % 3 === 0)
        await bus.publish(Array.from({ length: 500 }, () => ({ type: "noise.made", run: run })));
    }
    const seen: unknown[] = [];
    for (let after: number | undefined = 0; after !== undefined;) {
      const page: Awaited<ReturnType<State["signals"]>> = await state.signals(run, { after, limit: 2 });
      expect(page.signals.length).toBeLessThanOrEqual(2);
      seen.push(...page.signals.map(({ data }) => data));
      after = page.next;
    }
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(await codeOf(() => state.signals(run, { limit: 100_000 }))).toBe("schema.limit");
  });

  test("ends a wait that has a time by then, or the time does", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    const lease = await running(state);
    const until = new Date(clock.now() + 60_000);
    await state.commit(lease, { end: { wait: [{ ...forGo.end.wait[0]!, until }] } });
    expect(await state.claim({ worker: "w-1", serves })).toHaveLength(0);
    await clock.advance(60_000);
    const again = await held(state);
    expect(await state.nextSignal(again, "go")).toBeUndefined();
  });
});

describe("a signal with an id", () => {
  test("is said once, however often it is said, whatever became of the run meanwhile", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    const run = lease.run.id;
    const say = () => state.signal(run, "go", { total: 12 }, { id: "payment-17" });
    await state.commit(lease, forGo);
    const first = await say();
    expect(await say()).toEqual(first); // while it is queued
    const second = await held(state);
    await state.commit(second, { takes: [{ n: first.n, key: "go#1" }], ...forGo });
    expect(await say()).toEqual({ ...first, takenBy: "go#1" });
    expect((await state.load(run)).status).toBe("waiting"); // it is not woken a second time
    await state.cancel(run);
    expect(await say()).toMatchObject({ n: first.n });
    expect((await typesOf(state, run)).filter((type) => type === "signal.received")).toHaveLength(1);
  });

  test("is said once by many at once, to a run that waits", async () => {
    const { state, db } = await freshState();
    const other = await stateOn(db);
    const lease = await running(state);
    const run = lease.run.id;
    await state.commit(lease, forGo);
    const all = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        (i % 2 ? state : other.state).signal(run, "go", 5, { id: "payment-18" }),
      ),
    );
    expect(new Set(all.map(({ n }) => n)).size).toBe(1);
    expect((await state.signals(run)).signals).toHaveLength(1);
    expect((await typesOf(state, run)).filter((type) => type === "run.resumed")).toHaveLength(1);
  });

  test("cannot say something else, nor to another run", async () => {
    const { state } = await freshState();
    const [one, other] = [await started(state), await started(state)];
    await state.signal(one, "go", 1, { id: "e-1" });
    for (const say of [
      () => state.signal(one, "go", 2, { id: "e-1" }),
      () => state.signal(one, "stop", 1, { id: "e-1" }),
      () => state.signal(other, "go", 1, { id: "e-1" }),
    ])
      expect(await codeOf(say)).toBe("event_bus.event_conflict");
    expect((await state.signals(other)).signals).toEqual([]);
  });
});

describe("a wait that is committed while a signal arrives", () => {
  type Tamper = Parameters<typeof tamperedState>[2];
  const asIs: Tamper = (entry) => entry;

  /** The signal is committed after the worker has decided to wait, and before it says so. */
  async function expectSignalFound(tamper: Tamper): Promise<void> {
    const { state, db, bus } = await freshState();
    const lease = await running(state);
    const run = lease.run.id;
    const late = tamperedState(db, bus, async (entry) => {
      await state.signal(run, "go");
      return tamper(entry);
    });
    await late.commit(lease, forGo).catch(() => {});
    expect((await state.load(run)).status).not.toBe("waiting");
  }

  /** The wait is committed after the signal has found nobody waiting, and before it is kept. */
  async function expectWaitWoken(tamper: Tamper): Promise<void> {
    const { state, db, bus } = await freshState();
    const lease = await running(state);
    const run = lease.run.id;
    let waits: Promise<unknown> | undefined;
    const late = tamperedState(db, bus, async (entry) => {
      await (waits ??= state.commit(lease, forGo));
      return tamper(entry);
    });
    await late.signal(run, "go");
    expect((await state.load(run)).status).toBe("queued");
    expect((await state.signals(run)).signals).toHaveLength(1);
  }

  test("finds it, if the signal was first", () => expectSignalFound(asIs));
  test("is woken by it, if the wait was first", () => expectWaitWoken(asIs));

  test("control: each of the two conditions is needed", async () => {
    await sabotage("waits whatever is there", () =>
      expectSignalFound((entry) => without(entry, "WHERE untaken")),
    );
    await sabotage("signals a run that has changed", () =>
      expectWaitWoken((entry) => without(entry, "SELECT VALUE revision")),
    );
  });

  test("is never lost, from two processes, however they meet", async () => {
    const { state, db } = await freshState();
    const other = await stateOn(db);
    const random = seeded();
    console.log(`SEED=${random.seed}`);
    for (let round = 0; round < 25; round++) {
      const lease = await running(state);
      const run = lease.run.id;
      const pause = async (turns: number) => {
        for (let i = 0; i < turns; i++) await db.query(surql`RETURN 1`);
      };
      const [wait] = await Promise.allSettled([
        pause(random.int(4)).then(() => state.commit(lease, forGo)),
        pause(random.int(3)).then(() => other.state.signal(run, "go", round)),
      ]);
      const { status } = await state.load(run);
      expect(status, `round ${round}`).toBe(wait.status === "fulfilled" ? "queued" : "running");
      await state.cancel(run, { force: true });
    }
  });
});

test("texts that would do harm are refused as names and ids, and carried as data", async () => {
  const { state, db } = await freshState();
  await db.query(surql`CREATE canary:1 SET alive = true`);
  const run = await started(state);
  for (const text of INJECTIONS) {
    expect(await codeOf(() => state.signal(run, text))).toBe("state.bad_option");
    expect(await codeOf(() => state.signal(run, "go", 1, { id: text }))).toBe("state.bad_option");
    expect(await codeOf(() => state.signals(run, { name: text }))).toBe("state.bad_option");
    expect(await codeOf(() => state.nextSignal(run, text))).toBe("state.bad_option");
    expect(await codeOf(() => state.signal(text, "go"))).toBe("state.not_found");
    await state.signal(run, "go", { [text === "__proto__" ? "key" : text]: text }, { source: text });
  }
  const { signals } = await state.signals(run);
  expect(signals.map(({ source }) => source)).toEqual([...INJECTIONS]);
  expect(signals.map(({ data }) => Object.values(data as object)[0])).toEqual([...INJECTIONS]);
  expect(await db.query(surql`SELECT VALUE alive FROM canary`)).toEqual([true]);
});
