// Pattern. Owns: saying in SurrealQL what a JavaScript RegExp matches. The engine's regexes are Rust's `regex` crate:
// no lookaround, no backreferences, Unicode classes, whole characters instead of UTF-16 halves.
// P1. A string the RegExp matches makes the expression true. Where that cannot be promised there is no expression.
// P2. A string the RegExp does not match makes it false, if `exact`.
// P3. The engine compiles what we say. It would find out at the first write only, and refuse that.
// P4. Patterns stand in string literals: nothing else in the grammar (`;`, `--`, `{`) can see into them.

import { Parser } from "./pattern-parser.ts";
import { alternation, isLookahead, MAX_COST, sequence, Unsayable, type Part } from "./pattern-parts.ts";

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

/** Whether a string with a character beyond U+FFFF matches neither in JavaScript nor in Rust, so that halves are no matter. */
function refusesAstral([parts, ...others]: Part[][]): boolean {
  const rest = parts!.filter((part) => !isLookahead(part));
  const anchored = rest[0]?.kind === "start" && rest.at(-1)?.kind === "end";
  return others.length === 0 && anchored && !rest.some((part) => part.astral);
}
