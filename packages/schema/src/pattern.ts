// Pattern. Owns: saying in SurrealQL what a JavaScript RegExp matches. The engine's regexes are Rust's `regex` crate:
// no lookaround, no backreferences, Unicode classes, whole characters instead of UTF-16 halves.
// P1. A string the RegExp matches makes the expression true. Where that cannot be promised there is no expression.
// P2. A string the RegExp does not match makes it false, if `exact`.
// P3. The engine compiles what we say. It would find out at the first write only, and refuse that.
// P4. Patterns stand in string literals: nothing else in the grammar (`;`, `--`, `{`) can see into them.

export interface PatternExpression {
  /** SurrealQL, true or false for a string. Safe to stand anywhere: it brings its own parentheses. */
  expression: string;
  /**
   * Whether it is true for no other strings. It is for more where JavaScript sees something else than the engine:
   * characters beyond U+FFFF, which count as two without the flags u and v, and in `\p{…}` characters that are newer
   * than the engine's Unicode.
   */
  exact: boolean;
}

/**
 * A SurrealQL expression that is true for the strings that `pattern` matches, or undefined if SurrealQL cannot say it.
 * Strings with lone surrogates are not considered: the database cannot hold them.
 *
 * @param value the SurrealQL expression of the string, such as `$value` or `$value.name`
 * @example matches(/^\d+$/, "$value"); // { expression: "string::matches($value, '^[0-9]+$')", exact: true }
 */
export function matches(pattern: RegExp, value: string): PatternExpression | undefined {
  if (pattern.sticky) return undefined;
  try {
    return express(new Parser(pattern).parse(), value);
  } catch (error) {
    if (error instanceof Unsayable) return undefined;
    throw error;
  }
}

class Unsayable extends Error {}

/** A part of a pattern in Rust's syntax, and what one must know of it. */
interface Part {
  text: string;
  /** How many characters it matches; NaN if that varies. */
  width: number;
  /** An upper bound of its compiled size in bytes. */
  cost: number;
  /** Whether it can match characters beyond U+FFFF. */
  astral: boolean;
  /** Whether JavaScript, seeing two halves, could match where Rust, seeing one character, does not. */
  halves: boolean;
  /** Whether it matches characters that it should not. */
  wide: boolean;
  kind?: "start" | "end" | "ahead" | "not ahead" | "all halves" | undefined;
}

// the expression

interface Condition {
  pattern: Part;
  negated: boolean;
}

function express(alternatives: Part[][], value: string): PatternExpression {
  const conditions = conditionsOf(alternatives);
  for (const { pattern, negated } of conditions) {
    if (pattern.cost > MAX_COST || (negated && pattern.wide)) throw new Unsayable();
  }
  const terms = conditions.map(({ pattern, negated }) => (negated ? "!" : "") + call(value, pattern.text));
  const all = terms.length === 1 ? terms[0]! : `(${terms.join(" AND ")})`;
  if (conditions.some(({ pattern }) => pattern.halves) && !refusesAstral(alternatives)) {
    return { expression: `(${call(value, "[\\x{10000}-\\x{10FFFF}]")} OR ${all})`, exact: false };
  }
  return { expression: all, exact: !conditions.some(({ pattern }) => pattern.wide) };
}

// A string, not a /regex/: that ends at a quote for whoever does not know its grammar, such as our splitter.
const call = (value: string, pattern: string) =>
  `string::matches(${value}, '${pattern.replace(/[\\']/g, String.raw`\$&`)}')`;

/** `^ab(?=x)(?!y)c` is `^ab(?:x)` and not `^ab(?:y)` and `^abc`: what comes before has one way to match only. */
function conditionsOf(alternatives: Part[][]): Condition[] {
  const [parts, ...others] = alternatives as [Part[], ...Part[][]];
  if (!alternatives.flat().some(isLookahead)) return [{ pattern: alternation(alternatives), negated: false }];
  if (others.length > 0 || parts[0]?.kind !== "start") throw new Unsayable();
  const conditions: Condition[] = [];
  const rest: Part[] = [];
  for (const part of parts) {
    if (!isLookahead(part)) rest.push(part);
    else if (Number.isNaN(sequence(rest).width)) throw new Unsayable();
    else conditions.push({ pattern: sequence([...rest, part]), negated: part.kind === "not ahead" });
  }
  return [...conditions, { pattern: sequence(rest), negated: false }];
}

const isLookahead = ({ kind }: Part) => kind === "ahead" || kind === "not ahead";

/** Whether a string with a character beyond U+FFFF matches neither in JavaScript nor in Rust, so that halves are no matter. */
function refusesAstral([parts, ...others]: Part[][]): boolean {
  const rest = parts!.filter((part) => !isLookahead(part));
  const anchored = rest[0]?.kind === "start" && rest.at(-1)?.kind === "end";
  return others.length === 0 && anchored && !rest.some((part) => part.astral);
}

// parts

// Rust refuses what compiles to more than 10 MiB, and more than 250 levels, of which a group may have four. The costs
// are above what was measured by repeating a thing until it was refused.
const MAX_COST = 9_000_000;
const MAX_DEPTH = 50;
const COST = { any: 120, shortRange: 110, range: 400, longRange: 1_200 };

const zeroWidth = (text: string, facts: Partial<Part> = {}): Part => ({
  text,
  width: 0,
  cost: COST.any,
  astral: false,
  halves: false,
  wide: false,
  ...facts,
});

const joined = (parts: Part[], text: string, width: number): Part => ({
  text,
  width,
  cost: parts.reduce((sum, { cost }) => sum + cost, COST.any),
  astral: parts.some(({ astral }) => astral),
  halves: parts.some(({ halves }) => halves),
  wide: parts.some(({ wide }) => wide),
});

const sequence = (parts: Part[]): Part =>
  joined(
    parts,
    parts.map(({ text }) => text).join(""),
    parts.reduce((sum, { width }) => sum + width, 0),
  );

function alternation(alternatives: Part[][]): Part {
  const parts = alternatives.map(sequence);
  const width = parts.every((part) => part.width === parts[0]!.width) ? parts[0]!.width : NaN;
  return joined(parts, parts.map(({ text }) => text).join("|"), width);
}

function repeated(part: Part, { text, min, max }: Quantifier): Part {
  // Any number of any halves is any number of characters, however the halves are shared out; one or two is not.
  const halves = part.halves && !(part.kind === "all halves" && min === 0 && max === Infinity);
  const times = max === Infinity ? min + 1 : Math.max(max, 1);
  return {
    ...joined([part], part.text + text, min === max ? part.width * min : NaN),
    cost: COST.any + part.cost * times,
    halves,
  };
}

// the pattern

interface Quantifier {
  text: string;
  min: number;
  max: number;
}

const QUANTIFIER = /(?:[*+?]|\{(\d+)(,?)(\d*)\})\??/y;
const GROUP = /\((?:\?(?:(:|=|!)|<[^=!>][^>]*>))?(?!\?)/y;
const BACKREFERENCE = /\\(?:([1-9]\d*)|k)/y;
/** A backslash that is one, since `\c` is followed by no letter. */
const BARE_BACKSLASH = /\\(?=c(?![A-Za-z]))/y;
const ESCAPE = /\\(?:u[\dA-Fa-f]{4}|x[\dA-Fa-f]{2}|c[A-Za-z]|[0-3][0-7]{0,2}|[4-7][0-7]?|[^])/y;
const UNICODE_ESCAPE = /\\(?:u\{[^}]+\}|u[Dd][89ABab]..\\u[Dd][C-Fc-f]..|u.{4}|x..|c.|[Pp]\{[^}]+\}|[^])/y;

/** Reads what JavaScript has already accepted, so that only what is valid needs telling apart. */
class Parser {
  readonly #source: string;
  readonly #flags: string;
  readonly #unicode: boolean;
  readonly #multiline: boolean;
  /** As a match has them, which an empty alternative always gives. */
  readonly #groups: RegExpExecArray;
  #at = 0;
  #depth = 0;

  constructor(pattern: RegExp) {
    this.#source = pattern.source;
    this.#flags = pattern.flags.replace(/[^isuv]/g, "");
    this.#unicode = pattern.unicode || pattern.unicodeSets;
    this.#multiline = pattern.multiline;
    this.#groups = new RegExp(`${pattern.source}|`, this.#flags).exec("")!;
  }

  /** The alternatives, each with its parts in order. */
  parse(): Part[][] {
    const alternatives: Part[][] = [[]];
    while (this.#at < this.#source.length && this.#source[this.#at] !== ")") {
      if (this.#source[this.#at] === "|") {
        this.#at++;
        alternatives.push([]);
      } else alternatives.at(-1)!.push(this.#term());
    }
    return alternatives;
  }

  #term(): Part {
    const part = this.#single();
    const quantifier = this.#quantifier();
    if (!quantifier) return part;
    if (isLookahead(part)) throw new Unsayable();
    return repeated(part, quantifier);
  }

  #quantifier(): Quantifier | undefined {
    const found = this.#take(QUANTIFIER);
    if (!found) return undefined;
    const [text, least, comma, most] = found;
    if (least === undefined)
      return { text, min: text[0] === "+" ? 1 : 0, max: text[0] === "?" ? 1 : Infinity };
    const min = Number(least);
    return { text, min, max: comma ? Number(most || Infinity) : min };
  }

  #single(): Part {
    switch (this.#source[this.#at]) {
      case "^":
        return this.#anchor("start");
      case "$":
        return this.#anchor("end");
      case "(":
        return this.#group();
      case "[":
        return this.#characters(
          this.#takeUntil(endOfClass(this.#source, this.#at, this.#flags.includes("v"))),
        );
      case ".":
        return this.#characters(this.#takeUntil(this.#at + 1));
      case "\\":
        return this.#escape();
      default:
        return this.#literal();
    }
  }

  #anchor(kind: "start" | "end"): Part {
    // Other line ends than \n are none to Rust.
    if (this.#multiline) throw new Unsayable();
    return zeroWidth(this.#takeUntil(this.#at + 1), { kind });
  }

  #group(): Part {
    const opening = this.#take(GROUP);
    if (!opening || this.#depth === MAX_DEPTH) throw new Unsayable();
    this.#depth++;
    const alternatives = this.parse();
    this.#depth--;
    this.#at++;
    if (alternatives.flat().some(isLookahead)) throw new Unsayable();
    const inner = alternation(alternatives);
    const looks = opening[1] === "=" || opening[1] === "!";
    const text = `${looks || opening[1] === ":" ? "(?:" : "("}${inner.text})`;
    const group = joined([inner], text, inner.width);
    if (!looks) return group;
    return { ...group, width: 0, kind: opening[1] === "=" ? "ahead" : "not ahead" };
  }

  #escape(): Part {
    const boundary = this.#take(/\\[bB]/y)?.[0];
    if (boundary) return this.#boundary(boundary);
    const at = this.#at;
    const reference = this.#take(BACKREFERENCE);
    if (reference && this.#refers(reference[1])) throw new Unsayable();
    this.#at = at;
    if (this.#unicode) return this.#characters(this.#take(UNICODE_ESCAPE)![0]);
    if (this.#take(BARE_BACKSLASH)) return this.#characters("\\\\");
    return this.#characters(this.#take(ESCAPE)![0]);
  }

  #refers(number: string | undefined): boolean {
    if (number === undefined) return this.#unicode || this.#groups.groups !== undefined;
    return Number(number) < this.#groups.length;
  }

  #boundary(text: string): Part {
    // With i and u, JavaScript's word characters are two more.
    if (this.#unicode && this.#flags.includes("i")) throw new Unsayable();
    // Between the halves of a character is no boundary. V8 looks there with u and v too.
    return zeroWidth(`(?-u:${text})`, { halves: text === "\\B" });
  }

  #literal(): Part {
    const codePoint = this.#source.codePointAt(this.#at)!;
    const half = this.#source.charCodeAt(this.#at);
    this.#at += codePoint > 0xffff ? 2 : 1;
    if (codePoint <= 0xffff) return this.#characters(`\\u${hex(codePoint)}`);
    if (this.#unicode) return this.#characters(`\\u{${hex(codePoint)}}`);
    // Two halves in a row are the character, unless the second is repeated by itself.
    if (!/[*+?{]/.test(this.#source[this.#at] ?? "")) return characters(`\\u{${hex(codePoint)}}`, "u");
    this.#at--;
    return this.#characters(`\\u${hex(half)}`);
  }

  #characters(source: string): Part {
    return characters(source, this.#flags);
  }

  #take(token: RegExp): RegExpExecArray | null {
    token.lastIndex = this.#at;
    const found = token.exec(this.#source);
    if (found) this.#at = token.lastIndex;
    return found;
  }

  #takeUntil(end: number): string {
    const text = this.#source.slice(this.#at, end);
    this.#at = end;
    return text;
  }
}

function endOfClass(source: string, at: number, nests: boolean): number {
  for (let depth = 0; ; at++) {
    if (source[at] === "\\") at++;
    else if (source[at] === "[") depth = nests ? depth + 1 : 1;
    else if (source[at] === "]" && --depth === 0) return at + 1;
  }
}

// sets of characters

const hex = (codePoint: number) => codePoint.toString(16).padStart(4, "0");

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
function characters(source: string, flags: string): Part {
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
