// A folder for one call. It is gone afterwards, whatever was made of it.

import { chmod, mkdtemp, readdir, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export async function makeFolder(): Promise<string> {
  return realpath(await mkdtemp(join(tmpdir(), "sentient-untrusted-")));
}

/** Also what its maker has closed to itself. */
export async function removeFolder(folder: string): Promise<void> {
  await open(folder);
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
}

async function open(folder: string): Promise<void> {
  await chmod(folder, 0o700);
  for (const entry of await readdir(folder, { withFileTypes: true }))
    if (entry.isDirectory()) await open(join(folder, entry.name));
}
