// vitest's global set-up. Owns: the folder that everything one run of the tests writes lies in, and its end.

import { mkdtempSync, readdirSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

// In memory, where there is such a folder with room: an fsync costs nothing there, and elsewhere half of a small write.
// No test can see the difference: what a killed process has written the kernel keeps either way.
const MEMORY = "/dev/shm";
const ROOM = 4 * 2 ** 30;
const PREFIX = "sentient-tests-";

/** In the folder that `TMPDIR` names, or in memory. */
export default function setUp(): () => void {
  return moveInto(process.env.TMPDIR ?? (hasRoom(MEMORY) ? MEMORY : tmpdir()));
}

/**
 * Moves `os.tmpdir()` of the tests, and of the processes they start, into a folder of their own.
 *
 * @returns what removes it when they are through
 */
export function moveInto(parent: string): () => void {
  removeAbandoned(parent);
  // Half of what a process costs that a test starts is to compile its sources.
  process.env.NODE_COMPILE_CACHE ??= join(tmpdir(), "sentient-compile-cache");
  const folder = mkdtempSync(join(parent, `${PREFIX}${process.pid}-`));
  process.env.TMPDIR = folder;
  return () => rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
}

function hasRoom(folder: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize >= ROOM;
  } catch {
    return false;
  }
}

/** Removes what tests have left that were killed themselves. */
function removeAbandoned(parent: string): void {
  for (const name of readdirSync(parent)) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid && !isAlive(Number(pid))) rmSync(join(parent, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
