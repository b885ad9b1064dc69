// Reading. Owns: which sentences answer a question best.

import { isCode } from "./corpus.ts";
import type { Found, Library } from "./library.ts";
import { sentencesOf } from "./sentences.ts";

/** A sentence, word for word, and where it stands. */
export interface Finding {
  file: string;
  from: number;
  to: number;
  heading: string;
  quote: string;
  score: number;
}

/** Words by what they say, as the index sees them. */
export type Weights = Record<string, number>;

const MOST_FINDINGS = 10;
/** What scores less than that part of the best is left out. */
const WORTH = 0.3;
/** Two sentences that share more of their words than that say the same. */
const SAME = 0.6;
/** What is longer, in characters, says less for its length. */
const LONG = 260;
const HEADING_WEIGHT = 0.3;
/** What a comment says is about the code first. */
const CODE_WEIGHT = 0.6;

/** The best sentences of some passages. */
export async function findingsIn(
  passages: readonly Found[],
  weights: Weights,
  library: Library,
  most = MOST_FINDINGS,
): Promise<Finding[]> {
  const best = Math.max(1e-9, ...passages.map(({ score }) => score));
  const sentences = passages.flatMap((passage) =>
    sentencesOf(passage.lines, passage.from, isCode(passage.file)).map((sentence) => ({ passage, sentence })),
  );
  const stems = await library.stems(sentences.map(({ sentence }) => sentence.text));
  const headings = [...new Set(passages.map(({ heading }) => heading))];
  const above = new Map((await library.stems(headings)).map((each, at) => [headings[at]!, each]));
  const findings = sentences.map(({ passage: { file, heading, score }, sentence }, at) => ({
    file,
    heading,
    from: sentence.from,
    to: sentence.to,
    quote: sentence.text,
    score:
      (saidBy(stems[at]!, weights) &&
        saidBy(stems[at]!, weights) + HEADING_WEIGHT * saidBy(above.get(heading)!, weights)) *
      (0.6 + 0.4 * (score / best)) *
      (isCode(file) ? CODE_WEIGHT : 1) *
      Math.min(1, LONG / sentence.text.length),
  }));
  const kept = distinct(findings);
  return kept.filter(({ score }) => score >= WORTH * kept[0]!.score).slice(0, most);
}

/** How much some words say of a question, each once. */
function saidBy(stems: readonly string[], weights: Weights): number {
  return [...new Set(stems)].reduce((sum, stem) => sum + (weights[stem] ?? 0), 0);
}

/** The best first, without those that say what a better one says. */
export function distinct(findings: readonly Finding[]): Finding[] {
  const kept: Finding[] = [];
  for (const finding of findings.toSorted((a, b) => b.score - a.score)) {
    if (finding.score <= 0) break;
    if (!isSaidBy(kept, finding)) kept.push(finding);
  }
  return kept;
}

/** Whether one of them says it already. */
export function isSaidBy(others: readonly Finding[], { quote }: Finding): boolean {
  const words = wordsIn(quote);
  return others.some((other) => overlap(words, wordsIn(other.quote)) >= SAME);
}

function wordsIn(text: string): Set<string> {
  return new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu));
}

function overlap(a: Set<string>, b: Set<string>): number {
  const shared = [...a].filter((word) => b.has(word)).length;
  return shared / Math.max(1, Math.min(a.size, b.size));
}
