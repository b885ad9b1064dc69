import { DbError } from "./errors.ts";
import { splitStatements, type StatementText } from "./statement-text.ts";

/** What is sent to the database: text with `$_0`, `$_1` … in it, and the values bound to them. */
export interface BoundText {
  text: string;
  bindings: Record<string, unknown>;
}

/** One SurrealQL statement with its values apart. Made by `surql` and `rawSurql` only. `T` is what it answers. */
export class Statement<T = unknown> {
  declare readonly answers: T;
  readonly #strings: readonly string[];
  readonly #values: readonly unknown[];
  #parsed: StatementText | undefined;

  /** @internal */
  constructor(strings: readonly string[], values: readonly unknown[], parsed?: StatementText) {
    this.#strings = strings;
    this.#values = values;
    this.#parsed = parsed;
  }

  /** The text, with placeholders where values are bound. */
  get text(): string {
    return this.#parse().text;
  }

  /** The first word, in capitals, or `{`. */
  get keyword(): string {
    return this.#parse().keyword;
  }

  /** The text with strings and comments blanked out. @internal */
  get code(): string {
    return this.#parse().code;
  }

  /** Whether a RETURN, or what leaves a loop, begins a statement in it. @internal */
  get leavesEarly(): boolean {
    return this.#parse().leavesEarly;
  }

  /** @internal */
  get endsInComment(): boolean {
    return this.code.length < this.text.length;
  }

  /** True only if it surely changes nothing. */
  get readOnly(): boolean {
    return this.#parse().readOnly;
  }

  /** The text with its placeholders numbered from `bindings`' size on; its values are added to `bindings`. */
  render(bindings: Record<string, unknown>, used = 0): { text: string; used: number } {
    if (used === 0 && this.#values.every((value) => !isPart(value))) {
      this.#values.forEach((value, i) => (bindings[`_${i}`] = value));
      return { text: this.text, used: this.#values.length };
    }
    return this.#join(bindings, used);
  }

  #join(bindings: Record<string, unknown>, used: number): { text: string; used: number } {
    let text = this.#strings[0]!;
    this.#values.forEach((value, i) => {
      if (value instanceof Statement) {
        const inner = value.#join(bindings, used);
        text += value.endsInComment ? `${inner.text}\n` : inner.text;
        used = inner.used;
      } else if (value instanceof Identifier) {
        text += value.text;
      } else {
        const name = `_${used++}`;
        bindings[name] = value;
        text += `$${name}`;
      }
      text += this.#strings[i + 1]!;
    });
    return { text, used };
  }

  #parse(): StatementText {
    this.#parsed ??= single(this.#join({}, 0).text);
    return this.#parsed;
  }
}

/** A table, field or index name: the one thing that cannot be bound. */
export class Identifier {
  readonly text: string;
  /** @internal */
  constructor(text: string) {
    this.text = text;
  }
}

function isPart(value: unknown): value is Statement | Identifier {
  return value instanceof Statement || value instanceof Identifier;
}

const parsedTemplates = new WeakMap<TemplateStringsArray, StatementText>();

/**
 * One SurrealQL statement whose values are bound, never spliced into the text. A block `{ …; RETURN x }` is one
 * statement, and atomic. Another statement or `ident(…)` may stand as a part.
 *
 * @throws `db.bad_statement` when it is empty or holds more than one statement
 * @example const adults = surql<Person[]>`SELECT * FROM person WHERE age >= ${18}`;
 */
export function surql<T = unknown>(strings: TemplateStringsArray, ...values: unknown[]): Statement<T> {
  if (values.some(isPart)) return checked(new Statement<T>(strings, values));
  let parsed = parsedTemplates.get(strings);
  if (!parsed) {
    parsed = single(strings.reduce((text, part, i) => `${text}$_${i - 1}${part}`));
    parsedTemplates.set(strings, parsed);
  }
  return new Statement<T>(strings, values, parsed);
}

/**
 * Statements from text that was written and reviewed by people, such as a migration file. Never build the text.
 *
 * @example await db.transaction(rawSurql(await readFile("0001_init.surql", "utf8")));
 */
export function rawSurql(text: string): Statement[] {
  return splitStatements(text).map((parsed) => new Statement([parsed.text], [], parsed));
}

/**
 * A name to stand in a statement where SurrealQL takes no value.
 *
 * @param name letters, digits and `_`, at most 128 of them, not beginning with a digit
 * @throws `db.bad_statement`
 * @example surql`SELECT * FROM ${ident(table)}`
 */
export function ident(name: string): Identifier {
  if (typeof name === "string" && /^[A-Za-z_]\w{0,127}$/.test(name)) return new Identifier(`\`${name}\``);
  throw new DbError({
    code: "db.bad_statement",
    message: `${JSON.stringify(name)} is not a name: use letters, digits and _, at most 128, not beginning with a digit`,
  });
}

/**
 * One text for a list of statements that commit together.
 *
 * In SurrealDB a `RETURN` among the statements of BEGIN … COMMIT ends the transaction there: it commits, and what
 * follows is silently never run. So what could hold one is put into a block of its own, which contains it.
 */
export function renderTransaction(statements: readonly Statement[]): BoundText {
  const bindings: Record<string, unknown> = {};
  let used = 0;
  const texts = statements.map((statement) => {
    const rendered = statement.render(bindings, used);
    used = rendered.used;
    return contained(statement, rendered.text);
  });
  // Each on a line of its own: a statement may end in a comment.
  return { text: `BEGIN;\n${texts.join("\n;")}\n;COMMIT`, bindings };
}

const CONTAINABLE = new Set(["{", "IF", "FOR", "RETURN"]);
/** In what these set, SurrealDB contains a RETURN by itself. */
const CONTAINING = new Set(["CREATE", "INSERT", "UPDATE", "UPSERT", "DELETE", "RELATE"]);
/** Whether `renderTransaction` puts it into a block of its own. */
export function isContained({ keyword, leavesEarly }: Statement): boolean {
  return CONTAINABLE.has(keyword) || (keyword === "DEFINE" && leavesEarly); // the body of a function, mostly
}

function contained(statement: Statement, text: string): string {
  if (isContained(statement)) return `{LET $_r={${text}\n};$_r}`;
  if (CONTAINING.has(statement.keyword) || !statement.leavesEarly) return text;
  throw new DbError({
    code: "db.bad_statement",
    message:
      `a ${statement.keyword} of a transaction holds RETURN, BREAK or CONTINUE, which would end the transaction there and ` +
      "drop the rest: make the value the last expression of its block, or put it all in a block { …; RETURN x }",
  });
}

const REFUSED = new Map([
  ["BEGIN", "transaction() begins and commits by itself"],
  ["COMMIT", "transaction() begins and commits by itself"],
  ["CANCEL", "THROW inside a transaction cancels it"],
  ["USE", "it would change the connection for its next borrower: use the options, or a session"],
  ["BREAK", "there is no loop to leave"],
  ["CONTINUE", "there is no loop to continue"],
  ["LIVE", "its notifications would reach nobody: use watch()"],
]);

/** @throws `db.bad_statement` for what must not run on a shared connection, or is not a statement at all */
export function requireRunnable(statement: Statement): void {
  if (!(statement instanceof Statement)) {
    throw new DbError({
      code: "db.bad_statement",
      message: "a statement must be made with surql`…`, not from a string",
    });
  }
  const why = REFUSED.get(statement.keyword);
  if (why)
    throw new DbError({
      code: "db.bad_statement",
      message: `${statement.keyword} is not taken here: ${why}`,
    });
}

function checked<T>(statement: Statement<T>): Statement<T> {
  void statement.keyword; // parses, and refuses
  return statement;
}

/** What was found in texts before: those with parts are put together anew each time, and come out the same. */
const known = new Map<string, StatementText>();
const MOST_KNOWN = 1_000;
const MOST_LENGTH = 8_192;

function single(text: string): StatementText {
  const before = known.get(text);
  if (before) return before;
  const parsed = parseSingle(text);
  if (known.size >= MOST_KNOWN) known.clear();
  if (text.length <= MOST_LENGTH) known.set(text, parsed);
  return parsed;
}

function parseSingle(text: string): StatementText {
  const statements = splitStatements(text);
  if (statements.length === 1) return statements[0]!;
  throw new DbError({
    code: "db.bad_statement",
    message:
      statements.length === 0
        ? "the statement is empty"
        : `surql takes one statement and found ${statements.length}: wrap them in a block { …; RETURN x }, or pass a list to transaction()`,
  });
}
