// Lines in files.

import { createReadStream } from "node:fs";
import { mkdtemp, open, rename, rm, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { badExportError } from "./import-check.ts";
import { MOST_LINE_BYTES } from "./transfer-format.ts";

/** What is written in one go. */
const WRITE_BYTES = 256 * 1024;

/** Writes lines to a file that is there whole, or not at all. Only its owner can read it. */
export async function writeLines(path: string, lines: AsyncIterable<string>): Promise<void> {
  const partial = `${path}.partial`;
  try {
    const file = await open(partial, "w", 0o600);
    try {
      await pour(file, lines);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function pour(file: FileHandle, lines: AsyncIterable<string> | Iterable<string>): Promise<void> {
  let waiting: string[] = [];
  let length = 0;
  for await (const line of lines) {
    waiting.push(line, "\n");
    length += line.length + 1;
    if (length < WRITE_BYTES) continue;
    await file.writeFile(waiting.join(""));
    waiting = [];
    length = 0;
  }
  await file.writeFile(waiting.join(""));
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * The lines of a file. Not Node's readline, for which U+2028 within a text ends a line too.
 *
 * @throws `state.bad_export` for one that is too long
 */
export async function* readLines(path: string): AsyncGenerator<string, void, undefined> {
  let begun: Buffer[] = [];
  let length = 0;
  let count = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(NEW_LINE); end !== -1; end = chunk.indexOf(NEW_LINE, from)) {
      count++;
      yield Buffer.concat([...begun, chunk.subarray(from, end)]).toString();
      begun = [];
      length = 0;
      from = end + 1;
    }
    begun.push(chunk.subarray(from));
    length += chunk.length - from;
    if (length > MOST_LINE_BYTES)
      throw badExportError(count + 1, "it is longer than any that an export writes");
  }
  if (length > 0) yield Buffer.concat(begun).toString();
}

const NEW_LINE = 10;

/** Lines that can be read again. */
export interface Spool {
  path: string;
  remove: () => Promise<void>;
}

/** Puts lines that pass only once into a file of its own. */
export async function spool(lines: AsyncIterable<string> | Iterable<string>): Promise<Spool> {
  const folder = await mkdtemp(join(tmpdir(), "sentient-import-"));
  const remove = () => rm(folder, { recursive: true, force: true });
  const path = join(folder, "lines");
  try {
    const file = await open(path, "w", 0o600);
    try {
      await pour(file, lines);
    } finally {
      await file.close();
    }
    return { path, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}
