import { existsSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { backupToFile, checkBackup, restoreBackup, type BackupReport } from "@sentient/state";
import { Argument, Option } from "commander";
import { CliError } from "../cli-error.ts";
import { defineCommand } from "../command.ts";
import { configFrom, openConfigured } from "../open.ts";
import { byOption } from "../options.ts";
import { count, note } from "../print.ts";

export const backupCommand = defineCommand<{ by: string }>({
  name: "backup",
  summary: "write all that is in a database to one file",
  description:
    "Writes all that is in a database, tables of your own too, to one file as of one moment, while others go on working on it. The file is there whole or not at all, replaces one of its name, and only you can read it: nothing in it is left out. Users and accesses of a server are not in it.",
  args: [new Argument("<file>", "where to")],
  options: [byOption()],
  examples: [
    ["sentient backup sentient.backup", "of the database that is set"],
    ['sentient backup "backups/$(date +%F)" --url wss://db.example.com/rpc', "of another, each day"],
  ],
  run: async ([file], { by, ...flags }) => {
    const { config } = await configFrom(flags);
    await using db = await openConfigured(config);
    const report = await backupToFile(db, file!, { by });
    const { size } = statSync(file!);
    return {
      json: { file: resolve(file!), bytes: size, ...report },
      lines: [`${file} holds ${summaryOf(report)}, as of ${report.at.toISOString()}, in ${sizeText(size)}`],
    };
  },
});

export const restoreCommand = defineCommand<{ by: string; check?: boolean }>({
  name: "restore",
  summary: "bring a backup into an empty database",
  description:
    "Brings a backup into an empty database; one that holds anything is refused. The file is checked before anything is written. Whoever was connected to the database before has no part in this one, and runs that were under way go on with the next worker that claims them. What happened after the backup was made is lost.",
  args: [
    new Argument("<file>", "what backup wrote; only one that you trust, as it defines tables and functions"),
  ],
  options: [byOption(), new Option("--check", "only read it, and say whether it is whole and what is in it")],
  examples: [
    ["sentient restore sentient.backup --url rocksdb://.sentient/again", "into another folder"],
    ["sentient restore --check backups/2026-11-01", "whether a backup is any good"],
  ],
  run: async ([file], { by, check, ...flags }) => {
    if (!existsSync(file!))
      throw new CliError({ code: "cli.not_found", message: `there is no file ${file}` });
    const found = await checkBackup(file!); // before a folder is made for it
    if (check)
      return {
        json: { file: resolve(file!), ...found },
        lines: [`${file} is whole: ${summaryOf(found)}, as of ${found.at.toISOString()}`],
      };
    const { config } = await configFrom(flags);
    await using db = await openConfigured(config, { mayMake: true });
    const report = await restoreBackup(db, file!, { by });
    if (!flags.json) note(`${db.url} is as the other one was at ${report.at.toISOString()}`);
    return { json: { database: db.url, ...report }, lines: [`restored ${summaryOf(report)}`] };
  },
});

function summaryOf({ rows, head }: BackupReport): string {
  const all = Object.values(rows).reduce((sum, each) => sum + each, 0);
  return `${count(all, "row")}, with the log up to position ${head}`;
}

function sizeText(bytes: number): string {
  return bytes < 1024 ** 2 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}
