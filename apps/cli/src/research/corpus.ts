// Corpus. Owns: which files of a folder are read, and what they hold.
// C1. Nothing outside the folder is read: symbolic links are left alone.
// C2. What is no text is told by its content, and not by its name.

import { createHash } from "node:crypto";
import type { Dirent } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";

/** More files than that are not read, and larger ones neither, in bytes. */
const MOST_FILES = 5_000;
const MOST_BYTES = 1_000_000;
/** How far into a file a zero byte is looked for. */
const SNIFFED_BYTES = 8_192;

const LEFT_OUT_FOLDERS = new Set(["node_modules", "dist", "build", "coverage", "target", "vendor"]);
const LEFT_OUT_FILES = /(?:^|[-.])lock(?:\.[a-z]+)?$|\.(?:map|svg|snap|tsbuildinfo)$|^LICENSE/;

/** Of source code: all of it, or only what stands at the top of a file to say what it is about. */
export type CodeReading = "whole" | "headers";

export interface CorpusFile {
  /** Below the folder, with `/`. */
  file: string;
  hash: string;
}

export interface Corpus {
  files: CorpusFile[];
  /** What is no text, too large, or beyond the number of files. */
  leftOut: number;
}

const CODE = /\.(?:[cm]?[jt]sx?|py|rs|go|java|kt|c|h|cc|cpp|cs|rb|swift|sql|surql|sh)$/;
const NOTES = /\.(?:md|mdx|markdown|txt|rst|adoc)$/i;

export function isCode(file: string): boolean {
  return CODE.test(file);
}

/** @throws what the file system throws of the folder itself */
export async function listCorpus(folder: string, code: CodeReading): Promise<Corpus> {
  const files: CorpusFile[] = [];
  let leftOut = 0;
  for await (const file of walk(folder, "")) {
    if (code === "headers" && !isWantedOfHeaders(file)) continue;
    const text = files.length < MOST_FILES ? await readText(folder, file) : undefined;
    if (text === undefined) leftOut++;
    else files.push({ file, hash: createHash("sha256").update(`${code}\n${text}`).digest("hex") });
  }
  return { files, leftOut };
}

/** A repository's own documents, and what its source files say of themselves. */
function isWantedOfHeaders(file: string): boolean {
  if (file.startsWith("apps/cli/")) return false; // what asks is no source of the answer
  return (
    NOTES.test(file) ||
    (/^packages\/[^/]+\/src\//.test(file) && isCode(file) && !/\.test\.[a-z]+$/.test(file))
  );
}

/** C2. Undefined for what is not to be read. */
export async function readText(folder: string, file: string): Promise<string | undefined> {
  const path = join(folder, file);
  try {
    if ((await stat(path)).size > MOST_BYTES) return undefined;
    const bytes = await readFile(path);
    if (bytes.subarray(0, SNIFFED_BYTES).includes(0)) return undefined;
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined; // gone meanwhile, not ours to read, or no UTF-8
  }
}

/** In an order that does not depend on the file system. */
async function* walk(folder: string, below: string): AsyncGenerator<string> {
  const entries = await readdir(join(folder, below), { withFileTypes: true }).catch((error: unknown) => {
    if (below === "") throw error;
    return [] as Dirent[];
  });
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.name.startsWith(".")) continue;
    if (entry.isDirectory() && !LEFT_OUT_FOLDERS.has(entry.name)) yield* walk(folder, path);
    else if (entry.isFile() && !LEFT_OUT_FILES.test(entry.name)) yield path; // C1
  }
}
