// The folder of migrations.

import { stat } from "node:fs/promises";
import { readMigrations, type Migration } from "../migration.ts";
import { CliError } from "./cli-error.ts";

/** @throws `cli.usage` if there is no such folder; `schema.bad_migration` */
export async function requireMigrations(folder: string): Promise<Migration[]> {
  const found = await stat(folder).catch(() => undefined);
  if (found?.isDirectory()) return readMigrations(folder);
  throw new CliError({
    code: "cli.usage",
    message: found
      ? `${folder} is no folder; say with --folder where the migrations are`
      : `there is no folder ${folder}: sentient-schema generate makes it, or say with --folder where the migrations are`,
  });
}
