// Sentences. Owns: the sentences of some lines, each with the lines it stands on, word for word.

import { isComment, isFence } from "./passages.ts";

export interface Sentence {
  text: string;
  from: number;
  to: number;
}

const SHORTEST = 30;
const LONGEST = 420;
const FEWEST_WORDS = 5;
/** Before the words of a line: what makes it a comment, a quotation or an item. */
const MARKS = /^\s*(?:\/\/+|\/\*+|\*+\/|\*(?=\s)|#(?=\s)|--(?=\s)|>)?\s*(?:[-*+](?=\s)|\d+[.)](?=\s))?\s*/;

const segmenter = new Intl.Segmenter("en", { granularity: "sentence" });

/** The words of some lines, without what only lays them out. */
export function wordsOf(lines: readonly string[]): string {
  return lines
    .map((line) =>
      line
        .replace(MARKS, "")
        .replace(/^\|/, "")
        .replace(/\|\s*$/, ""),
    )
    .join(" ")
    .replaceAll(/\s+/g, " ")
    .trim();
}

/** @param first the number of the first line @param isCode then only comments speak */
export function sentencesOf(lines: readonly string[], first: number, isCode: boolean): Sentence[] {
  return blocksOf(lines, isCode).flatMap(({ at, lines }) => sentencesOfBlock(lines, first + at));
}

interface Block {
  at: number;
  lines: string[];
}

/** Paragraphs, items and rows of tables; nothing of what is fenced. */
function blocksOf(lines: readonly string[], isCode: boolean): Block[] {
  const blocks: Block[] = [];
  let open: Block | undefined;
  let inFence = false;
  lines.forEach((line, at) => {
    const fences = !isCode && isFence(line);
    if (fences) inFence = !inFence;
    const words = wordsOf([line]);
    if (fences || inFence || words === "" || !speaks(line, isCode)) {
      open = undefined;
      return;
    }
    const isRow = /^\s*\|/.test(line);
    if (!open || isRow || beginsItem(line)) {
      open = { at, lines: [] };
      blocks.push(open);
    }
    open.lines.push(line);
    if (isRow) open = undefined;
  });
  return blocks;
}

function speaks(line: string, isCode: boolean): boolean {
  if (isCode) return isComment(line) && !/^\s*(?:#!|\/\/\/\s*<|\/\/\s*@|\*\s*@)/.test(line);
  return !/^\s*(?:#{1,6}\s|<!--|[-=*_|:\s]+$|!?\[[^\]]*\]:?\(?http)/.test(line);
}

/** An item, or one of numbered statements such as `V1.` in a comment. */
function beginsItem(line: string): boolean {
  return /^\s*(?:[-*+]|\d+[.)])\s/.test(line) || /^\s*(?:\/\/|\*)\s*[A-Z]\d+\.\s/.test(line);
}

function sentencesOfBlock(lines: readonly string[], first: number): Sentence[] {
  const ends: number[] = [];
  let text = "";
  for (const line of lines) {
    text += `${text === "" ? "" : " "}${wordsOf([line])}`;
    ends.push(text.length);
  }
  const lineOf = (place: number) => first + ends.findIndex((end) => place < end);
  return joined([...segmenter.segment(text)].map(({ segment, index }) => ({ segment, index }))).flatMap(
    ({ segment, index }) => {
      const words = segment.trim();
      if (words.length < SHORTEST || words.length > LONGEST || words.endsWith(":")) return [];
      if (words.split(" ").filter((word) => /\p{L}{2}/u.test(word)).length < FEWEST_WORDS) return [];
      return [{ text: words, from: lineOf(index), to: lineOf(index + words.length - 1) }];
    },
  );
}

/** What is too short to be one belongs to the next: `V1. It never holds more`, `**Steps.** They are done once`. */
function joined(parts: { segment: string; index: number }[]): { segment: string; index: number }[] {
  const whole: { segment: string; index: number }[] = [];
  for (const part of parts) {
    const last = whole.at(-1);
    const goesOn = /^(?:[\p{Ll}`]|\*\*\s|__\s)/u.test(part.segment); // also where what is bold ends behind its full stop
    if (last && (last.segment.trim().length < SHORTEST || goesOn)) last.segment += part.segment;
    else whole.push({ ...part });
  }
  return whole;
}
