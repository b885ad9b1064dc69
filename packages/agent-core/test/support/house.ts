// A database that is served by a process of its own, and workers in processes of theirs.

import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDatabase, surql, type Database, type DatabaseOptions } from "@sentient/db-pool";
import {
  EffectLedger,
  freshNames,
  servedEngine,
  spawnChild,
  until as untilSoon,
  type Child,
  type ServedEngine,
} from "@sentient/testkit";
import { afterAll, onTestFinished } from "vitest";
import type { RunHandle, Sentient } from "../../src/index.ts";
import { jobsOf, type Jobs } from "./jobs.ts";
import { sentientOn } from "./fresh.ts";
import type { Note, WorkOrders } from "./work-orders.ts";

/** Of code that processes compile, as many of them are started. */
const CACHE = join(tmpdir(), "sentient-compile-cache");

const folders: string[] = [];
let engine: Promise<ServedEngine> | undefined;
afterAll(async () => {
  await (await engine)?.close();
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true, maxRetries: 10 })));
});

/** An empty folder, gone after the tests of this file. */
async function freshFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sentient-agents-"));
  folders.push(folder);
  return folder;
}

/** One for all tests of a file. */
export function served(): Promise<ServedEngine> {
  const entry = new URL("../fixtures/serve-child.ts", import.meta.url);
  engine ??= freshFolder().then((folder) => servedEngine({ entry, folder }));
  return engine;
}

/** Patient: processes take their time on a loaded machine. */
export const until: typeof untilSoon = (condition, options) =>
  untilSoon(condition, { deadline: 150_000, every: 50, ...options });

export interface House {
  connection: DatabaseOptions;
  db: Database;
  /** That of the test, which advances nothing. */
  sentient: Sentient;
  jobs: Jobs;
  ledger: EffectLedger<Note>;
  /** Another process that works. */
  worker: (more?: Partial<WorkOrders>) => Promise<Child>;
  openGate: () => void;
}

/** A database of its own, and processes to come. */
export async function house(orders: Partial<WorkOrders> = {}): Promise<House> {
  const { url, token } = await served();
  const connection = { url, token, ...freshNames() };
  const folder = await freshFolder();
  const [ledger, gate] = [join(folder, "ledger"), join(folder, "gate")];
  const basics: WorkOrders = { connection, ledger, gate, worker: {}, ...orders };
  const db = await openDatabase(connection);
  onTestFinished(() => db.close({ deadline: 500 }));
  const jobs = jobsOf(basics);
  const sentient = await sentientOn(db, { agents: jobs.all, worker: false });
  await sentient.events.ready();
  const worker = async (more: Partial<WorkOrders> = {}) => {
    const child = spawnChild(new URL("../fixtures/work-child.ts", import.meta.url), {
      env: { WORK: JSON.stringify({ ...basics, ...more }), NODE_COMPILE_CACHE: CACHE },
    });
    onTestFinished(() => child[Symbol.asyncDispose]());
    await child.message(({ ready }) => ready === true, 60_000);
    return child;
  };
  const openGate = () => writeFileSync(gate, "");
  return { connection, db, sentient, jobs, ledger: new EffectLedger<Note>(ledger), worker, openGate };
}

/** As if nobody had renewed them for as long as they last. */
export async function expireLeases({ db }: { db: Database }): Promise<void> {
  await db.query(surql`{
    LET $past = time::now() - 1s;
    UPDATE run SET lease.until = $past, seek.dueAt = $past WHERE status = "running" RETURN NONE
  }`);
}

/** How many are. */
export const completed = ({ db }: Pick<House, "db">): Promise<number> =>
  db.query(surql<number>`count(SELECT VALUE id FROM run WHERE status = "completed")`);

/** Until all of them are completed. */
export async function untilCompleted(
  at: House,
  handles: readonly RunHandle[],
  deadline = 150_000,
): Promise<void> {
  await until(async () => (await completed(at)) >= handles.length, {
    deadline,
    every: 200,
    what: "all runs to be completed",
  });
}
