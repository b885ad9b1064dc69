// A little program that does everything a run can do once, and everybody who has a part in it: its workers, who asks it, and
// who stops it. What it remembers it does not do again, so whoever drives it after another goes on where that one was killed.

import type { Database } from "@sentient/db-pool";
import type { Entry, EventBus } from "@sentient/event-bus";
import type { EffectLedger } from "@sentient/testkit";
import type { Json } from "@sentient/schema";
import type { Change } from "../../src/change.ts";
import type { State } from "../../src/index.ts";
import type { Journal } from "../../src/journal.ts";
import type { Lease } from "../../src/lease.ts";
import type { Run } from "../../src/run.ts";

export interface Stage {
  db: Database;
  bus: EventBus;
  state: State;
  /** What was really done, kept outside the database. */
  ledger: EffectLedger<{ run: string; key: string }>;
  /** Its runs are called after it. */
  name: string;
  worker: string;
  /** Whether what belongs together is committed one after the other, as nobody should. */
  isTorn?: boolean;
}

/** Short, as nobody else claims while it is held. */
const LEASE_MS = 200;

const runsOf = (name: string): Record<"parent" | "child" | "undone", string> => ({
  parent: `${name}-parent`,
  child: `${name}-child`,
  undone: `${name}-undone`,
});

/** Until all of it is over. */
export async function drive(stage: Stage): Promise<void> {
  const { state, name } = stage;
  const { parent, undone } = runsOf(name);
  await state.start({ name: parent, id: parent, kind: "workflow", input: { cents: 100 } });
  for (;;) {
    const run = await state.load(parent);
    if ("endedAt" in run) break;
    await driveOn(run, stage);
  }
  await state.start({ name: undone, id: undone });
  while (!("endedAt" in (await state.load(undone)))) await work(undone, undo, stage);
}

async function driveOn(run: Run, stage: Stage): Promise<void> {
  const { state } = stage;
  const [wait] = run.status === "waiting" ? run.waitingFor : [];
  switch (wait?.for) {
    case "run":
      return work(wait.run, childProgram, stage);
    case "signal":
      return void (await state.signal(run.id, "paid", { by: "card" }, { id: `${run.id}-paid` }));
    case "question":
      return void (await state.answer(run.id, wait.at, true, { by: "ada" }));
    default:
      return work(run.id, program, stage);
  }
}

/** One lease of a run, if it is to be had. */
async function work(run: string, does: (held: Holding) => Promise<void>, stage: Stage): Promise<void> {
  const { state, worker } = stage;
  const serves = [{ name: run, versions: ["1"] }];
  const [lease] = await state.claim({ worker, serves, lease: LEASE_MS });
  if (!lease) {
    await new Promise((resolve) => setTimeout(resolve, 20)); // somebody who is gone still holds it
    return;
  }
  await does(new Holding(lease, await state.journal(lease), stage));
}

/** A worker with a run. */
class Holding {
  readonly lease: Lease;
  readonly stage: Stage;
  readonly #journal: Journal;

  constructor(lease: Lease, journal: Journal, stage: Stage) {
    this.lease = lease;
    this.#journal = journal;
    this.stage = stage;
  }

  isDone(key: string): boolean {
    return this.#journal.get(key)?.status === "completed";
  }

  hasBegun(key: string): boolean {
    return this.#journal.has(key);
  }

  commit(change: Change): Promise<unknown> {
    return this.stage.state.commit(this.lease, change);
  }

  /** Does something outside the database, unless it is remembered. */
  async effect(key: string, more: Change = {}): Promise<void> {
    if (this.isDone(key)) return;
    this.stage.ledger.record({ run: this.lease.run.id, key });
    if (this.stage.isTorn) {
      await this.commit({ steps: [{ key, name: key, status: "completed", result: { did: key } as Json }] });
      if (Object.keys(more).length > 0) await this.commit(more);
      return;
    }
    await this.commit({
      ...more,
      steps: [{ key, name: key, status: "completed", result: { did: key } as Json }],
    });
  }

  /** Remembers that it has come here, and lets go of the run. @returns whether it did so now */
  async letGo(key: string, change: Change): Promise<boolean> {
    if (this.isDone(key)) return false;
    await this.commit({ ...change, steps: [{ key, name: key, status: "completed", result: null }] });
    return true;
  }
}

async function program(held: Holding): Promise<void> {
  const { lease, stage } = held;
  const { id } = lease.run;
  const { child } = runsOf(stage.name);
  await held.effect("charge", { state: { charged: 100 } });
  if (!held.hasBegun("ship"))
    await held.commit({ steps: [{ key: "ship", name: "ship", status: "started" }] });
  await held.effect("ship", { state: { charged: 100, shipped: true } });
  await held.effect("half", { checkpoint: { name: "half" } });
  const soon = new Date(Date.now() + 1);
  if (await held.letGo("nap", { end: { wait: [{ for: "timer", at: "nap", until: soon }] } })) return;
  if (!held.isDone("child"))
    await stage.state.start({ name: child, id: child, parent: id, parentStep: "child", lease });
  if (await held.letGo("child", { end: { wait: [{ for: "run", at: "child", run: child }] } })) return;
  if (await held.letGo("invoiced", { end: { wait: [{ for: "signal", at: "invoiced", name: "paid" }] } }))
    return;
  if (!held.isDone("paid")) {
    const { signals } = await stage.state.signals(id, { name: "paid", taken: false });
    await held.effect("paid", { takes: [{ n: signals[0]!.n, key: "paid" }] });
  }
  const asks = [{ key: "sure", text: "are you sure?" }];
  if (await held.letGo("asked", { asks, end: { wait: [{ for: "question", at: "sure" }] } })) return;
  await held.effect("answered", { state: { charged: 100, shipped: true, sure: true } });
  if (await held.letGo("handed-over", { end: { release: true } })) return;
  await held.commit({ end: { complete: { total: 100 } } });
}

async function childProgram(held: Holding): Promise<void> {
  await held.effect("wrap");
  await held.commit({ end: { complete: { wrapped: true } } });
}

/** Is cancelled by somebody when it has done something, and undoes that. */
async function undo(held: Holding): Promise<void> {
  const { lease, stage } = held;
  await held.effect("book", { compensates: true });
  if (lease.run.asked === undefined)
    await stage.state.cancel(lease.run.id, { by: "ada", reason: "not wanted" });
  await stage.state.renew([lease], { lease: LEASE_MS });
  await held.effect("unbook");
  await held.commit({ end: { cancel: { reason: "not wanted" } } });
}

/** What is left of it: runs, events by type, state and effects. Who held a run, and how often, does not count. */
export async function leftOf({ state, bus, ledger, name }: Stage): Promise<Record<string, unknown>> {
  const left: Record<string, unknown> = {};
  const effects = ledger.countBy(({ run, key }) => `${run} ${key}`);
  for (const [part, id] of Object.entries(runsOf(name))) {
    const { events } = await bus.history({ run: id, limit: 1_000 });
    const told = events.map(({ type }) => type).filter((type) => type !== "run.started");
    const run = await state.load(id);
    left[part] = {
      status: run.status,
      output: "output" in run ? run.output : null,
      steps: run.steps,
      events: countsOf(told),
      journal: [...(await state.journal(id)).values()]
        .map(({ key, status }) => `${key}: ${status}`)
        .toSorted(),
      state: await state.stateAt(id),
      effects: [...effects]
        .filter(([key]) => key.startsWith(`${id} `))
        .map(([key]) => key.slice(id.length + 1))
        .toSorted(),
    };
  }
  return left;
}

function countsOf(types: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const type of types.toSorted()) counts[type] = (counts[type] ?? 0) + 1;
  return counts;
}

/** A point at which somebody may be killed: before or after the `nth` time that something is asked of the database. */
export interface Point {
  what: string;
  nth: number;
  when: "before" | "after";
}

type Calls = Pick<State, "claim" | "renew"> & Pick<EventBus["log"], "append">;

/** Calls `at` before and after each append of the log, claim and renewal. A claim that got nothing is none. */
export function withFailpoints(
  { bus, state }: Pick<Stage, "bus" | "state">,
  at: (point: Point) => void,
): void {
  const times = new Map<string, number>();
  const around = async <R>(
    what: string,
    call: () => Promise<R>,
    counts: (answer: R) => boolean,
  ): Promise<R> => {
    const nth = (times.get(what) ?? 0) + 1;
    at({ what, nth, when: "before" });
    const answer = await call();
    if (!counts(answer)) return answer;
    times.set(what, nth);
    at({ what, nth, when: "after" });
    return answer;
  };
  const calls: Calls = {
    append: bus.log.append.bind(bus.log),
    claim: state.claim.bind(state),
    renew: state.renew.bind(state),
  };
  bus.log.append = (...args) =>
    around(
      whatOf(args[0]),
      () => calls.append(...args),
      () => true,
    );
  state.claim = (...args) =>
    around(
      "claim",
      () => calls.claim(...args),
      ({ length }) => length > 0,
    );
  state.renew = (...args) =>
    around(
      "renew",
      () => calls.renew(...args),
      () => true,
    );
}

function whatOf({ events = [] }: Entry): string {
  const said = events.map(({ type, data }) => [type, (data as { key?: string } | undefined)?.key]);
  return said.map((each) => each.filter(Boolean).join(" ")).join(", ");
}
