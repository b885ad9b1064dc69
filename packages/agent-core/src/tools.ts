// What the runtime hands to whoever runs something in it.

import type { Clock } from "@sentient/db-pool";
import type { State } from "@sentient/state";
import type { Definition } from "./define.ts";
import type { Notices } from "./notices.ts";
import type { Meter } from "./turn.ts";

/** Where it is told what happens in this process, for people. Any logger with these methods will do, as pino. */
export interface Logger {
  debug(data: object, message: string): void;
  info(data: object, message: string): void;
  warn(data: object, message: string): void;
  error(data: object, message: string): void;
}

/** An attempt of a step, as who looks on sees it. */
export interface Attempt {
  run: string;
  key: string;
  name: string;
  /** 1 for the first. */
  attempt: number;
  /** Aborts once it is over. */
  signal: AbortSignal;
}

/** Does what a step does; a test counts it, and may keep it from being done. */
export type Attempted = <T>(attempt: Attempt, work: () => Promise<T>) => Promise<T>;

export interface Tools {
  state: State;
  clock: Clock;
  logger: Logger;
  /** What happened in this process, heard before the log tells of it. */
  notices: Notices;
  /** By its name, if this process has it. */
  find: (name: string) => Definition | undefined;
  /** Whether there is room for another run beside those that are advanced. */
  hasRoom: () => boolean;
  /** Whether a run is held for a moment where what it waits for may come in a moment; not where a test moves the time. */
  lingers: boolean;
  attempted: Attempted;
  /** Counts what turns of models cost that name no meter of their own. */
  meter?: Meter | undefined;
  /** Resolves once what a process held that died with this folder is nobody's: it need not be waited for. */
  takenOver: () => Promise<void>;
}

export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };
