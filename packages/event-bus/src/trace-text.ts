// Trace text. Owns: a trace for people. What it holds was told by anybody, and must not move a terminal's cursor.

import type { Event } from "@sentient/schema";
import type { Trace, TraceNode } from "./trace.ts";

/** Deeper than that a line says its depth instead of being moved further to the right. */
const DEEPEST = 24;

/** A tree, one line an event; `>` stands before the one asked for. */
export function textOf({ event, root, missing, correlation, truncated }: Omit<Trace, "text">): string {
  const lines: string[] = [];
  const shown = new Set<number>();
  const show = (one: Event, depth: number) => {
    shown.add(one.position);
    lines.push(`${one.position === event.position ? ">" : " "} ${indent(depth)}${lineOf(one)}`);
  };
  const showTree = ({ event: one, children }: TraceNode, depth: number) => {
    show(one, depth);
    for (const child of children) showTree(child, depth + 1);
  };
  if (missing !== undefined) lines.push(`  ${quoted(missing)} (trimmed, or not of this log)`);
  showTree(root, missing === undefined ? 0 : 1);
  const others = correlation.filter(({ position }) => !shown.has(position));
  if (others.length > 0) lines.push("", `  also of the correlation ${quoted(event.correlation!)}:`);
  for (const other of others) show(other, 0);
  if (truncated) lines.push("", "  … and more");
  return lines.join("\n");
}

function indent(depth: number): string {
  return depth <= DEEPEST ? "  ".repeat(depth) : `${"  ".repeat(DEEPEST)}[${depth}] `;
}

function lineOf({ position, type, run, n, source, target, at }: Event): string {
  const place = run === undefined ? "" : ` ${quoted(run)}#${n}`;
  const from = quoted(source) + (target === undefined ? "" : ` → ${quoted(target)}`);
  return `${position} ${quoted(type)}${place}  ${from}  ${at.toISOString()}`;
}

/** What steers a terminal, is not seen, or turns the direction of writing. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** A name as it is, and anything else in quotes, so that it cannot be taken for a part of the line. */
function quoted(text: string): string {
  if (/^[\w.:@/#+-]+$/.test(text)) return text;
  const escaped = text.replace(/["\\]/g, "\\$&");
  return `"${escaped.replace(UNSEEN, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`)}"`;
}
