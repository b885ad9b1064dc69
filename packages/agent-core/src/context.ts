// What a handler sees of its run.

import type { Statement } from "@sentient/db-pool";
import type { Json } from "@sentient/schema";
import type { z } from "zod";
import type { Definition, Given, OnCancel, OutputOf, SignalSchemas } from "./define.ts";
import type { RetryPolicy } from "./retry.ts";
import type { ByCapability } from "./routing.ts";

export interface StepOptions {
  /** Where it differs from the policy of its agent. */
  retry?: RetryPolicy;
  /** How long an attempt may take, in milliseconds; then its signal aborts, and it has failed. */
  timeout?: number;
  /** What it works on, if another input under its name is to park the run rather than answer with what is remembered. */
  input?: Json;
  /** For who is called: the key of the step if left out. */
  idempotencyKey?: string;
  /**
   * Begun once, and never tried again, for what nobody may do twice: that it begins is on disk before it does. Where it was cut
   * off then, nobody knows what became of it, and it has failed with `agent.outcome_unknown`. What undoes is tried again all the same.
   */
  once?: boolean;
}

/** What a step sees while it works. */
export interface StepContext {
  /** For who is called, to do it once: the same at every attempt, in every process. */
  readonly idempotencyKey: string;
  /** 1 for the first. */
  readonly attempt: number;
  /** Aborts when the run is cancelled, the attempt has timed out, or the run is another's by now. */
  readonly signal: AbortSignal;
  /**
   * Streams a piece of JSON of the step's own; what a failed attempt has streamed is followed by a reset. Pieces `{ type, text }`
   * that come at once may be one.
   */
  readonly chunk: (data: Json) => void;
  /** How far it is; the last one counts. */
  readonly progress: (done: number, total?: number, note?: string) => void;
  /** Tells of an event of its own, in the transaction that remembers its result; of an attempt that fails nothing is told. */
  readonly emit: (type: string, data?: Json) => void;
  /** Writes rows of yours in that same transaction: they and the result are there, or neither. A statement that fails fails the attempt. */
  readonly write: (...statements: readonly Statement[]) => void;
}

export interface WaitOptions<T extends z.ZodType = z.ZodType> {
  /** Which the data of the signal fits; what does not is an error, and taken. */
  schema?: T;
  /** In milliseconds, after which `undefined` is the answer. */
  timeout?: number;
}

export interface AskOptions<T extends z.ZodType = z.ZodType> {
  /** What is asked: the name if left out. */
  text?: string;
  /** Which the answer fits; other answers are refused. */
  schema?: T;
  /** Whose it is to answer. */
  assignee?: string;
  /** Until when, as a time or in milliseconds from now. */
  deadline?: Date | number;
  /** The answer at the deadline; without one that is an error. */
  onTimeout?: z.input<T>;
}

/** Of a question that any JSON is an answer to. */
export interface FreeAskOptions extends Omit<AskOptions, "schema" | "onTimeout"> {
  onTimeout?: Json;
}

/** An answer to a question, and whose it was; nobody's if its deadline has passed. */
export type Answer<T> = { value: T; by?: string }; // no interface, as those are no JSON to the compiler

export interface CallOptions {
  /** Another step of the same name counts apart. */
  name?: string;
  queue?: string;
  priority?: number;
  tags?: readonly string[];
  /** What becomes of it when this run is cancelled: `cancel` if left out. */
  onCancel?: OnCancel;
}

/** A run that this one has started and does not wait for. */
export interface Child<Output> {
  readonly id: string;
  /** Waits for its end, as a step. */
  result(): Promise<Output>;
}

/** A part of a run that goes on beside others: its steps are its own, in whatever order they come. */
export type Branch<T, State = never, Signals extends SignalSchemas = SignalSchemas> = (
  ctx: Context<State, Signals>,
) => Promise<T>;

/** What is remembered of a value: JSON, in which nothing is null, and a time a string. */
export type Remembered<T> = T extends undefined | void ? null : T extends Date ? string : T;

/** Tells of what happens: once, however often the run is replayed. */
export interface RunLog {
  debug(message: string, data?: Json): void;
  info(message: string, data?: Json): void;
  warn(message: string, data?: Json): void;
  error(message: string, data?: Json): void;
}

export interface RunInfo {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  /** Claims without progress, with this one. */
  readonly attempt: number;
  readonly parent: string | undefined;
  readonly root: string;
  readonly correlation: string | undefined;
  readonly tags: readonly string[];
}

/**
 * What a handler sees of its run. What it begins it has to wait for: what still goes on when it ends is cut off. What it does through it is remembered, and what it does besides is done again whenever the
 * run is taken up: keep that free of effects, of time and of chance. A promise that the run has to wait for does not settle
 * where the process lets go of the run; the handler is then called again, elsewhere or later.
 */
export interface Context<State = unknown, Signals extends SignalSchemas = SignalSchemas> {
  readonly run: RunInfo;
  /** The run and the branch: the same at every replay, in every process. */
  readonly key: string;
  /** Aborts when the run is cancelled, or is another's by now: for what runs beside its steps. */
  readonly signal: AbortSignal;
  /**
   * The run's own state: change it in place. What changed is kept with the next thing that is remembered. Where branches go on
   * beside each other, change it between their steps, and within them only what nobody else changes.
   */
  readonly state: State;
  readonly log: RunLog;

  /** Does something once, as far as can be: its result is remembered, and is the answer ever after. It is JSON. */
  step<T>(
    name: string,
    work: (step: StepContext) => T | Promise<T>,
    options?: StepOptions,
  ): Promise<Remembered<T>>;
  /** Goes on after so many milliseconds, or at a time. A long sleep holds no worker. */
  sleep(until: number | Date): Promise<void>;
  /** Waits for a signal, or takes one that came before: the oldest of its name. */
  waitFor<T extends z.ZodType>(
    signal: string,
    options: { schema: T; timeout: number | undefined },
  ): Promise<z.output<T> | undefined>;
  waitFor<T extends z.ZodType>(signal: string, options: { schema: T }): Promise<z.output<T>>;
  waitFor<N extends keyof Signals & string>(
    signal: N,
    options: { timeout: number | undefined },
  ): Promise<z.output<Signals[N]> | undefined>;
  waitFor<N extends keyof Signals & string>(signal: N): Promise<z.output<Signals[N]>>;
  waitFor(signal: string, options: { timeout: number | undefined }): Promise<Json | undefined>;
  waitFor(signal: string): Promise<Json>;
  /** Asks a person, and waits for the answer. */
  ask<T extends z.ZodType>(
    name: string,
    options: AskOptions<T> & { schema: T },
  ): Promise<Answer<z.output<T>>>;
  ask(name: string, options?: FreeAskOptions): Promise<Answer<Json>>;
  /** Has another agent or workflow do something, as a run of its own, or whoever can do it, and waits for what that gives. */
  call<D extends Definition>(what: D, ...given: Given<D, CallOptions>): Promise<OutputOf<D>>;
  call(what: string | ByCapability, input?: Json, options?: CallOptions): Promise<Json>;
  /** The same, and tells that it does: for what is another's to finish, whose answer is this run's. */
  handoff<D extends Definition>(what: D, ...given: Given<D, CallOptions>): Promise<OutputOf<D>>;
  handoff(what: string | ByCapability, input?: Json, options?: CallOptions): Promise<Json>;
  /** Has another do something, as `call` does, without waiting. */
  spawn<D extends Definition>(what: D, ...given: Given<D, CallOptions>): Promise<Child<OutputOf<D>>>;
  spawn(what: string | ByCapability, input?: Json, options?: CallOptions): Promise<Child<Json>>;

  /** Branches beside each other; all of their answers. The first that fails ends the others. */
  all<T extends Record<string, Branch<unknown, State, Signals>>>(
    branches: T,
  ): Promise<{ [K in keyof T]: Awaited<ReturnType<T[K]>> }>;
  all<const T extends readonly Branch<unknown, State, Signals>[]>(
    branches: T,
  ): Promise<{ -readonly [I in keyof T]: Awaited<ReturnType<T[I]>> }>;
  /** Branches beside each other; the first that answers or fails, and which it was. The others are ended. */
  race<T extends Record<string, Branch<unknown, State, Signals>>>(
    branches: T,
  ): Promise<{ [K in keyof T]: { winner: K; value: Remembered<Awaited<ReturnType<T[K]>>> } }[keyof T]>;
  /** A branch for each item, so many of them at once: 10 if left out. */
  map<Item, T>(
    items: readonly Item[],
    each: (ctx: Context<State, Signals>, item: Item, index: number) => Promise<T>,
    options?: { concurrency?: number; name?: string },
  ): Promise<T[]>;

  /** Tells of an event of its own, once. */
  emit(type: string, data?: Json): Promise<void>;
  /** How far the run is; the last one counts. */
  progress(done: number, total?: number, note?: string): void;
  /** Names this point of the run, to come back to or to fork from. */
  checkpoint(name: string, metadata?: Json): Promise<void>;
  /** Streams a piece of JSON. */
  chunk(data: Json): void;
  /**
   * What is to undo what is done, should the run fail or be cancelled: as a step, the last one first. Say it before what it
   * undoes, as that may be done and not remembered: it has to put up with what was not done.
   */
  compensate(name: string, undo: (step: StepContext) => unknown, options?: StepOptions): void;

  /** The time, as of what the run last remembered: the same at every replay. */
  now(): Date;
  /** A number from 0 up to 1, the same at every replay. */
  random(): number;
  /** The same of a UUID. */
  uuid(): string;
  /** Whether code that came later is to be run: not for a run that has gone past this point without it. */
  patch(name: string): Promise<boolean>;
}
