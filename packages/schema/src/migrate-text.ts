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
    if (stepwise && keyword === "LET")
      throw badText(
        label,
        "a stepwise migration runs each statement on its own, so none would see what this LET sets; use a block { … }",
      );
  }
  return { checksum: sha256(text.replaceAll("\r\n", "\n").trimEnd()), stepwise };
}

/** The statements of a migration's text. */
export function statementsOf(text: string): Statement[] {
  return rawSurql(text);
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
