// Parts of a pattern in Rust's syntax, and how they are put together.

export class Unsayable extends Error {}

/** A part of a pattern in Rust's syntax, and what one must know of it. */
export interface Part {
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

// Rust refuses what compiles to more than 10 MiB, and more than 250 levels, of which a group may have four. The costs
// are above what was measured by repeating a thing until it was refused.
export const MAX_COST = 9_000_000;
export const MAX_DEPTH = 50;
export const COST = { any: 120, shortRange: 110, range: 400, longRange: 1_200 };

export const zeroWidth = (text: string, facts: Partial<Part> = {}): Part => ({
  text,
  width: 0,
  cost: COST.any,
  astral: false,
  halves: false,
  wide: false,
  ...facts,
});

export const joined = (parts: Part[], text: string, width: number): Part => ({
  text,
  width,
  cost: parts.reduce((sum, { cost }) => sum + cost, COST.any),
  astral: parts.some(({ astral }) => astral),
  halves: parts.some(({ halves }) => halves),
  wide: parts.some(({ wide }) => wide),
});

export const sequence = (parts: Part[]): Part =>
  joined(
    parts,
    parts.map(({ text }) => text).join(""),
    parts.reduce((sum, { width }) => sum + width, 0),
  );

export function alternation(alternatives: Part[][]): Part {
  const parts = alternatives.map(sequence);
  const width = parts.every((part) => part.width === parts[0]!.width) ? parts[0]!.width : NaN;
  return joined(parts, parts.map(({ text }) => text).join("|"), width);
}

/** How often a part stands there. */
export interface Quantifier {
  text: string;
  min: number;
  max: number;
}

export function repeated(part: Part, { text, min, max }: Quantifier): Part {
  // Any number of any halves is any number of characters, however the halves are shared out; one or two is not.
  const halves = part.halves && !(part.kind === "all halves" && min === 0 && max === Infinity);
  const times = max === Infinity ? min + 1 : Math.max(max, 1);
  return {
    ...joined([part], part.text + text, min === max ? part.width * min : NaN),
    cost: COST.any + part.cost * times,
    halves,
  };
}

export const isLookahead = ({ kind }: Part) => kind === "ahead" || kind === "not ahead";
