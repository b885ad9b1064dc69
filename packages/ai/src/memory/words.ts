// Words. Owns: which words of a text say something, and when two texts are the same.

/** Words that stand in any text. */
const COMMON = new Set(
  (
    "a about after all also am an and any are as at be because been before being between both but by can could did do does doing done " +
    "each else ever every for from get gets give given go goes had has have having he her here hers him his how i if in into is it its " +
    "itself just let like make makes many may me might more most much must my no nor not of off on one only or other our out over own " +
    "really same say says she should so some such take than that the their them then there these they thing things this those through " +
    "to too under until up us use used using very want was way we were what when where which while who whom whose why will with would you your"
  ).split(" "),
);

/** In order, in small letters. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}][\p{L}\p{N}_]*/gu) ?? [];
}

/** The words of a text that say something, each once, in order. */
export function termsOf(text: string): string[] {
  return [...new Set(wordsOf(text).filter((word) => word.length > 1 && !COMMON.has(word)))];
}

/** The same for texts that differ in nothing but letter case, spaces and how characters are put together. */
export function normalised(text: string): string {
  return text.normalize("NFKC").toLowerCase().replaceAll(/\s+/gu, " ").trim();
}
