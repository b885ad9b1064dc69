// The lock file. Owns: saying who holds a folder, at once and by name.
// Does not own: keeping two engines apart. The engine's own LOCK does that; without this file it would only say "no".

import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { DbError } from "./errors.ts";

const FILE = "sentient.lock";
const atExit = new Set<() => void>();
process.on("exit", () => {
  for (const release of atExit) release();
});

/** Who holds a folder. `bootId`, `namespace` and `startedAt` tell a live holder from a pid that was used again. */
export interface Holder {
  pid: number;
  host: string;
  bootId: string | null;
  /** The pid namespace: in another container the same pid is somebody else. */
  namespace: string | null;
  /** When the process started, in the kernel's own count. */
  startedAt: string | null;
  openedAt: string;
}

export interface LockFile {
  /** Who had it and is gone, without having given it back. */
  readonly before: Holder | undefined;
  release(): void;
  /** Gives the file back to whom it was taken from: the engine says that they live after all. */
  restore(): Holder | undefined;
}

/**
 * Takes the lock of a folder, which it makes (0700) if need be.
 *
 * @throws `db.locked` naming the holder, if that process is alive; `db.open_failed` if the folder cannot be used
 */
export function takeLock(folder: string, openedAt: Date): LockFile {
  const path = join(folder, FILE);
  const me = thisProcess(openedAt);
  let before: Holder | undefined;
  try {
    makeFolder(folder);
    if (!create(path, me)) {
      before = readHolder(path);
      if (before && lives(before)) throw lockedBy(folder, before);
      rmSync(path, { force: true });
      if (!create(path, me)) throw lockedBy(folder, readHolder(path)); // somebody was quicker
    }
  } catch (error) {
    if (error instanceof DbError) throw error;
    throw cannotUse(folder, error);
  }
  const release = () => {
    atExit.delete(release);
    const holder = readHolder(path);
    if (holder?.pid === me.pid && holder.openedAt === me.openedAt) rmSync(path, { force: true });
  };
  atExit.add(release);
  const restore = () => {
    release();
    if (before) create(path, before);
    return before;
  };
  return { before, release, restore };
}

/** The error for a folder that somebody else holds, as its lock file tells it. */
export function lockedBy(folder: string, holder: Holder | undefined): DbError {
  const who = holder
    ? `process ${holder.pid} on ${holder.host}, since ${holder.openedAt}`
    : "another process, which left no name";
  return new DbError({
    code: "db.locked",
    message:
      `${folder} is in use by ${who}: one process owns an embedded database; ` +
      "stop it, or have it serve the database to others, as sentient serve, sentient dev and serve() do",
    details: { folder, ...(holder ? { holder } : {}) },
    retryable: true,
  });
}

/** Not `recursive`: Node loops for ever where the kernel says ENOENT of a folder whose parent exists, as in /proc. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  const parent = dirname(folder);
  if (parent !== folder) makeFolder(parent);
  mkdirSync(folder, { mode: 0o700 });
}

/** Writes the file whole and only if there is none: a link either appears complete or not at all. */
function create(path: string, holder: Holder): boolean {
  const draft = `${path}.${holder.pid}.${Math.random().toString(36).slice(2)}`;
  writeFileSync(draft, JSON.stringify(holder), { mode: 0o600 });
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function readHolder(path: string): Holder | undefined {
  try {
    const holder = JSON.parse(readFileSync(path, "utf8")) as Holder;
    return Number.isInteger(holder.pid) && typeof holder.host === "string" ? holder : undefined;
  } catch {
    return undefined;
  }
}

/** False if the holder is surely gone, or lives where we cannot see it: then the engine's own LOCK decides. */
function lives(holder: Holder): boolean {
  const here = thisProcess(new Date());
  if (holder.host !== here.host || holder.bootId !== here.bootId || holder.namespace !== here.namespace)
    return false;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false; // EPERM: alive, and somebody else's
  }
  return holder.startedAt === startOf(holder.pid);
}

function thisProcess(openedAt: Date): Holder {
  return {
    pid: process.pid,
    host: hostname(),
    bootId: read(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()),
    namespace: read(() => readlinkSync("/proc/self/ns/pid")),
    startedAt: startOf(process.pid),
    openedAt: openedAt.toISOString(),
  };
}

/** Field 22 of /proc/PID/stat; the name before it may hold spaces and brackets. Null where there is no /proc. */
function startOf(pid: number): string | null {
  return read(() => {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  });
}

function read(what: () => string | null): string | null {
  try {
    return what();
  } catch {
    return null;
  }
}

function cannotUse(folder: string, error: unknown): DbError {
  const { code, message } = error as NodeJS.ErrnoException;
  const why =
    code === "EACCES" || code === "EPERM" || code === "EROFS"
      ? "this process may not write there"
      : code === "ENOTDIR" || code === "EEXIST"
        ? "there is a file where the folder should be"
        : code === "ENOSPC"
          ? "the disk is full"
          : message;
  return new DbError({
    code: code === "ENOSPC" ? "db.storage_full" : "db.open_failed",
    message: `the database folder ${folder} cannot be used: ${why}; name another folder, or mend this one`,
    cause: error,
  });
}
