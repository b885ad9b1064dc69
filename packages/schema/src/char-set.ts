// Sets of characters. Owns: which characters a piece of a pattern matches, asked of JavaScript and written for Rust.

import { COST, Unsayable, zeroWidth, type Part } from "./pattern-parts.ts";

/** First and last code point. */
type Range = [first: number, last: number];

// Few ranges, which no version of Unicode moves: written out.
const SETTLED = new Set(
  "Any ASCII ASCII_Hex_Digit AHex Hex_Digit Hex Regional_Indicator RI White_Space space".split(" "),
);

const CATEGORIES =
  "L Letter LC Cased_Letter Lu Uppercase_Letter Ll Lowercase_Letter Lt Titlecase_Letter Lm Modifier_Letter " +
  "M Mark Mn Nonspacing_Mark Mc Spacing_Mark Me Enclosing_Mark N Number Nd Decimal_Number Nl Letter_Number No Other_Number " +
  "P Punctuation Pc Connector_Punctuation Pd Dash_Punctuation Ps Open_Punctuation Pe Close_Punctuation " +
  "Pi Initial_Punctuation Pf Final_Punctuation Po Other_Punctuation S Symbol Sm Math_Symbol Sc Currency_Symbol " +
  "Sk Modifier_Symbol So Other_Symbol Z Separator Zs Space_Separator Zl Line_Separator Zp Paragraph_Separator " +
  "Cc Control Cf Format Co Private_Use";
const SCRIPTS =
  "Arabic Armenian Bengali Cyrillic Devanagari Ethiopic Georgian Greek Gujarati Gurmukhi Han Hangul Hebrew Hiragana " +
  "Kannada Katakana Khmer Lao Latin Malayalam Mongolian Myanmar Sinhala Tamil Telugu Thai Tibetan Common Inherited";
const BINARY =
  "Alphabetic Alpha Uppercase Upper Lowercase Lower Cased Math Dash ID_Start IDS ID_Continue IDC XID_Start XIDS " +
  "XID_Continue XIDC Ideographic Emoji Emoji_Presentation EPres Emoji_Modifier EMod Emoji_Modifier_Base EBase " +
  "Emoji_Component EComp Extended_Pictographic ExtPict";

/** What may stand in `\p{…}` and means the same to the engine, its newer characters apart. */
export const PROPERTIES: ReadonlySet<string> = new Set([
  ...CATEGORIES.split(" "),
  ...SCRIPTS.split(" ").flatMap((name) => [`Script=${name}`, `sc=${name}`]),
  ...BINARY.split(" "),
]);

/** Of those, what has lost characters since the engine's Unicode: its negation means more to a newer Node. */
export const SHRUNK: ReadonlySet<string> = new Set(
  "LC Cased_Letter Ll Lowercase_Letter Lowercase Lower Cased Extended_Pictographic ExtPict".split(" "),
);

const CLASS_TOKEN = /\\(?:[pP]\{[^}]*\}|[^])|[^\\]/g;

/** A class, or an escape that stands for one character of several. */
export function characters(source: string, flags: string): Part {
  const names = propertiesIn(source, flags);
  if (names.length > 0) return propertyClass(source, names, flags);
  if (flags.includes("v") && source.includes("\\q{")) throw new Unsayable();
  const { ranges, halves } = charSet(source, flags);
  const astral = halves !== "none" || (ranges.at(-1)?.[1] ?? 0) > 0xffff;
  return {
    ...zeroWidth(textOf(ranges), { kind: halves === "all" ? "all halves" : undefined }),
    width: 1,
    cost: costOf(ranges),
    astral,
    halves: halves !== "none",
  };
}

const propertiesIn = (source: string, flags: string) =>
  /[uv]/.test(flags)
    ? source.match(CLASS_TOKEN)!.filter((token) => /^\\[pP]/.test(token) && !SETTLED.has(token.slice(3, -1)))
    : [];

/** Property names stay as they are: people read them, and another Node with another Unicode must say the same. */
function propertyClass(source: string, names: string[], flags: string): Part {
  const [, negation, body] = /^\[?(\^?)([^]*?)\]?$/.exec(source) as unknown as [string, string, string];
  const operates = flags.includes("v") && /\[|--|&&|\\q/.test(body);
  if (operates || flags.includes("i") || !names.every((name) => isShared(name, negation)))
    throw new Unsayable();
  const replaced = (by: (name: string) => string) =>
    charSet(`[${body.replace(CLASS_TOKEN, (token) => (names.includes(token) ? by(token) : token))}]`, flags);
  const others = replaced(() => String.raw`\P{Any}`).ranges;
  const all = names.join("") + others.map(rangeText).join("");
  return {
    // What is unassigned to the engine (Cn) may be a letter to a newer Node.
    ...zeroWidth(negation ? `[[^${all}]\\p{Cn}]` : `[${all}\\p{Cn}]`, { astral: true, wide: true }),
    width: 1,
    cost: costOf(replaced((name) => String.raw`${name}\p{Cn}`).ranges),
  };
}

function isShared(escape: string, negation: string): boolean {
  const name = escape.slice(3, -1);
  const negated = negation === "^" || escape.startsWith("\\P");
  return PROPERTIES.has(name) && !(negated && SHRUNK.has(name));
}

interface CharSet {
  ranges: Range[];
  /** How many of the halves of characters beyond U+FFFF it has, where JavaScript sees those. */
  halves: "none" | "some" | "all";
}

const charSets = new Map<string, CharSet>();

/** Asks JavaScript itself: so every escape, range, set operation and folding of case means what it means there. */
function charSet(source: string, flags: string): CharSet {
  const key = `${flags}/${source}`;
  let set = charSets.get(key);
  if (!set)
    charSets.set(key, (set = /[uv]/.test(flags) ? wholeSet(source, flags) : halvedSet(source, flags)));
  return set;
}

const wholeSet = (source: string, flags: string): CharSet => ({
  ranges: runsIn(everyCharacter(), source, flags),
  halves: "none",
});

function halvedSet(source: string, flags: string): CharSet {
  const ranges = runsIn(everyBasicCharacter(), source, flags);
  const one = new RegExp(`^(?:${source})$`, flags);
  const found = HALVES.filter((half) => one.test(half)).length;
  if (found < 0x800) return { ranges, halves: found === 0 ? "none" : "some" };
  const last = ranges.at(-1);
  if (last?.[1] === 0xffff) last[1] = 0x10ffff;
  else ranges.push([0x10000, 0x10ffff]);
  return { ranges, halves: "all" };
}

function runsIn(text: string, source: string, flags: string): Range[] {
  const runs = text.matchAll(new RegExp(`(?:${source})+`, `${flags}g`));
  return Array.from(runs, ([run]) => [run.codePointAt(0)!, lastCodePoint(run)]);
}

function lastCodePoint(text: string): number {
  const last = text.charCodeAt(text.length - 1);
  return isHalf(last) ? text.codePointAt(text.length - 2)! : last;
}

const isHalf = (code: number) => code >= 0xd800 && code <= 0xdfff;

const between = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, i) => String.fromCodePoint(first + i));

const HALVES = between(0xd800, 0xdfff);
const everyBasicCharacter = once(() => [...between(0, 0xd7ff), ...between(0xe000, 0xffff)].join(""));
const everyCharacter = once(() => everyBasicCharacter() + between(0x10000, 0x10ffff).join(""));

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

const costOf = (ranges: Range[]) =>
  ranges.reduce((sum, [first, last]) => {
    const length = last - first;
    if (last < 0x80) return sum;
    return sum + (length < 0x40 ? COST.shortRange : length < 0x1000 ? COST.range : COST.longRange);
  }, COST.any);

function textOf(ranges: Range[]): string {
  const [first] = ranges;
  if (!first) return String.raw`[^\x{0}-\x{10FFFF}]`;
  if (ranges.length === 1 && first[0] === first[1]) return charText(first[0], ".*+?()|[]{}^$");
  if (ranges.at(-1)![1] < 0x10ffff) return `[${ranges.map(rangeText).join("")}]`;
  const gaps = complement(ranges);
  return gaps.length === 0 ? "(?s:.)" : `[^${gaps.map(rangeText).join("")}]`;
}

/** Of ranges that reach to the last character. */
function complement(ranges: Range[]): Range[] {
  const starts = [0, ...ranges.map(([, last]) => (last === 0xd7ff ? 0xe000 : last + 1))];
  return ranges.flatMap(([first], i): Range[] =>
    starts[i] === first ? [] : [[starts[i]!, first === 0xe000 ? 0xd7ff : first - 1]],
  );
}

function rangeText([first, last]: Range): string {
  const [start, end] = [charText(first, "[]^-"), charText(last, "[]^-")];
  if (first === last) return start;
  return first + 1 === last ? start + end : `${start}-${end}`;
}

const NAMED = new Map([
  [0x09, "\\t"],
  [0x0a, "\\n"],
  [0x0d, "\\r"],
  // The engine reads `\/` as `/` even where the backslash belongs to another backslash.
  [0x5c, "\\x{5C}"],
]);

function charText(codePoint: number, special: string): string {
  const named = NAMED.get(codePoint);
  if (named) return named;
  const char = String.fromCodePoint(codePoint);
  if (special.includes(char)) return `\\${char}`;
  // Plain to see and to edit: ASCII, and the letters of Latin, Greek and Cyrillic.
  if (/[ -~]|(?=\p{L})[\u00C0-\u052F]/u.test(char)) return char;
  return `\\x{${codePoint.toString(16).toUpperCase()}}`;
}
