// A run as it has to be, in a few lines: what is done to it changes it, or is refused with a code.

import type { Run } from "../../src/run.ts";
import type { Lease } from "../../src/lease.ts";
import type { State } from "../../src/index.ts";

export const LEASE_MS = 15_000;
export const MOST_ATTEMPTS = 3;

export interface Held {
  lease: Lease;
  token: number;
  state: State;
}

export const COMMITS = ["step", "take", "sleep", "await", "complete", "fail", "release", "stop"] as const;
export const ASKS = ["pause", "resume", "cancel", "force", "signal"] as const;
export type Kind = (typeof COMMITS)[number] | (typeof ASKS)[number] | "claim" | "renew" | "nothing";

/** Something that is done to one run. */
export interface Command {
  kind: Kind;
  key: string;
  /** Which of the leases that were ever got: 0 is the last. */
  back: number;
  who: number;
}

/** A run, as simple as can be. */
export class Model {
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
        if (this.asked === "cancel") return "state.not_open";
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
