// What is said of migrations that are applied or pending.

import type { AppliedMigration, PendingMigration } from "../migrate.ts";
import { labelOf } from "../migration.ts";
import { count } from "./command.ts";

export function appliedLine(migration: AppliedMigration): string {
  const { appliedAt, took, rows } = migration;
  const visited = rows === undefined ? "" : `, ${count(rows, "row")}`;
  const seconds = took < 1_000 ? `${took} ms` : `${(took / 1_000).toFixed(1)} s`;
  return `applied ${labelOf(migration)} at ${appliedAt.toISOString()} in ${seconds}${visited}`;
}

export function pendingLine(migration: PendingMigration): string {
  const { kind, done } = migration;
  const begun = done > 0 ? `, ${count(done, kind === "data" ? "row" : "statement")} of it done` : "";
  return `pending ${labelOf(migration)}${begun}`;
}
