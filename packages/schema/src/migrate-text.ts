// The text of a migration. Owns: its statements, its directive, its checksum.

import { createHash } from "node:crypto";
import { rawSurql, type Statement } from "@sentient/db-pool";
import { SchemaError } from "./errors.ts";

const DIRECTIVE = /^(?:--|#|\/\/)\s*sentient:\s*(.*?)\s*$/;
const COMMENT = /^(?:--|#|\/\/|$)/;
const STEPWISE = "stepwise";

/** What a migration may not hold, and why. */
const REFUSED = new Map([
  ["BEGIN", "migrate() begins and commits by itself"],
  ["COMMIT", "migrate() begins and commits by itself"],
  ["CANCEL", "THROW cancels a migration"],
  ["USE", "the database that was opened says where it runs"],
  ["LIVE", "nobody would hear its notifications"],
]);

export interface MigrationText {
  checksum: string;
  stepwise: boolean;
}

/**
 * Reads a migration's text without running it.
 *
 * @throws `schema.bad_migration` for a text that holds no statement, one that cannot run here, or an unknown directive
 */
export function readText(label: string, text: string): MigrationText {
  const stepwise = readDirective(label, text) === STEPWISE;
  const statements = statementsOf(text);
  if (statements.length === 0) throw badText(label, "it holds no statement; delete it if it is the newest");
  for (const { keyword } of statements) {
    const why = REFUSED.get(keyword);
    if (why) throw badText(label, `it holds ${keyword}, but ${why}`);
    if (keyword === "LET" && (stepwise || partsOfText(statements).length > 1))
      throw badText(
        label,
        `${stepwise ? "a stepwise migration runs each statement" : "a migration runs what comes before and after an index"} on its own, so not all would see what this LET sets; use a block { … }`,
      );
  }
  return { checksum: sha256(text.replaceAll("\r\n", "\n").trimEnd()), stepwise };
}

/** The statements of a migration's text. */
export function statementsOf(text: string): Statement[] {
  return rawSurql(text);
}

type Kind = "definition" | "analyzer" | "index" | "rows";

/**
 * Statements that can commit together. The engine builds an index in a transaction of its own: it sees the rows and the
 * analyzers that were committed before, and none of what the migration has done until then. An index that is made
 * together with a change of rows would be wrong for good, and nothing would say so.
 */
export function partsOfText(statements: readonly Statement[]): Statement[][] {
  const parts: Statement[][] = [];
  let kinds = new Set<Kind>();
  let newTables = new Set<string>();
  for (const statement of statements) {
    const kind = kindOf(statement);
    const isApart =
      (kind === "index" &&
        (kinds.has("rows") || (kinds.has("analyzer") && !newTables.has(tableOf(statement))))) ||
      (kind === "rows" && kinds.has("index"));
    if (isApart || parts.length === 0) {
      parts.push([]);
      kinds = new Set();
      newTables = new Set();
    }
    parts.at(-1)!.push(statement);
    kinds.add(kind);
    const made = /^DEFINE\s+TABLE\s+(?!OVERWRITE\b|IF\b)(\S+)/i.exec(statement.text)?.[1];
    if (made) newTables.add(made);
  }
  return parts;
}

/** What a statement has to do with the making of an index. */
export function kindOf({ keyword, text }: Statement): Kind {
  if (/^(?:DEFINE|REBUILD)\s+INDEX\b/i.test(text)) return "index";
  if (/^DEFINE\s+ANALYZER\b/i.test(text)) return "analyzer";
  return ["DEFINE", "REMOVE", "ALTER", "INFO"].includes(keyword) ? "definition" : "rows";
}

/** The table that an index is on. */
function tableOf({ text }: Statement): string {
  return /\bON\s+(?:TABLE\s+)?(\S+)/i.exec(text)?.[1] ?? "";
}

/** Stands for the first statements of a text, whatever follows them. */
export function checksumOfStatements(statements: readonly Statement[]): string {
  return sha256(statements.map((statement) => statement.text.replaceAll("\r\n", "\n")).join(";\n"));
}

export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** What `-- sentient: …` says among the comments at the top. */
function readDirective(label: string, text: string): string | undefined {
  for (const line of text.split("\n").map((line) => line.trim())) {
    if (!COMMENT.test(line)) return undefined;
    const directive = DIRECTIVE.exec(line)?.[1];
    if (directive === STEPWISE) return directive;
    if (directive !== undefined)
      throw badText(
        label,
        `there is no directive "sentient: ${directive}"; there is "sentient: ${STEPWISE}"`,
      );
  }
  return undefined;
}

function badText(label: string, why: string): SchemaError {
  return new SchemaError({
    code: "schema.bad_migration",
    message: `migration ${label} cannot be run: ${why}`,
    details: { migration: label },
  });
}
