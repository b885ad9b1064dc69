// What is said of a migration that failed.

import { DbError, surql, type FailedStatement, type Statement } from "@sentient/db-pool";
import { SchemaError } from "./errors.ts";
import type { Queries } from "./migrate-history.ts";
import { labelOf, type Migration } from "./migration.ts";

export interface Failure {
  migration: Migration;
  /** Statements or rows that stand. */
  done: number;
  cause: unknown;
  /** Which of the migration's statements failed, from 0. */
  statement?: FailedStatement | undefined;
  /** The row whose change failed. */
  row?: string;
  /** What the reader should know besides. */
  note?: string;
}

const NOT_APPLIED = { outcome: "not_applied", retryable: false } as const;

export function migrationFailed({ migration, done, cause, statement, row, note }: Failure): SchemaError {
  const { number, name } = migration;
  const { outcome, retryable } = cause instanceof DbError ? cause : NOT_APPLIED;
  const where = statement ? ` at statement ${statement.index + 1}` : row ? ` at ${row}` : "";
  const stands =
    outcome === "unknown" ? "it is not known whether it took effect" : whatStands(migration, done);
  return new SchemaError({
    code: "schema.migration_failed",
    message: `migration ${labelOf(migration)} failed${where}, and ${stands}: ${reasonOf(cause)}${note ? ` (${note})` : ""}`,
    outcome,
    retryable,
    cause,
    details: { number, name, done, ...(statement ? { statement } : {}), ...(row ? { row } : {}) },
  });
}

/**
 * Which statement SurrealDB cannot parse, from 0; -1 if it parses each of them. None is run: SurrealDB parses a
 * transaction to its end before it begins, and this one begins with THROW. It refuses the whole without naming the part.
 */
export async function findUnparsable(db: Queries, statements: readonly Statement[]): Promise<number> {
  for (const [index, statement] of statements.entries()) {
    const refused = await db.transaction([surql`THROW "parsed"`, statement]).catch((error: unknown) => error);
    if (refused instanceof DbError && refused.code === "db.syntax") return index;
  }
  return -1;
}

function whatStands({ kind }: Migration, done: number): string {
  if (done === 0) return "nothing of it was applied";
  const what = kind === "data" ? "row" : "statement";
  return done === 1 ? `its first ${what} stands` : `its first ${done} ${what}s stand`;
}

/** The words of the engine, without those that place them in a transaction which holds statements of ours too. */
function reasonOf(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  // Below a parse error it draws the place, in the lines of a text that holds more than the migration.
  const said = cause instanceof DbError && cause.code === "db.syntax" ? message.split("\n")[0]! : message;
  return said.replace(/^statement \d+ of \d+ failed, and [^:]*: /, "");
}
