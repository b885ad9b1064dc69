import { migrationStatus } from "../migrate.ts";
import {
  count,
  databaseOptions,
  defineCommand,
  folderOption,
  good,
  historyOption,
  type DatabaseFlags,
} from "./command.ts";
import { openFrom, placeOf, placeText } from "./database.ts";
import { requireMigrations } from "./folder.ts";
import { appliedLine, pendingLine } from "./history.ts";

export const statusCommand = defineCommand<DatabaseFlags & { folder: string; history: string }>({
  name: "status",
  summary: "list the migrations that are applied and those that are pending",
  description:
    "Lists which migrations a database has and which it lacks. Fails if it has others than the folder, or newer ones.",
  options: [folderOption, historyOption, ...databaseOptions],
  examples: [
    ["sentient-schema status", "of the database that SENTIENT_URL names"],
    ["sentient-schema status --url rocksdb://./data", "of a database in a folder"],
  ],
  run: async ({ folder, history, ...flags }) => {
    const migrations = await requireMigrations(folder);
    await using db = await openFrom(flags);
    const { applied, pending } = await migrationStatus(db, { migrations, history });
    return {
      ok: true,
      json: { database: placeOf(db), applied, pending },
      lines: [
        `${placeText(db)}: ${count(applied.length, "migration")} applied, ${pending.length} pending`,
        ...applied.map((each) => good(appliedLine(each))),
        ...pending.map(pendingLine),
      ],
    };
  },
});
