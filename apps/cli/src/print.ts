// Printing. Owns: what leaves the program.
// What a command answers goes to stdout, all else to stderr.
// What is stored is somebody else's text: nothing of it moves the cursor, colours or rings.

import { stripVTControlCharacters, styleText } from "node:util";

type Style = Parameters<typeof styleText>[0];

/** For a terminal, unless NO_COLOR is set; a file or a pipe gets none. */
export function colour(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return stream.isTTY ? styleText(style, text, { stream }) : text;
}

/** Whether a line may be drawn again in place. */
export function isAnimated(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY && !process.env.NO_COLOR && process.env.TERM !== "dumb" && !process.env.CI;
}

/** Text of unknown origin on one line. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu, (character) => {
    if (character === "\n" || character === "\t" || character === "\r") return " ";
    return `\\u{${character.codePointAt(0)!.toString(16)}}`;
  });
}

export function out(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** One JSON document; what is in it may hold anything, and is escaped by being JSON. */
export function jsonText(value: unknown): string {
  return escaped(JSON.stringify(value, null, 2) ?? "null");
}

/** One JSON document in one line. */
export function jsonLine(value: unknown): string {
  return escaped(JSON.stringify(value));
}

/** What stands in JSON as it is, and some terminals obey or hide: DEL, C1 controls, what turns the direction of text. */
function escaped(json: string): string {
  return json.replaceAll(/[\u007f-\u009f\u2028\u2029]|\p{Cf}/gu, (character) =>
    character
      .split("")
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
      .join(""),
  );
}

/** Columns, each as wide as its widest cell; the last one ends where it ends. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]!.length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, at) => (at === cells.length - 1 ? cell : cell.padEnd(widths[at]!)))
      .join("  ")
      .trimEnd();
  return [colour("dim", line(head)), ...rows.map(line)];
}

/** `1 run`, `2 runs`. */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/** `340 ms`, `1.2 s`, `3 min`, `2 h`, `5 d`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 100_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 6_000_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}
