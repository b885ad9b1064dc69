// Reaching an embedded database that another process owns. Owns: the note that its owner leaves beside it.
// The note holds the token: only its owner can read it, and it goes when the owner does.

import { randomBytes } from "node:crypto";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { serve, type Database, type Served } from "@sentient/db-pool";

const FILE = "sentient.served.json";

export interface ServedNote {
  url: string;
  token: string;
  pid: number;
}

/** The folder of an embedded database; undefined for any other. */
export function folderOf(url: string): string | undefined {
  const [, path] = /^(?:rocksdb|surrealkv):\/\/([^?]+)/.exec(url) ?? [];
  return path === undefined ? undefined : resolve(path);
}

/** Who owns the database and serves it, if somebody does. */
export function readNote(folder: string): ServedNote | undefined {
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
