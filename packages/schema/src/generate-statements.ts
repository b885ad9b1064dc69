import { rawSurql, type Statement } from "@sentient/db-pool";

/** Statements made of definitions alone: names are quoted and values are literals where their text was made. */
export function generatedStatements(texts: readonly string[]): Statement[] {
  return texts.flatMap((text) => rawSurql(text));
}
