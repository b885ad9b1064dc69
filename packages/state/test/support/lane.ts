// One run in a database beside its model.

import type { VirtualClock } from "@sentient/testkit";
import { expect } from "vitest";
import type { Change } from "../../src/change.ts";
import type { State } from "../../src/index.ts";
import { ASKS, LEASE_MS, Model, MOST_ATTEMPTS, type Command, type Held, type Kind } from "./model.ts";
import { done, failure, started } from "./runs.ts";

let lanes = 0;

/** One run, what is known of it, and who ever had it. */

/** One run, what is known of it, and who ever had it. */
export class Lane {
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
        return { end: { wait: [{ for: "timer", at: "t", until: new Date(this.#clock.now() + 10_000) }] } };
      case "await":
        return { end: { wait: [{ for: "signal", at: "s", name: "go" }] } };
      case "complete":
        return { end: { complete: 1 } };
      case "fail":
        return { end: { fail: failure } };
      case "release":
        return { end: { release: true } };
      default:
        return { end: { pause: { by: "its worker" } } };
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
    (error: { code?: string; message: string }) => error.code ?? error.message,
  );
}
