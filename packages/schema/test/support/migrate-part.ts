import type { Statement } from "@sentient/db-pool";

/** Whether a transaction is part of a migration, and not one that makes the tables of the lock. */
export function isPart(statements: readonly Statement[]): boolean {
  return statements.some(({ text }) => text.startsWith("INSERT IGNORE INTO schema_migration"));
}
