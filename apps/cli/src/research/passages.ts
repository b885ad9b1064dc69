// Passages. Owns: where a file is cut. A passage is some lines that belong together, below the headings they stand under.

import type { CodeReading } from "./corpus.ts";
import { isCode } from "./corpus.ts";

export interface Cut {
  /** Lines, from 1 on, both included. */
  from: number;
  to: number;
  heading: string;
  /** The lines as they are. */
  lines: string[];
}

/** A passage is as long as that, or ends at the next blank line. */
const ENOUGH_LINES = 12;
const MOST_LINES = 40;
/** Unless it is fenced, which is cut only where it is longer than that. */
const MOST_FENCED_LINES = 200;
/** Of a line; what lies behind is no prose. */
const MOST_WIDTH = 2_000;

export function cut(file: string, text: string, code: CodeReading): Cut[] {
  const lines = text.split(/\r?\n/).map((line) => line.slice(0, MOST_WIDTH));
  if (!isCode(file)) return cutNotes(lines, /\.(?:md|mdx|markdown)$/i.test(file));
  return cutAtBlanks(code === "headers" ? headerOf(lines) : lines);
}

/** The comment at the top of a file. */
function headerOf(lines: readonly string[]): string[] {
  const start = lines.findIndex((line) => !/^(?:#!.*|\s*)$/.test(line));
  if (start < 0 || !isComment(lines[start]!)) return [];
  const end = lines.findIndex((line, at) => at >= start && !isComment(line));
  return lines.slice(0, end < 0 ? lines.length : end);
}

export function isComment(line: string): boolean {
  return /^\s*(?:\/\/|\/\*|\*|#(?!!|\[)|--\s)/.test(line);
}

function cutNotes(lines: readonly string[], isMarkdown: boolean): Cut[] {
  const cuts: Cut[] = [];
  const above: string[] = [];
  let inFence = false;
  let begun = 0;
  const end = (at: number) => {
    cuts.push(...cutAtBlanks(lines.slice(begun, at), begun, above.filter(Boolean).join(" › ")));
    begun = at;
  };
  lines.forEach((line, at) => {
    if (isFence(line)) inFence = !inFence;
    const [, marks, title] = (isMarkdown && !inFence && /^(#{1,6})\s+(.+?)\s*#*$/.exec(line)) || [];
    if (!marks) return;
    end(at);
    above.length = marks.length - 1;
    above[marks.length - 1] = title!.replaceAll(/[`*_]/g, "");
    begun = at + 1;
  });
  end(lines.length);
  return cuts;
}

function cutAtBlanks(lines: readonly string[], offset = 0, heading = ""): Cut[] {
  const cuts: Cut[] = [];
  let begun = 0;
  const end = (at: number) => {
    const part = lines.slice(begun, at);
    const first = part.findIndex((line) => line.trim() !== "");
    const last = part.findLastIndex((line) => line.trim() !== "");
    if (first >= 0)
      cuts.push({
        from: offset + begun + first + 1,
        to: offset + begun + last + 1,
        heading,
        lines: part.slice(first, last + 1),
      });
    begun = at;
  };
  let inFence = false;
  lines.forEach((line, at) => {
    const length = at - begun;
    const isDue = (length >= ENOUGH_LINES && line.trim() === "") || length >= MOST_LINES;
    if (isDue && (!inFence || length >= MOST_FENCED_LINES)) end(at);
    if (isFence(line)) inFence = !inFence;
  });
  end(lines.length);
  return cuts;
}

export function isFence(line: string): boolean {
  return /^\s*(?:```|~~~)/.test(line);
}
