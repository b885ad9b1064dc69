// The dry run. Owns: trying what is pending, leaving nothing behind.

import { DbError, surql } from "@sentient/db-pool";
import { findUnparsable, migrationFailed } from "./migrate-failure.ts";
import { NO_TIMEOUT, type Pending, type Queries } from "./migrate-history.ts";
import { kindOf, statementsOf } from "./migrate-text.ts";
import { labelOf, type SurqlMigration } from "./migration.ts";

const ROLLED_BACK = "schema.dry_run";

/**
 * Tries the statements of all that is pending in one transaction that is rolled back. Data migrations are left out.
 *
 * @returns what the reader should know of what could not be tried
 * @throws `schema.migration_failed`
 */
export async function tryAll(db: Queries, pending: readonly Pending[]): Promise<string[]> {
  const all = pending.flatMap(statementsTried);
  const tries = all.filter(canBeTried());
  try {
    if (tries.length > 0)
      await db.transaction(
        [...tries.map(({ statement }) => statement), surql`THROW ${ROLLED_BACK}`],
        NO_TIMEOUT,
      );
  } catch (error) {
    if (!(error instanceof DbError)) throw error;
    if (error.details?.thrown !== ROLLED_BACK) throw await failureOf(db, tries, pending, error);
  }
  const left = all.length - tries.length;
  const indexes = `${left} of the indexes are made of what would have been committed before, and were not tried`;
  return [...untried(pending), ...(left > 0 ? [indexes] : [])];
}

/** An index is made of rows and analyzers that are committed, which in here nothing is (see `partsOfText`). */
function canBeTried(): (tried: Tried) => boolean {
  const seen = new Set<string>();
  return ({ statement }) => {
    const kind = kindOf(statement);
    const isApart = kind === "index" && (seen.has("rows") || seen.has("analyzer"));
    seen.add(kind);
    return !isApart;
  };
}

interface Tried {
  step: Pending;
  index: number;
  statement: ReturnType<typeof statementsOf>[number];
}

function statementsTried(step: Pending): Tried[] {
  const { migration, done } = step;
  if (migration.kind === "data") return [];
  return statementsOf(migration.text)
    .map((statement, index) => ({ step, index, statement }))
    .slice(done);
}

async function failureOf(
  db: Queries,
  tries: readonly Tried[],
  pending: readonly Pending[],
  cause: DbError,
): Promise<Error> {
  const statements = tries.map(({ statement }) => statement);
  const at = cause.code === "db.syntax" ? await findUnparsable(db, statements) : cause.statement?.index;
  const tried = tries[at ?? -1];
  if (!tried) return cause;
  const { migration, done } = tried.step;
  const note = untried(pending.slice(0, pending.indexOf(tried.step) + 1)).join("; ");
  const statement = { index: tried.index, text: tried.statement.text };
  return migrationFailed({ migration, done, cause, statement, note });
}

function untried(pending: readonly Pending[]): string[] {
  const migrations = pending.map(({ migration }) => migration);
  return migrations.flatMap((migration, i) => {
    if (migration.kind === "surql") return [];
    const after = migrations.slice(i + 1).filter((later): later is SurqlMigration => later.kind === "surql");
    const caveat = after.length > 0 ? `, and ${after.map(labelOf).join(", ")} may depend on it` : "";
    return [`${labelOf(migration)} changes rows and was not tried${caveat}`];
  });
}
