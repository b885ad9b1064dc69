import { migrate, migrationStatus, RUNTIME_HISTORY, runtimeMigrations } from "@sentient/schema";
import { Option } from "commander";
import { defineCommand } from "../command.ts";
import { configFrom, openConfigured } from "../open.ts";
import { count, printable } from "../print.ts";
import { untilInterrupted } from "../interrupted.ts";

export const migrateCommand = defineCommand<{ dryRun?: true; status?: true }>({
  name: "migrate",
  summary: "bring the tables of the runtime up to date",
  description:
    "Applies the migrations of the runtime that are pending, one process at a time. Every command and worker sees to that by itself; this is for when another user of the database is to do it.",
  options: [
    new Option("--dry-run", "try what is pending and take it back"),
    new Option("--status", "only say what is applied and what is pending").conflicts("dryRun"),
  ],
  examples: [
    ["sentient migrate", "applies everything"],
    ["sentient migrate --status", "changes nothing"],
  ],
  run: async (_, flags) => {
    const { config } = await configFrom(flags);
    await using db = await openConfigured(config, { mayMake: flags.status !== true });
    const migrations = await runtimeMigrations();
    if (flags.status) {
      const status = await migrationStatus(db, { migrations, history: RUNTIME_HISTORY });
      const pending = status.pending.map(({ number, name }) => `pending ${number} ${printable(name)}`);
      return {
        json: status,
        lines: [
          `${count(status.applied.length, "migration")} applied, ${status.pending.length} pending`,
          ...pending,
        ],
      };
    }
    using stop = untilInterrupted();
    const report = await migrate(db, {
      migrations,
      history: RUNTIME_HISTORY,
      dryRun: flags.dryRun === true,
      signal: stop.signal,
    });
    const { applied, already, pending } = report;
    const words = flags.dryRun
      ? `tried ${count(pending.length, "pending migration")} and took it all back`
      : `${count(applied.length, "migration")} applied (${already} before), ${pending.length} pending`;
    return { json: report, lines: [words] };
  },
});
