// Deadlines of runs that nobody holds: the sweep ends them, whether anybody could claim them or not.

import { surql } from "@sentient/db-pool";
import { VirtualClock } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { control, reworded, serving, startMany, take } from "./support/claiming.ts";
import { freshState, stateOn, type Fresh } from "./support/fresh.ts";
import { tamperedState, type Entry } from "./support/tampered.ts";

const LATE = { status: "cancelled", cancelledBy: "its deadline", reason: "its deadline has passed" };
const IN = 10_000;

async function stage(): Promise<Fresh & { clock: VirtualClock; deadline: Date }> {
  const clock = new VirtualClock();
  return { ...(await freshState({ clock })), clock, deadline: new Date(clock.now() + IN) };
}

type Stage = Awaited<ReturnType<typeof stage>>;
type Setting = (at: Stage) => Promise<string>;

const queued: Setting = async ({ state, deadline }) => (await startMany(state, 1, { deadline }))[0]!;
const putOff =
  (ms: number): Setting =>
  async ({ state, clock, deadline }) =>
    (await startMany(state, 1, { deadline, availableAt: new Date(clock.now() + ms) }))[0]!;
const waiting =
  (until?: number): Setting =>
  async (at) => {
    const id = await queued(at);
    const [lease] = await take(at.state);
    const time = until === undefined ? {} : { until: new Date(at.clock.now() + until) };
    await at.state.commit(lease!, { end: { wait: [{ for: "signal", at: "go#1", name: "go", ...time }] } });
    return id;
  };
const paused: Setting = async (at) => {
  const id = await queued(at);
  await at.state.pause(id, { by: "ada" });
  return id;
};

describe("a run that nobody claims is cancelled by the first sweep after its deadline, and not before", () => {
  test.each<[string, Setting]>([
    ["it waits for its turn", queued],
    ["it was put off until before its deadline", putOff(IN - 1)],
    ["it was put off until after its deadline", putOff(IN + 1)],
    ["it waits without an end", waiting()],
    ["its wait ends before its deadline", waiting(1)],
    ["its wait ends after its deadline", waiting(IN * 2)],
    ["it is paused", paused],
    [
      "its worker let go of it",
      async (at) => {
        const id = await queued(at);
        const [lease] = await take(at.state);
        await at.state.commit(lease!, { steps: [], end: { release: true } });
        return id;
      },
    ],
    [
      "it was resumed",
      async (at) => {
        const id = await paused(at);
        await at.state.resume(id);
        return id;
      },
    ],
  ])("%s", async (_, set) => {
    const at = await stage();
    const { state, clock } = at;
    const id = await set(at);
    await startMany(state, 1); // has no deadline
    const before = await state.load(id);
    await clock.advance(IN - 1);
    const early = await state.sweep();
    expect(early).toMatchObject({ late: [], problems: [], nextAt: at.deadline });
    expect(await state.load(id)).toEqual(before);
    await clock.advance(1);
    expect(await state.sweep()).toMatchObject({ late: [id], problems: [] });
    expect(await state.load(id)).toMatchObject(LATE);
    expect((await state.sweep()).late).toEqual([]);
    expect(await take(state, 5)).toHaveLength(1);
  });
});

test("an agent that is paused, or served by nobody, does not keep its runs, nor those who wait for them", async () => {
  const { state, clock, deadline } = await stage();
  await state.agents.register({ name: "a" });
  await state.agents.pause("a", { by: "ada" });
  const [id] = await startMany(state, 1, { deadline });
  await state.start({ name: "parent" });
  const [parent] = await state.claim({ worker: "w", serves: serving("parent") });
  await state.commit(parent!, { end: { wait: [{ for: "run", at: "c#1", run: id! }] } });
  await clock.advance(IN);
  expect(await take(state)).toEqual([]);
  expect(await state.explain(id!)).toMatchObject([
    { code: "deadline_passed", message: expect.stringContaining("the next sweep cancels it") as string },
    { code: "agent_paused" },
    { code: "no_worker" },
  ]);
  await state.sweep();
  expect(await state.load(id!)).toMatchObject(LATE);
  expect((await state.load(parent!.run.id)).status).toBe("queued");
});

describe("a run is asked to end, once, and a worker sees to the rest", () => {
  test.each(["queued", "waiting", "paused"])("if it has something to undo (%s)", async (status) => {
    const at = await stage();
    const { state, clock } = at;
    const id = await queued(at);
    const [first] = await take(state);
    const wait = { wait: [{ for: "signal" as const, at: "go#1", name: "go" }] };
    await state.commit(first!, { compensates: true, end: status === "waiting" ? wait : { release: true } });
    if (status === "paused") await state.pause(id);
    await clock.advance(IN);
    expect((await state.sweep()).late).toEqual([id]);
    expect((await state.sweep()).late).toEqual([]);
    expect(await state.explain(id)).toMatchObject([
      { code: "asked_to_cancel", by: "its deadline" },
      { code: "no_worker" },
    ]);
    const [lease] = await take(state);
    expect(lease!.run).toMatchObject({ id, asked: { what: "cancel", reason: LATE.reason } });
  });

  test("if something goes on that it has started", async () => {
    const at = await stage();
    const { state, clock } = at;
    const id = await queued(at);
    const [first] = await take(state);
    const child = await state.start({ name: "child", parent: id, parentStep: "c", lease: first! });
    await state.commit(first!, { end: { wait: [{ for: "run", at: "c", run: child.run.id }] } });
    await clock.advance(IN);
    expect((await state.sweep()).late).toEqual([id]);
    expect((await take(state))[0]!.run).toMatchObject({ id, asked: { what: "cancel", by: "its deadline" } });
  });

  test("and not at all if somebody has asked already", async () => {
    const at = await stage();
    const { state, clock } = at;
    const id = await queued(at);
    const [first] = await take(state);
    await state.commit(first!, { compensates: true, end: { release: true } });
    await state.cancel(id, { by: "ada" });
    await clock.advance(IN);
    expect((await state.sweep()).late).toEqual([]);
    expect(await state.load(id)).toMatchObject({ status: "queued", asked: { by: "ada" } });
  });
});

describe("a run is left alone", () => {
  test("as long as somebody holds it; one that is not heard of any more loses it in the same sweep", async () => {
    const at = await stage();
    const { state, clock } = at;
    const id = await queued(at);
    const [lease] = await take(state);
    await clock.advance(IN);
    expect((await state.sweep()).late).toEqual([]);
    expect(await state.load(id)).toMatchObject({ status: "running" });
    await clock.advance(lease!.run.lease.until.getTime() - clock.now());
    expect(await state.sweep()).toMatchObject({ released: [id], late: [id] });
    expect(await state.load(id)).toMatchObject(LATE);
  });

  test("while it is parked, until somebody resumes it", async () => {
    const at = await stage();
    const { state, clock } = at;
    const id = await queued(at);
    const [lease] = await take(state);
    const problem = { name: "E", message: "m", retryable: false };
    await state.commit(lease!, { end: { park: { reason: "asked", problem } } });
    await clock.advance(IN);
    expect((await state.sweep()).late).toEqual([]);
    expect(await state.load(id)).toMatchObject({ status: "parked" });
    await state.resume(id);
    expect((await state.sweep()).late).toEqual([id]);
  });
});

test("they are looked at as many at once as is said, and there is more to do at once", async () => {
  const { state, clock, deadline } = await stage();
  await startMany(state, 3, { deadline });
  await startMany(state, 2, { deadline, availableAt: new Date(clock.now() + 1) });
  await clock.advance(IN);
  const now = new Date(clock.now());
  for (const nextAt of [now, now, undefined]) {
    const swept = await state.sweep({ limit: 2 });
    expect(swept.late).toHaveLength(nextAt ? 2 : 1);
    expect(swept.nextAt).toEqual(nextAt);
  }
});

test("a deadline that is still to come keeps nobody from parking what has no attempts left", async () => {
  const { state, clock, deadline } = await stage();
  const id = (await startMany(state, 1, { deadline: new Date(deadline.getTime() * 2), maxAttempts: 1 }))[0]!;
  const [lease] = await take(state);
  await clock.advance(lease!.run.lease.until.getTime() - clock.now());
  expect(await state.sweep()).toMatchObject({ released: [id], late: [] });
  expect(await take(state)).toEqual([]);
  expect(await state.load(id)).toMatchObject({ status: "parked", parkedFor: "attempts_exhausted" });
});

test("a run whose row is from before such places, is cancelled by whoever claims it", async () => {
  const { state, db, clock, deadline } = await stage();
  const [id] = await startMany(state, 1, { deadline });
  await db.query(surql`UPDATE run SET seek.due = NONE, seek.dueAt = NONE RETURN NONE`);
  await clock.advance(IN);
  expect((await state.sweep()).late).toEqual([]);
  expect(await take(state)).toEqual([]);
  expect(await state.load(id!)).toMatchObject(LATE);
});

describe("four who sweep, and those who claim, pause and resume meanwhile", () => {
  async function expectOneEndEach(change: (entry: Entry) => Entry): Promise<void> {
    const { state, db, bus, clock, deadline } = await stage();
    const { bus: secondBus } = await stateOn(db, { clock });
    const states = [bus, secondBus].map((each) => tamperedState(db, each, change, { clock }));
    const ids = await startMany(state, 12, { deadline });
    for (const id of ids.slice(0, 4)) await state.pause(id);
    await clock.advance(IN);
    const settled = await Promise.allSettled([
      ...[0, 1, 0, 1].map((i) => states[i]!.sweep()),
      ...states.map((each) => take(each, 12)),
      ...ids.slice(2, 6).map((id) => states[0]!.resume(id)),
      ...ids.slice(6, 8).map((id) => states[1]!.pause(id)),
    ]);
    for (const each of settled)
      if (each.status === "rejected") expect(each.reason).toMatchObject({ code: "state.illegal_transition" });
    await state.sweep();
    const { events } = await bus.history({ limit: 1_000 });
    const ends = events.filter(({ type }) => type === "run.cancelled").map(({ run }) => run);
    expect(ends).toHaveLength(ids.length);
    expect(new Set(ends)).toEqual(new Set(ids));
    for (const id of ids) expect(await state.load(id)).toMatchObject(LATE);
  }

  test("end each of them once", () => expectOneEndEach((entry) => entry));

  test("which is because each is ended as it was read", () =>
    control("a run is written whatever it has become", () =>
      expectOneEndEach((entry) => reworded(entry, "WHERE revision = ", "WHERE 0 < ")),
    ));
});
