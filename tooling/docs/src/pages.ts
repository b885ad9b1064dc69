// The Markdown of this repository. Owns: which files there are, and the blocks of code in them.

import { readFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { join } from "node:path";

export const ROOT = join(import.meta.dirname, "../../..");

export interface Block {
  language: string;
  text: string;
  /** The line of its first character. */
  line: number;
  /** What stands in the block of `text` right behind it: what it prints. */
  output: string | undefined;
}

/** Those that git knows or would add, from the root. */
export function markdownFiles(): string[] {
  const list = ["ls-files", "--cached", "--others", "--exclude-standard", "*.md", "*.txt"];
  const files = execFileSync("git", list, { cwd: ROOT, encoding: "utf8" }).split("\n");
  return files.filter((file) => file.endsWith(".md") || file.endsWith("llms.txt"));
}

export function readPage(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

const FENCE = /^```(\w*)[^\n]*\n([^]*?)^```$/gm;

export function blocksOf(page: string): Block[] {
  const found = [...page.matchAll(FENCE)].map(({ 1: language, 2: text, index, 0: all }) => ({
    language: language!,
    text: text!,
    line: page.slice(0, index).split("\n").length + 1,
    start: index,
    end: index + all.length,
  }));
  return found.map(({ language, text, line, end }, i) => {
    const next = found[i + 1];
    const isOutput = next?.language === "text" && page.slice(end, next.start).trim() === "";
    return { language, text, line, output: isOutput ? next.text : undefined };
  });
}

/** Its text without what stands in blocks of code. */
export function prose(page: string): string {
  return page.replaceAll(FENCE, "");
}
