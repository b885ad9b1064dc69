// The parser of a JavaScript pattern. Owns: what each piece of its source is in Rust's syntax.

import { characters } from "./char-set.ts";
import {
  alternation,
  isLookahead,
  joined,
  MAX_DEPTH,
  repeated,
  Unsayable,
  zeroWidth,
  type Part,
  type Quantifier,
} from "./pattern-parts.ts";

const hex = (codePoint: number) => codePoint.toString(16).padStart(4, "0");

const QUANTIFIER = /(?:[*+?]|\{(\d+)(,?)(\d*)\})\??/y;
const GROUP = /\((?:\?(?:(:|=|!)|<[^=!>][^>]*>))?(?!\?)/y;
const BACKREFERENCE = /\\(?:([1-9]\d*)|k)/y;
/** A backslash that is one, since `\c` is followed by no letter. */
const BARE_BACKSLASH = /\\(?=c(?![A-Za-z]))/y;
const ESCAPE = /\\(?:u[\dA-Fa-f]{4}|x[\dA-Fa-f]{2}|c[A-Za-z]|[0-3][0-7]{0,2}|[4-7][0-7]?|[^])/y;
const UNICODE_ESCAPE = /\\(?:u\{[^}]+\}|u[Dd][89ABab]..\\u[Dd][C-Fc-f]..|u.{4}|x..|c.|[Pp]\{[^}]+\}|[^])/y;

/** Reads what JavaScript has already accepted, so that only what is valid needs telling apart. */
export class Parser {
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
