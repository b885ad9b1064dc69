// Just enough of SurrealQL's grammar to see where one statement ends, what it begins with, and whether it could write.

export interface StatementText {
  text: string;
  /** The first word, in capitals, or `{` for a block. */
  keyword: string;
  /** The text with every string and comment blanked out, to look for words in. */
  code: string;
  /** True only if it surely changes nothing: it may then be repeated, and needs no write lane. */
  readOnly: boolean;
  /** Whether RETURN stands where a statement begins, not as the clause of one; or what leaves a loop. */
  leavesEarly: boolean;
}

const QUOTES = new Set(["'", '"', "`", "⟨"]);
const OPENING = new Set(["(", "{", "["]);
const CLOSING = new Set([")", "}", "]"]);
const ALWAYS_READING = new Set(["INFO", "SHOW"]);
const PERHAPS_READING = /^(?:(?:select|return)\b|[{(]|[a-z_]+(?:::[a-z_0-9]+)*\()/i; // or an expression, as array::len(…)
const LEAVES_EARLY =
  /(?:[({[;,:=|+\-*/%!&<>?]|\b(?:then|else|from|only|where|and|or|not|in|is|throw|return|value|select|if|limit)\b)\s*(?:return|break|continue)\b/i;
const WRITING =
  /\b(create|insert|update|upsert|delete|relate|define|remove|alter|rebuild|live|kill|use|access|for|throw|sleep)\b|\b(fn|ml|mod|silo|api|http|sequence|file)\s*::/i;

/** Splits a text at its top-level semicolons; comments and empty statements are left out. */
export function splitStatements(text: string): StatementText[] {
  const code = blanked(text);
  const statements: StatementText[] = [];
  let from = 0;
  let depth = 0;
  for (let at = 0; at <= text.length; at++) {
    const char = code[at] ?? ";";
    if (OPENING.has(char)) depth++;
    else if (CLOSING.has(char)) depth--;
    else if (at === text.length || (char === ";" && depth <= 0)) {
      const statement = describe(text.slice(from, at), code.slice(from, at));
      if (statement) statements.push(statement);
      from = at + 1;
    }
  }
  return statements;
}

function describe(text: string, code: string): StatementText | undefined {
  const from = code.search(/\S/);
  if (from === -1) return undefined;
  const body = code.slice(from).trimEnd();
  const keyword = /^[a-z]+/i.exec(body)?.[0].toUpperCase() ?? body[0]!;
  const readOnly = ALWAYS_READING.has(keyword) || (PERHAPS_READING.test(body) && !WRITING.test(body));
  return {
    text: text.slice(from).trimEnd(),
    keyword,
    code: body,
    readOnly,
    leavesEarly: LEAVES_EARLY.test(body),
  };
}

/** The text with spaces for comments, and underscores for strings and quoted names: nothing moves. */
function blanked(text: string): string {
  let code = "";
  for (let at = 0; at < text.length;) {
    const end = endOfQuoteOrComment(text, at);
    if (end === undefined) code += text[at++];
    else {
      code += (QUOTES.has(text[at]!) ? "_" : " ").repeat(end - at);
      at = end;
    }
  }
  return code;
}

/** Where the string, quoted name or comment that begins at `at` ends; undefined if none begins there. */
function endOfQuoteOrComment(text: string, at: number): number | undefined {
  switch (text[at]) {
    case "'":
    case '"':
    case "`":
      return endOfQuoted(text, at + 1, text[at]);
    case "⟨":
      return endOfQuoted(text, at + 1, "⟩");
    default:
      return commentEnd(text, at);
  }
}

function commentEnd(text: string, at: number): number | undefined {
  if (text.startsWith("/*", at)) return indexAfter(text, "*/", at + 2);
  if (text[at] === "#" || text.startsWith("--", at) || text.startsWith("//", at))
    return indexAfter(text, "\n", at);
  return undefined;
}

function endOfQuoted(text: string, from: number, quote: string): number {
  for (let at = from; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === quote) return at + 1;
  }
  return text.length;
}

function indexAfter(text: string, what: string, from: number): number {
  const at = text.indexOf(what, from);
  return at === -1 ? text.length : at + what.length;
}
