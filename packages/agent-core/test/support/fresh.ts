// Agents under test: a database of their own each, as another process would have it, and processes that die.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDatabase, type Database } from "@sentient/db-pool";
import type { Event } from "@sentient/schema";
import { freshNames, VirtualClock } from "@sentient/testkit";
import { afterAll, onTestFinished } from "vitest";
import { createSentient, type Sentient, type SentientOptions, type Worker } from "../../src/index.ts";
import { mischief, type Mischief } from "./mischief.ts";

/** Whether the database is in another process, and the line to it misbehaves. */
const IS_FAR = process.env.SENTIENT_PROXY !== undefined;

const folders: string[] = [];
let line: Promise<Mischief> | undefined;
/** Processes that are dead: nobody waits until they have stopped. */
const dead = new WeakSet<Sentient>();
let engine: Promise<string> | undefined;

afterAll(async () => {
  await (await line)?.close();
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true, maxRetries: 10 })));
});

async function freshFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sentient-agents-"));
  folders.push(folder);
  return folder;
}

/** An empty database, closed after the test: one rocksdb engine a test file, and in it a fresh namespace. */
export async function freshDatabase(): Promise<Database> {
  const db = await (IS_FAR ? openFar() : openNear());
  onTestFinished(() => db.close({ deadline: 500 }));
  return db;
}

async function openNear(): Promise<Database> {
  engine ??= freshFolder();
  return openDatabase({ url: `rocksdb://${await engine}/engine`, ...freshNames() });
}

async function openFar(): Promise<Database> {
  line ??= mischief();
  return (await line).open(freshNames());
}

/** A runtime with a database of its own, in real time. */
export async function fresh(options: SentientOptions = {}): Promise<Sentient> {
  return sentientOn(await freshDatabase(), options);
}

/** As another process on the same database would have it. */
export async function sentientOn(database: Database, options: SentientOptions = {}): Promise<Sentient> {
  const sentient = await createSentient({ database, ...options });
  onTestFinished(async () => {
    const closed = sentient.close();
    if (!dead.has(sentient)) await closed;
    else closed.catch(() => {});
  });
  return sentient;
}

/** A process whose time is moved by hand, and whose worker works when it is told to. */
export interface Process {
  sentient: Sentient;
  worker: Worker;
  clock: VirtualClock;
}

export async function freshProcess(options: SentientOptions = {}): Promise<Process & { db: Database }> {
  const db = await freshDatabase();
  return { db, ...(await processOn(db, new VirtualClock(), options)) };
}

export async function processOn(
  db: Database,
  clock: VirtualClock,
  options: SentientOptions = {},
): Promise<Process> {
  const sentient = await sentientOn(db, { clock, worker: false, ...options });
  return { sentient, clock, worker: sentient.worker({ lease: LEASE_MS }) };
}

export const LEASE_MS = 15_000;

/** Goes on until nothing is to be done at this time. @returns how many runs were advanced */
export async function played({ worker }: Process): Promise<number> {
  return worker.tick();
}

/** Moves the time, and does what is to be done then. */
export async function later(process: Process, ms: number): Promise<number> {
  await process.clock.advance(ms);
  return played(process);
}

/** When a process dies, as seen by what it would have committed: at its n-th commit, before it or after it. */
export interface Death {
  at: number;
  when: "before" | "after";
}

/**
 * Lets a process die: from then on nothing of it reaches the database.
 *
 * @returns resolves when it is dead; `commits` tells how many there were
 */
export function dies({ sentient }: Pick<Process, "sentient">, { at, when }: Death) {
  const { state } = sentient;
  const died = Promise.withResolvers<void>();
  const never = new Promise<never>(() => {});
  const counted = { commits: 0 };
  const commit = state.commit.bind(state);
  let isDead = false;
  state.commit = async (...args) => {
    if (isDead) return never;
    const isLast = ++counted.commits === at;
    if (isLast) isDead = true;
    if (isLast) dead.add(sentient);
    const committed = isLast && when === "before" ? never : commit(...args);
    if (isLast) await (when === "before" ? undefined : committed);
    if (isLast) died.resolve();
    return isLast ? never : committed;
  };
  const start = state.start.bind(state);
  state.start = (...args) => (isDead ? never : start(...args));
  const append = state.chunks.append.bind(state.chunks);
  state.chunks.append = (...args) => (isDead ? never : append(...args));
  return { dead: died.promise, counted };
}

/** The types of a run's events. */
export async function storyOf(sentient: Sentient, run: string): Promise<string[]> {
  return (await eventsOf(sentient, run)).map(({ type }) => type);
}

export async function eventsOf(sentient: Sentient, run: string): Promise<Event[]> {
  return (await sentient.events.history({ run, limit: 1_000 })).events;
}

/** What it fails with; anything else, success among it, fails the test. */
export async function failureOf(work: () => unknown): Promise<Error & { code?: string; details?: object }> {
  try {
    await work();
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

export const codeOf = async (work: () => unknown): Promise<string | undefined> =>
  (await failureOf(work)).code;

/** A promise for a test to settle, and to hear that somebody waits for it. */
export function gate<T = void>() {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const reached = Promise.withResolvers<void>();
  const pass = (): Promise<T> => {
    reached.resolve();
    return promise;
  };
  return { pass, open: resolve, fail: reject, reached: reached.promise };
}
