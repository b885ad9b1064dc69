// Reaching an embedded database that another process owns. Owns: the note that its owner leaves beside it.
// N1. The note holds the token: only whoever may read the data can read it, and it goes when the owner does.
// N2. A note that outlived its owner leads nowhere: then the answer is who holds the folder, as without it.

import { randomBytes } from "node:crypto";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import {
  DbError,
  openDatabase,
  serve,
  type Database,
  type DatabaseOptions,
  type Served,
} from "@sentient/db-pool";

const FILE = "sentient.served.json";

interface ServedNote {
  url: string;
  token: string;
  pid: number;
}

/** The folder of an embedded database; undefined for any other. */
export function folderOf(url: string): string | undefined {
  const [, path] = /^(?:rocksdb|surrealkv):\/\/([^?]+)/.exec(url) ?? [];
  return path === undefined ? undefined : resolve(path);
}

/**
 * Opens a database; a folder that another process owns is reached through that process, if it serves it (`serveBeside`).
 *
 * @throws what `openDatabase` throws; `db.locked` if the owner of the folder does not serve it
 * @example const db = await openOrReach({ url: "rocksdb://.sentient/data" });
 */
export async function openOrReach(options: DatabaseOptions): Promise<Database> {
  try {
    return await openDatabase(options);
  } catch (error) {
    const folder = folderOf(options.url ?? "");
    if (!(error instanceof DbError) || error.code !== "db.locked" || folder === undefined) throw error;
    const note = readNote(folder);
    if (!note) throw error;
    return reach(note, options, error);
  }
}

/** N2. */
async function reach(
  { url, token }: ServedNote,
  options: DatabaseOptions,
  locked: DbError,
): Promise<Database> {
  try {
    return await openDatabase({ ...options, url, token });
  } catch (error) {
    throw error instanceof DbError && GONE.has(error.code) ? locked : error;
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

/**
 * Serves an embedded database to the other processes of this machine, and says so beside it. A remote one needs none of it.
 *
 * @throws `db.bad_option` for a port that is taken
 * @example await using served = await serveBeside(db);
 */
export async function serveBeside(
  db: Database,
  { port, token = randomBytes(32).toString("hex") }: { port?: number; token?: string } = {},
): Promise<(Served & { token: string }) | undefined> {
  const folder = folderOf(db.url);
  if (folder === undefined) return undefined;
  const served = await serve(db, { token, ...(port === undefined ? {} : { port }) });
  const path = join(folder, FILE);
  rmSync(path, { force: true }); // one of another owner could be readable by others
  writeFileSync(path, JSON.stringify({ url: served.url, token, pid: process.pid } satisfies ServedNote), {
    mode: 0o600,
    flag: "wx",
  });
  const close = async () => {
    if (readNote(folder)?.pid === process.pid) rmSync(path, { force: true });
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
