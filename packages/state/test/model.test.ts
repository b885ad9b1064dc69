// Whatever is done to runs, in whatever order, they are what a model of a few lines says.

import fc from "fast-check";
import { sabotage, VirtualClock } from "@sentient/testkit";
import { expect, test } from "vitest";
import type { Change } from "../src/change.ts";
import type { State } from "../src/index.ts";
import type { Lease } from "../src/lease.ts";
import type { Run } from "../src/run.ts";
import { freshState, stateOn, type Fresh } from "./support/fresh.ts";
import { done, eventsOf, expectNothing, failure, range, started } from "./support/runs.ts";

/** How many sequences of commands; 2,000 or 10,000 on demand. */
const SEQUENCES = Number(process.env.SENTIENT_RUNS ?? 120);
/** Runs to which something is done at the same time. */
const LANES = 6;
const LEASE_MS = 15_000;
const MOST_ATTEMPTS = 3;

/** A run, as simple as can be. */
class Model {
  status: Run["status"] = "queued";
  token = 0;
  attempts = 0;
  asked: "pause" | "cancel" | undefined;
  /** Steps it remembers, and how many there were when it was last claimed or let go of. */
  readonly steps = new Set<string>();
  known = 0;
  until = 0;
  wakeAt: number | undefined;
  /** Signals that nobody has taken. */
  signals: number[] = [];
  waitsForSignal = false;

  get isOver(): boolean {
    return ["completed", "failed", "cancelled"].includes(this.status);
  }

  holds(lease: Held): boolean {
    return this.status === "running" && this.token === lease.token;
  }

  /** Its worker has it no longer, or it waits no longer. */
  become(status: Run["status"], attempts = this.attempts): void {
    if (this.status === "running") this.token++;
    this.status = status;
    this.attempts = attempts;
    this.known = this.steps.size;
    this.wakeAt = undefined;
    this.waitsForSignal = false;
    if (status === "paused") this.asked = undefined;
  }

  get sinceProgress(): number {
    return this.steps.size > this.known ? 1 : this.attempts;
  }

  /** What comes of a claim: whether a lease does. */
  claim(now: number): boolean {
    const isDue =
      this.status === "queued" ||
      (this.status === "running" && this.until <= now) ||
      (this.status === "waiting" && this.wakeAt !== undefined && this.wakeAt <= now);
    if (!isDue) return false;
    const attempt = this.steps.size > this.known ? 1 : this.attempts + 1;
    const other =
      this.asked === "pause"
        ? "paused"
        : this.asked === "cancel"
          ? "cancelled"
          : attempt > MOST_ATTEMPTS
            ? "parked"
            : undefined;
    if (other) {
      this.become(other);
      return false;
    }
    if (this.status !== "running") this.token++;
    this.become("running", attempt);
    this.until = now + LEASE_MS;
    return true;
  }

  /** Why a commit is refused, if it is. */
  commit(lease: Held, { kind, key }: Command, now: number): string | undefined {
    if (!this.holds(lease)) return "state.lease_lost";
    switch (kind) {
      case "step":
        if (this.steps.has(key)) return "state.step_exists";
        break;
      case "take":
        if (this.steps.has(key)) return "state.step_exists";
        if (this.signals.shift() === undefined) return "state.not_open";
        break;
      case "sleep":
      case "await":
        if (this.asked || (kind === "await" && this.signals.length > 0)) return "state.nothing_to_wait_for";
        this.become("waiting", 0);
        if (kind === "sleep") this.wakeAt = now + 10_000;
        else this.waitsForSignal = true;
        return undefined;
      case "complete":
        this.become("completed", this.sinceProgress);
        return undefined;
      case "fail":
        this.become("failed", this.sinceProgress);
        return undefined;
      case "release":
        this.become("queued", this.sinceProgress - 1);
        return undefined;
      default:
        this.become(this.asked === "cancel" ? "queued" : "paused", this.sinceProgress);
        return undefined;
    }
    this.steps.add(key);
    return undefined;
  }

  /** Why what somebody asks is refused, if it is. */
  ask(kind: Kind): string | undefined {
    if (this.status === "cancelled" && (kind === "cancel" || kind === "force")) return undefined;
    if (this.isOver) return "state.illegal_transition";
    switch (kind) {
      case "pause":
        if (this.status === "paused" || (this.status === "running" && this.asked === "pause"))
          return undefined;
        if (this.asked === "cancel" || this.status === "parked") return "state.illegal_transition";
        if (this.status === "running") this.asked = "pause";
        else this.become("paused");
        return undefined;
      case "resume":
        if (this.status === "waiting") return "state.illegal_transition";
        if (this.asked === "pause") this.asked = undefined;
        if (this.status === "paused" || this.status === "parked") this.become("queued", 0);
        return undefined;
      case "signal":
        if (this.waitsForSignal) this.become("queued", 0);
        return undefined;
      default:
        if (kind === "cancel" && this.status === "running") this.asked = "cancel";
        else this.become("cancelled");
        return undefined;
    }
  }

  sweep(now: number): void {
    if (this.status !== "running" || this.until > now) return;
    this.become("queued", this.steps.size > this.known ? 0 : this.attempts);
  }
}

const COMMITS = ["step", "take", "sleep", "await", "complete", "fail", "release", "stop"] as const;
const ASKS = ["pause", "resume", "cancel", "force", "signal"] as const;
type Kind = (typeof COMMITS)[number] | (typeof ASKS)[number] | "claim" | "renew" | "nothing";

/** Something that is done to one run. */
interface Command {
  kind: Kind;
  key: string;
  /** Which of the leases that were ever got: 0 is the last. */
  back: number;
  who: number;
}

/** What happens at the same time, and how long it is quiet then. */
interface Round {
  commands: Command[];
  ms: number;
  sweep: boolean;
}

const often: Record<Kind, number> = {
  ...{ claim: 9, step: 8, take: 2, sleep: 2, await: 2, complete: 1, fail: 1, release: 2, stop: 1 },
  ...{ pause: 2, resume: 3, cancel: 1, force: 1, signal: 2, renew: 1, nothing: 1 },
};
const command = fc.record<Command>({
  kind: fc.oneof(
    ...Object.entries(often).map(([kind, weight]) => ({ arbitrary: fc.constant(kind as Kind), weight })),
  ),
  key: fc.constantFrom("a", "b", "c", "d", "e", "f"),
  back: fc.oneof(
    { arbitrary: fc.constant(0), weight: 4 },
    { arbitrary: fc.integer({ min: 1, max: 2 }), weight: 1 },
  ),
  who: fc.nat(1),
});
const round = fc.record<Round>({
  commands: fc.array(command, { minLength: LANES, maxLength: LANES }),
  ms: fc.oneof(
    { arbitrary: fc.constant(0), weight: 5 },
    { arbitrary: fc.constantFrom(5_000, 10_000, LEASE_MS), weight: 2 },
  ),
  sweep: fc.oneof({ arbitrary: fc.constant(false), weight: 4 }, { arbitrary: fc.constant(true), weight: 1 }),
});

interface Held {
  lease: Lease;
  token: number;
  state: State;
}

let lanes = 0;

/** One run, what is known of it, and who ever had it. */
class Lane {
  readonly model = new Model();
  readonly leases: Held[] = [];
  readonly name = `n-${++lanes}`;
  id = "";
  readonly #states: readonly State[];
  readonly #clock: VirtualClock;

  constructor(states: readonly State[], clock: VirtualClock) {
    this.#states = states;
    this.#clock = clock;
  }

  async start(): Promise<void> {
    this.id = await started(this.#states[0]!, { name: this.name, maxAttempts: MOST_ATTEMPTS });
  }

  async do(command: Command): Promise<void> {
    const { kind, who } = command;
    const state = this.#states[who]!;
    if (kind === "nothing") return;
    if (kind === "claim") return this.#claim(state);
    if ((ASKS as readonly string[]).includes(kind)) return this.#ask(kind, state);
    const held = this.leases.at(-1 - command.back);
    if (!held) return;
    if (kind === "renew") return this.#renew(held);
    const expected = this.model.commit(held, command, this.#clock.now());
    expect(await codeOf(held.state.commit(held.lease, await this.#changeOf(command, held.state)))).toBe(
      expected,
    );
  }

  async #claim(state: State): Promise<void> {
    const isGranted = this.model.claim(this.#clock.now());
    const serves = [{ name: this.name, versions: ["1"] }];
    const leases = await state.claim({ worker: `w-${this.leases.length}`, serves, lease: LEASE_MS });
    expect(leases).toHaveLength(isGranted ? 1 : 0);
    for (const lease of leases) {
      expect(lease.token).toBe(this.model.token);
      this.leases.push({ lease, token: lease.token, state });
      const journal = await state.journal(lease);
      expect([...journal.keys()].toSorted()).toEqual([...this.model.steps].toSorted());
    }
  }

  async #ask(kind: Kind, state: State): Promise<void> {
    const expected = this.model.ask(kind);
    if (kind === "signal") {
      const sent = state.signal(this.id, "go", 1);
      expect(await codeOf(sent)).toBe(expected);
      if (!expected) this.model.signals.push((await sent).n);
      return;
    }
    const asking =
      kind === "force" ? state.cancel(this.id, { force: true }) : state[kind as "pause"](this.id);
    expect(await codeOf(asking)).toBe(expected);
  }

  async #renew({ lease, token, state }: Held): Promise<void> {
    const isHeld = this.model.holds({ lease, token, state });
    const wasOver = lease.over.aborted;
    const { held, lost } = await state.renew([lease], { lease: LEASE_MS });
    expect([held.length, lost.length]).toEqual(wasOver ? [0, 0] : isHeld ? [1, 0] : [0, 1]);
    if (isHeld) this.model.until = this.#clock.now() + LEASE_MS;
    if (isHeld) expect(held[0]!.asked?.what).toBe(this.model.asked);
  }

  async #changeOf({ kind, key }: Command, state: State): Promise<Change> {
    switch (kind) {
      case "step":
        return { steps: [done(key)], state: { last: key } };
      case "take":
        return { steps: [done(key)], takes: [{ n: await this.#oldestSignal(state), key }] };
      case "sleep":
        return { then: { wait: [{ for: "timer", at: "t", until: new Date(this.#clock.now() + 10_000) }] } };
      case "await":
        return { then: { wait: [{ for: "signal", at: "s", name: "go" }] } };
      case "complete":
        return { then: { complete: 1 } };
      case "fail":
        return { then: { fail: failure } };
      case "release":
        return { then: { release: true } };
      default:
        return { then: { pause: { by: "its worker" } } };
    }
  }

  /** By what is in the database, as a worker would find it; 999 if there is none. */
  async #oldestSignal(state: State): Promise<number> {
    const { signals } = await state.signals(this.id, { name: "go", taken: false });
    return signals[0]?.n ?? 999;
  }

  async expectSame(): Promise<void> {
    const { status, token, attempts, asked, steps, isOver } = this.model;
    const run = await this.#states[0]!.load(this.id);
    expect({ status: run.status, token: run.token, attempts: run.attempts, asked: run.asked?.what }).toEqual({
      status,
      token,
      attempts,
      asked,
    });
    const journal = await this.#states[0]!.journal(this.id);
    expect([...journal.keys()].toSorted()).toEqual([...steps].toSorted());
    if (isOver && run.status !== "cancelled") expect(run.steps).toBe(steps.size);
  }
}

async function codeOf(work: Promise<unknown>): Promise<string | undefined> {
  return work.then(
    () => undefined,
    (error: { code?: string }) => error.code ?? String(error),
  );
}

async function follow(
  rounds: readonly Round[],
  { bus }: Fresh,
  states: State[],
  clock: VirtualClock,
): Promise<void> {
  const all = range(LANES).map(() => new Lane(states, clock));
  await Promise.all(all.map((lane) => lane.start()));
  for (const { commands, ms, sweep } of rounds) {
    await Promise.all(all.map((lane, i) => lane.do(commands[i]!)));
    await clock.advance(ms);
    if (sweep) {
      await states[0]!.sweep();
      for (const { model } of all) model.sweep(clock.now());
    }
    await Promise.all(all.map((lane) => lane.expectSame()));
  }
  for (const { id } of all) {
    const events = await eventsOf(bus, id);
    expect(events.map(({ n }) => n)).toEqual(range(events.length, 1));
  }
}

async function expectAsModelled(sequences: number, endOnFailure: boolean): Promise<void> {
  const clock = new VirtualClock(Date.now());
  const at = await freshState({ clock });
  const states = [at.state, (await stateOn(at.db, { clock })).state];
  await fc.assert(
    fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 24 }), (rounds) =>
      follow(rounds, at, states, clock),
    ),
    { numRuns: Math.ceil(sequences / LANES), endOnFailure },
  );
}

const timeout = 60_000 + SEQUENCES * 2_000;

test(`${SEQUENCES} sequences of commands end as the model says`, { timeout }, () =>
  expectAsModelled(SEQUENCES, false),
);

test("control: without the fence they do not", { timeout }, async () => {
  expectNothing((await freshState()).bus);
  await sabotage("no fence", () => expectAsModelled(SEQUENCES, true));
});
