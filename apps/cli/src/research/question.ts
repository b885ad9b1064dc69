// Question. Owns: what is looked for: the words of a question that say something, and the smaller questions in it.

/** Words that stand in any question. */
const COMMON = new Set(
  (
    "a about after all also am an and any are as at be because been before being between both but by can could did do does doing done " +
    "down each else ever every exactly for from get gets give given go goes had happen happened happening happens has have having he her here hers him his how i if in " +
    "into is it its itself just keep know let like make makes many may me mean means might more most much must my need next no nor not of " +
    "off on once one only or other our out over own really same say says she should show so some such take tell than that the their " +
    "them then there these they thing things this those through to too under until up us use used using very want was way we were what " +
    "when where which while who whom whose why will with without work works would you your"
  ).split(" "),
);

/** The words of a text that say something, each once, in order. */
export function termsOf(text: string): string[] {
  const words = text.toLowerCase().match(/[\p{L}\p{N}][\p{L}\p{N}_-]*/gu) ?? [];
  return [...new Set(words.filter((word) => word.length > 1 && !COMMON.has(word)))];
}

/** Its parts, where it asks several things: `how is it done, and what does it cost?` */
export function clausesOf(question: string): string[] {
  const parts = question
    .split(
      /[?;.](?:\s|$)|,\s+(?:and|or|but)\s+(?=(?:what|how|why|when|where|who|which|does|is|can)\b)|,\s+(?=(?:what|how|why|when|where|who|which)\b)|\s+and\s+(?=(?:what|how|why|when|where|who|which)\b)/i,
    )
    .map((part) => part.trim())
    .filter((part) => termsOf(part).length > 1); // one word alone finds anything
  return parts.length > 1 ? parts : [];
}

/** How much it says that a word stands somewhere, if it does in so many passages of so many. */
export function weightOf(frequency: number, passages: number): number {
  return frequency === 0 ? 0 : Math.log(1 + (passages - frequency + 0.5) / (frequency + 0.5));
}
