// Embedding. Owns: texts as directions, so that those which share parts of words are near each other, whatever their endings
// and spelling. It takes no model: words and their parts are hashed, as in "Feature Hashing for Large Scale Multitask Learning"
// (Weinberger et al., 2009).

import { termsOf } from "./question.ts";

export const DIMENSION = 128;
/** Letters in a part of a word. */
const PART = 4;
/** What a whole word says, beside one of its parts. */
const WORD_WEIGHT = 2;

/** Of length 1; undefined for a text without a word that says something. */
export function embed(text: string): number[] | undefined {
  const counts = new Map<string, number>();
  const count = (feature: string, weight: number) => counts.set(feature, (counts.get(feature) ?? 0) + weight);
  for (const word of wordsOf(text)) {
    count(word, WORD_WEIGHT);
    for (const part of partsOf(word)) count(part, 1);
  }
  const vector = Array.from({ length: DIMENSION }, () => 0);
  for (const [feature, times] of counts) {
    const hash = hashOf(feature);
    vector[(hash >>> 1) % DIMENSION]! += (hash & 1 ? 1 : -1) * Math.log1p(times);
  }
  const length = Math.hypot(...vector);
  return length > 0 ? vector.map((value) => value / length) : undefined;
}

/** As often as they are there, unlike `termsOf`. */
function wordsOf(text: string): string[] {
  const says = new Set(termsOf(text));
  return (text.toLowerCase().match(/[\p{L}\p{N}][\p{L}\p{N}_-]*/gu) ?? []).filter((word) => says.has(word));
}

function partsOf(word: string): string[] {
  const whole = `<${word}>`;
  return Array.from({ length: Math.max(0, whole.length - PART + 1) }, (_, at) => whole.slice(at, at + PART));
}

/** FNV-1a, 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
