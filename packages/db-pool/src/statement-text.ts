// Just enough of SurrealQL's grammar to see where one statement ends, what it begins with, and whether it could write.

export interface StatementText {
  text: string;
  /** The first word, in capitals, or `{` for a block. */
  keyword: string;
  /** True only if it surely changes nothing: it may then be repeated, and needs no write lane. */
  readOnly: boolean;
}

const OPENING = new Set(["(", "{", "["]);
const CLOSING = new Set([")", "}", "]"]);
const READING = new Set(["SELECT", "RETURN", "INFO", "SHOW"]);
const WRITING =
  /\b(create|insert|update|upsert|delete|relate|define|remove|alter|rebuild|live|kill|use|access|for|throw|sleep)\b|\b(fn|ml|mod|silo|api|http|sequence|file)\s*::/i;

/** Splits a text at its top-level semicolons; comments and empty statements are left out. */
export function splitStatements(text: string): StatementText[] {
  const statements: StatementText[] = [];
  let from = 0;
  let depth = 0;
  const cut = (to: number) => {
    const statement = describe(text.slice(from, to));
    if (statement) statements.push(statement);
    from = to + 1;
  };
  for (let at = 0; at < text.length; at++) {
    const after = endOfQuoteOrComment(text, at);
    if (after !== undefined) {
      at = after - 1;
      continue;
    }
    const char = text[at]!;
    if (OPENING.has(char)) depth++;
    else if (CLOSING.has(char)) depth--;
    else if (char === ";" && depth <= 0) cut(at);
  }
  cut(text.length);
  return statements;
}

function describe(raw: string): StatementText | undefined {
  let text = raw.trim();
  for (let end = commentEnd(text, 0); end !== undefined; end = commentEnd(text, 0))
    text = text.slice(end).trim();
  if (text === "") return undefined;
  const keyword = /^[a-z]+/i.exec(text)?.[0].toUpperCase() ?? text[0]!;
  return { text, keyword, readOnly: READING.has(keyword) && !WRITING.test(text) };
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
