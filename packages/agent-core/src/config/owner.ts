// Reaching an embedded database that another process owns. Owns: the note that its owner leaves beside it.
// N1. The note holds the token: only whoever may read the data can read it, and it goes when the owner does.
// N2. A note that outlived its owner leads nowhere: then the answer is who holds the folder, as without it.
// N3. Between two owners, and before an owner has left its note, one waits: a command beside a restart is no error, nor is
//     a restart beside a command.

import { randomBytes } from "node:crypto";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import {
  DbError,
  openDatabase,
  serve,
  sleep,
  systemClock,
  type Database,
  type DatabaseOptions,
  type Served,
} from "@sentient/db-pool";

const FILE = "sentient.served.json";

/** How long a folder is waited for, and how often it is looked at meanwhile, in milliseconds. */
const PATIENCE_MS = 5_000;
const LOOK_MS = 100;
/** So long an owner that is about to end lets the others finish what they ask, in milliseconds, looking so often. */
const LINGER_MS = 2_000;
const SOON_MS = 20;

interface ServedNote {
  url: string;
  token: string;
  pid: number;
  /** Its owner ends as soon as it has done what it does. */
  brief?: true;
}

export interface ReachOptions {
  /** How long to wait for a folder that somebody has and does not serve, in milliseconds: 5,000 if left out. */
  patience?: number;
  /** For who stays: an owner that is about to end (`brief`) is waited for, as everybody loses the database with it. */
  lasting?: boolean;
  /** Ends the waiting: then the error is who has the folder. */
  signal?: AbortSignal;
  /** Hears once that it waits, and for whom. */
  onWait?: (locked: DbError) => void;
}

/** The folder of an embedded database; undefined for any other. */
export function folderOf(url: string): string | undefined {
  const [, path] = /^(?:rocksdb|surrealkv):\/\/([^?]+)/.exec(url) ?? [];
  return path === undefined ? undefined : resolve(path);
}

/**
 * Opens a database; a folder that another process owns is reached through that process, if it serves it (`serveBeside`), and
 * waited for if it does not (yet).
 *
 * @throws what `openDatabase` throws; `db.locked` if the owner of the folder neither serves it in time nor lets it go
 * @example const db = await openOrReach({ url: "rocksdb://.sentient/data" });
 */
export async function openOrReach(options: DatabaseOptions, how: ReachOptions = {}): Promise<Database> {
  const { clock = systemClock } = options;
  const { patience = PATIENCE_MS, lasting = false, signal, onWait } = how;
  const deadline = clock.now() + patience;
  for (let looks = 1; ; looks++) {
    const found = await openDatabase(options).catch((error: unknown) => requireLocked(error, options));
    if (!(found instanceof DbError)) return found;
    const note = noteOf(found);
    const reached = note && !(lasting && note.brief) ? await reach(note, options) : undefined;
    if (reached) return reached;
    if (signal?.aborted || clock.now() >= deadline) throw found;
    if (looks === 1) onWait?.(found); // N3
    await sleep(clock, LOOK_MS, signal);
  }
}

/** That somebody else has the folder. @throws whatever else it is */
function requireLocked(error: unknown, { url = "" }: DatabaseOptions): DbError {
  if (error instanceof DbError && error.code === "db.locked" && folderOf(url) !== undefined) return error;
  throw error;
}

/** What the owner left, and not somebody before it (N2). */
function noteOf({ details }: DbError): ServedNote | undefined {
  const { folder, holder } = details as { folder: string; holder?: { pid: number } };
  const note = readNote(folder);
  return !holder || note?.pid === holder.pid ? note : undefined;
}

/** N2. */
async function reach({ url, token }: ServedNote, options: DatabaseOptions): Promise<Database | undefined> {
  try {
    return await openDatabase({ ...options, url, token });
  } catch (error) {
    if (error instanceof DbError && GONE.has(error.code)) return undefined;
    throw error;
  }
}

const GONE = new Set(["db.unreachable", "db.auth_failed"]);

/** Who owns the database and serves it, if somebody does. */
function readNote(folder: string): ServedNote | undefined {
  try {
    const note = JSON.parse(readFileSync(join(folder, FILE), "utf8")) as ServedNote;
    return typeof note.url === "string" && typeof note.token === "string" ? note : undefined;
  } catch {
    return undefined;
  }
}

export interface ServeBesideOptions {
  port?: number;
  token?: string;
  /** Whether this process ends as soon as it has done what it does: then nobody who stays relies on it. */
  brief?: boolean;
}

/**
 * Serves an embedded database to the other processes of this machine, and says so beside it. A remote one needs none of it.
 *
 * @throws `db.bad_option` for a port that is taken
 * @example await using served = await serveBeside(db);
 */
export async function serveBeside(
  db: Database,
  { port, token = randomBytes(32).toString("hex"), brief = false }: ServeBesideOptions = {},
): Promise<(Served & { token: string }) | undefined> {
  const folder = folderOf(db.url);
  if (folder === undefined) return undefined;
  const served = await serve(db, { token, ...(port === undefined ? {} : { port }) });
  const path = join(folder, FILE);
  rmSync(path, { force: true }); // one of another owner could be readable by others
  const { url } = served;
  const note: ServedNote = { url, token, pid: process.pid, ...(brief ? { brief } : {}) };
  writeFileSync(path, JSON.stringify(note), { mode: 0o600, flag: "wx" });
  const close = async () => {
    if (readNote(folder)?.pid === process.pid) rmSync(path, { force: true });
    if (brief) await left(served);
    await served.close();
  };
  return {
    url: served.url,
    port: served.port,
    token,
    get clients() {
      return served.clients;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** What the others have asked is answered first: it may be the very answer that this process was waiting for. */
async function left(served: Served): Promise<void> {
  for (let ms = 0; served.clients > 0 && ms < LINGER_MS; ms += SOON_MS) await sleep(systemClock, SOON_MS);
}
