// What is asked with.

import type { ParkReason, RunStatus } from "@sentient/schema";
import type { Json } from "./wire.ts";

export interface StartOptions {
  /** Of the agent or the workflow; or else `capabilities`. */
  name?: string;
  /** What whoever does it must be able to do. */
  capabilities?: readonly string[];
  input?: Json;
  state?: Json;
  /** Whoever says the same key means the same run. */
  key?: string;
  id?: string;
  queue?: string;
  /** -1,000 to 1,000; higher goes first. */
  priority?: number;
  tags?: readonly string[];
  limits?: readonly { key: string; max: number }[];
  correlation?: string;
  causation?: string;
  maxAttempts?: number;
  /** ISO 8601: cancelled after that, and not begun before. */
  deadline?: string;
  at?: string;
}

export interface ForkOptions {
  n?: number;
  position?: number;
  checkpoint?: string;
  input?: Json;
  state?: Json;
  /** Results of steps, by their keys. */
  steps?: Readonly<Record<string, Json>>;
  version?: string;
  key?: string;
  id?: string;
  queue?: string;
  priority?: number;
  tags?: readonly string[];
  correlation?: string;
  causation?: string;
  maxAttempts?: number;
  deadline?: string;
}

export interface RunFilter {
  status?: RunStatus | readonly RunStatus[];
  name?: string;
  kind?: "task" | "workflow";
  queue?: string;
  tag?: string;
  parkedFor?: ParkReason;
  root?: string;
  parent?: string;
  correlation?: string;
  before?: number;
  limit?: number;
}

export interface EventFilter {
  /** Exact types, or all below one: `step.*`. */
  types?: string | readonly string[];
  source?: string;
  target?: string;
  workflow?: string;
  correlation?: string;
}

export interface EventPage {
  after?: number;
  before?: number;
  order?: "asc" | "desc";
  limit?: number;
}

export interface Point {
  n?: number;
  position?: number;
  checkpoint?: string;
}

/** Which points are looked at; now if nothing is said, and of the same run. */
export interface DiffOptions extends Point {
  with?: string;
  withN?: number;
  withPosition?: number;
  withCheckpoint?: string;
}

export interface StateChange {
  /** The one that was seen: `run.revision`. */
  revision: number;
  /** All of the state, or what is different in it: JSON Patch (RFC 6902). */
  state?: Json;
  patch?: readonly Json[];
  tags?: readonly string[];
}

export interface HistoryOptions {
  id?: string;
  correlation?: string;
  causation?: string;
}

export interface Reason {
  reason?: string;
}

export interface Signalled {
  signal?: AbortSignal;
}

export interface ScheduleOptions {
  /** The agent or workflow that it starts. */
  run: string;
  input?: Json;
  /** Five parts, or six with seconds in front, or a date. */
  cron: string;
  timeZone?: string;
  missed?: "skip" | "once" | "all";
  queue?: string;
  priority?: number;
  tags?: readonly string[];
  maxAttempts?: number;
  revision?: number;
}
