// Checks. Owns: what may be wrong with a database and the machine that it is on, each looked at for itself.

import { randomUUID } from "node:crypto";
import { statSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { DbError, ident, surql, type Database } from "@sentient/db-pool";
import {
  check as compare,
  migrationStatus,
  RUNTIME_HISTORY,
  runtimeMigrations,
  runtimeTables,
} from "@sentient/schema";
import { folderOf } from "@sentient/agent-core/config";

export interface Finding {
  name: string;
  status: "good" | "doubtful" | "bad";
  message: string;
}

type Found = Omit<Finding, "name">;

const OLDEST_NODE = 24;
const LITTLE_SPACE = 500 * 1024 ** 2;
const MOST_SKEW_MS = 2_000;
/** Writers that count together, and how far each counts. */
const WRITERS = 16;
const COUNTS = 25;

const good = (message: string) => ({ status: "good" as const, message });
const doubtful = (message: string) => ({ status: "doubtful" as const, message });
const bad = (message: string) => ({ status: "bad" as const, message });

/** Of the machine, whether there is a database or not. */
export const MACHINE_CHECKS: Readonly<Record<string, (folder: string | undefined) => Promise<Found>>> = {
  node: async () => {
    const version = process.versions.node;
    return Number(version.split(".")[0]) >= OLDEST_NODE
      ? good(`Node ${version}`)
      : bad(`Node ${version} is too old: use ${OLDEST_NODE} or newer`);
  },
  space: async (folder) => {
    if (folder === undefined) return good("not on this machine");
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    const text = `${(free / 1024 ** 3).toFixed(1)} GiB free at ${folder}`;
    return free > LITTLE_SPACE ? good(text) : bad(`only ${text}: writes will fail soon`);
  },
  permissions: async (folder) => {
    if (folder === undefined) return good("not on this machine");
    const mode = statSync(folder).mode & 0o077;
    return mode === 0 || process.platform === "win32"
      ? good("only its owner can read the folder")
      : bad(`others can read ${folder}: chmod 700 it`);
  },
};

/** Of the way to the database: who has it, or why it cannot be reached. */
export function openingOf(url: string, opened: Database | DbError): Found {
  if (opened instanceof DbError) return bad(opened.message);
  if (folderOf(url) === undefined) return good(`${opened.url} was opened`);
  return folderOf(opened.url) === undefined
    ? good(`another process has the folder, and serves it at ${opened.url}`)
    : good("no other process has the folder");
}

/** Of a database that could be opened. */
export const DATABASE_CHECKS: Readonly<Record<string, (db: Database) => Promise<Found>>> = {
  engine: async (db) => {
    await db.query(surql`RETURN 1`);
    const kind = db.url.split(":")[0]!;
    if (kind === "mem") return doubtful("mem:// keeps nothing: it is gone with the process");
    if (kind === "surrealkv")
      return doubtful(
        "surrealkv:// loses writes where several are made at once, so they are made one by one; rocksdb:// needs that not",
      );
    return good(`${kind}:// answers`);
  },
  isolation: countTogether,
  migrations: async (db) => {
    const { applied, pending } = await migrationStatus(db, {
      migrations: await runtimeMigrations(),
      history: RUNTIME_HISTORY,
    });
    return pending.length === 0
      ? good(`${applied.length} applied, none pending`)
      : doubtful(`${pending.length} pending: sentient migrate applies them, as does the first worker`);
  },
  schema: async (db) => {
    const all = await compare(db, runtimeTables);
    const drift = all.filter(({ what, kind }) => what !== "extra" || kind !== "table"); // others may have theirs beside them
    const named = drift
      .slice(0, 5)
      .map(({ what, kind, table, name }) => `${what} ${kind} ${table ?? ""}.${name}`);
    return drift.length === 0
      ? good("the tables are those of this release")
      : bad(`the tables differ from those of this release in ${drift.length} places: ${named.join(", ")}`);
  },
  clock: async (db) => {
    const before = Date.now();
    const at = await db.query(surql<Date>`RETURN time::now()`);
    const skew = Math.abs(at.getTime() - (before + Date.now()) / 2);
    return skew <= MOST_SKEW_MS
      ? good(`${Math.round(skew)} ms from that of the database`)
      : doubtful(
          `${Math.round(skew)} ms from that of the database, whose time counts: what is shown as "ago" is off by that`,
        );
  },
};

/** Whether the engine loses what several write at once. In a table of its own, which is gone afterwards. */
async function countTogether(db: Database): Promise<Found> {
  const table = ident(`sentient_doctor_${randomUUID().replaceAll("-", "")}`);
  const key = surql`type::record(${table.text.replaceAll("`", "")}, 1)`;
  try {
    await db.query(surql`CREATE ${key} SET count = 0 RETURN NONE`);
    const one = async () => {
      for (let at = 0; at < COUNTS; at++) await db.query(surql`UPDATE ${key} SET count += 1 RETURN NONE`);
    };
    await Promise.all(Array.from({ length: WRITERS }, one));
    const [counted] = await db.query(surql<number[]>`SELECT VALUE count FROM ${key}`);
    return counted === WRITERS * COUNTS
      ? good(`${WRITERS} writers counted to ${counted} together`)
      : bad(
          `${WRITERS} writers counted to ${counted} instead of ${WRITERS * COUNTS}: this engine loses writes`,
        );
  } finally {
    await db.query(surql`REMOVE TABLE IF EXISTS ${table}`);
  }
}
