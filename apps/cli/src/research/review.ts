// Review. Owns: whether a citation is true: that what is quoted stands in its file, on the lines that are named.

import { keyOf, type Draft } from "./answer.ts";
import { readText } from "./corpus.ts";
import type { Finding } from "./reading.ts";
import { wordsOf } from "./sentences.ts";

export interface Removed {
  file: string;
  from: number;
  quote: string;
  why: string;
}

/** Undefined if it is true. */
export async function whyWrong(
  folder: string,
  { file, from, to, quote }: Finding,
): Promise<string | undefined> {
  const text = await readText(folder, file);
  if (text === undefined) return "the file is not there any more, or is no text";
  const lines = text.split(/\r?\n/);
  if (to > lines.length) return `the file has only ${lines.length} lines`;
  return wordsOf(lines.slice(from - 1, to)).includes(quote) ? undefined : "these lines say something else";
}

/** A draft without the sentences whose citation is wrong, and without those that then stand on nothing. */
export function without(draft: Draft, removed: readonly Removed[]): Draft {
  const wrong = new Set(removed.map(({ file, from, quote }) => `${file}:${from}:${quote}`));
  const sections = draft.sections
    .map(({ title, findings }) => ({ title, findings: findings.filter((each) => !wrong.has(keyOf(each))) }))
    .filter(({ findings }) => findings.length > 0);
  if (!draft.said) return { ...draft, sections };
  const left = new Set(sections.flatMap(({ findings }) => findings.map(keyOf)));
  const said = draft.said
    .map(({ text, cites }) => ({ text, cites: cites.filter((key) => left.has(key)) }))
    .filter(({ text, cites }) => text !== "" && cites.length > 0);
  return { ...draft, said, sections };
}
