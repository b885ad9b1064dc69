import { StateError } from "./errors.ts";

export function badBackupError(why: string, cause?: unknown): StateError {
  return new StateError({
    code: "state.bad_backup",
    message: `this file is no backup that can be restored: ${why}; nothing of it was restored`,
    ...(cause === undefined ? {} : { cause }),
  });
}

export function notEmptyError(tables: readonly string[]): StateError {
  return new StateError({
    code: "state.not_empty",
    message: `a backup is restored into an empty database, and there are tables in this one (${tables.slice(0, 3).join(", ")} …): name another folder or database; nothing was changed`,
    details: { tables: tables.length },
  });
}

export function halfRestoredError(cause: unknown): StateError {
  return new StateError({
    code: "state.half_restored",
    message: `the backup was restored in part only: ${(cause as Error).message}. Nobody can work with this database: remove it, and restore into an empty one`,
    cause,
  });
}
