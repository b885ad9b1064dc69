// What tokens cost.

import type { Usage } from "@sentient/agent-core";

/** For a million tokens, in whichever currency. */
export interface ModelPrice {
  input: number;
  output: number;
  /** Of input that the provider had in its cache: as all input if left out. */
  cached?: number;
}

const MILLION = 1_000_000;

export function costOf(usage: Usage, { input, output, cached = input }: ModelPrice): number {
  const { inputTokens, outputTokens, cachedTokens = 0 } = usage;
  const fresh = inputTokens - cachedTokens;
  return (fresh * input + cachedTokens * cached + outputTokens * output) / MILLION;
}
