// Embedding. Owns: texts as directions: what is asked of whoever makes them, and one that takes no model.

import { AiError } from "../errors.ts";
import { termsOf, wordsOf } from "./words.ts";

/** Makes vectors of texts, near each other where the texts mean the same. */
export interface Embedder {
  /** Letters, digits and `. _ : / -`. Vectors of another name are kept apart. */
  readonly name: string;
  /** How many numbers a vector has. */
  readonly dimension: number;
  /** One vector for each text, in order; zeros for a text that points nowhere. */
  embed(texts: readonly string[], signal: AbortSignal): Promise<number[][]>;
}

const DIMENSION = 512;
/** Letters in a part of a word. */
const PARTS = [3, 4, 5];
/** What a whole word says, and what its parts say together, as a length. */
const WORD_WEIGHT = 2;
const PARTS_WEIGHT = 2;

/**
 * An embedder without a model: the same words and parts of words point the same way, so texts are near each other which share
 * them, whatever their endings and spelling. It knows nothing of meaning. Features are hashed, as in "Feature Hashing for Large
 * Scale Multitask Learning" (Weinberger et al., 2009).
 *
 * @param options how many numbers a vector has: 512, if left out; fewer keep long texts apart less well
 * @example const memory = createMemory(db, { embedder: localEmbedder() });
 */
export function localEmbedder({ dimension = DIMENSION }: { dimension?: number } = {}): Embedder {
  return {
    name: "local",
    dimension,
    embed: async (texts) => texts.map((text) => vectorOf(text, dimension)),
  };
}

/** Of length 1; zeros for a text without a word that says something. */
function vectorOf(text: string, dimension: number): number[] {
  const counts = new Map<string, number>();
  const count = (feature: string, weight: number) => counts.set(feature, (counts.get(feature) ?? 0) + weight);
  const says = new Set(termsOf(text));
  for (const word of wordsOf(text)) {
    if (!says.has(word)) continue;
    count(word, WORD_WEIGHT);
    const parts = partsOf(word);
    for (const part of parts) count(`#${part}`, PARTS_WEIGHT / Math.sqrt(parts.length));
  }
  const vector = Array.from({ length: dimension }, () => 0);
  for (const [feature, times] of counts) {
    const hash = hashOf(feature);
    vector[(hash >>> 1) % dimension]! += (hash & 1 ? 1 : -1) * Math.log1p(times);
  }
  return pointed(vector);
}

/** Of length 1, unless it points nowhere. */
function pointed(vector: readonly number[]): number[] {
  const length = Math.hypot(...vector);
  return length > 0 ? vector.map((value) => value / length) : [...vector];
}

function partsOf(word: string): string[] {
  const whole = `<${word}>`;
  return PARTS.flatMap((length) =>
    Array.from({ length: Math.max(0, whole.length - length + 1) }, (_, at) => whole.slice(at, at + length)),
  );
}

/** FNV-1a, 32 bits, and the last step of MurmurHash3 over it, as its low bits alone are not spread enough. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/**
 * The vectors of texts, checked; undefined for what points nowhere.
 *
 * @throws `ai.bad_embedding` if they are not what the embedder says they are
 */
export async function directionsOf(
  embedder: Embedder,
  texts: readonly string[],
  signal: AbortSignal,
): Promise<(number[] | undefined)[]> {
  if (texts.length === 0) return [];
  const vectors = await embedder.embed(texts, signal);
  if (vectors.length !== texts.length)
    throw badEmbedding(embedder, `gave ${vectors.length} vectors for ${texts.length} texts`);
  return vectors.map((vector) => {
    if (vector.length !== embedder.dimension)
      throw badEmbedding(
        embedder,
        `gave a vector of ${vector.length} numbers, and says ${embedder.dimension}`,
      );
    if (!vector.every(Number.isFinite)) throw badEmbedding(embedder, "gave a vector with what is no number");
    // The distance to a vector of zeros is NaN, which the index sorts first.
    return vector.some((value) => value !== 0) ? Array.from(vector) : undefined;
  });
}

function badEmbedding({ name }: Embedder, what: string): AiError {
  return new AiError({
    code: "ai.bad_embedding",
    message: `the embedder ${name} ${what}; nothing was written or searched`,
    details: { embedder: name },
  });
}
