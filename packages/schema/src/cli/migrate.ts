import { InvalidArgumentError, Option } from "commander";
import { migrate, type MigrationProgress, type MigrationReport } from "../migrate.ts";
import { labelOf } from "../migration.ts";
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

/** A long migration is told of no more often, in milliseconds. */
const PROGRESS_MS = 1_000;

interface Options extends DatabaseFlags {
  folder: string;
  history: string;
  to?: number;
  dryRun?: true;
}

export const migrateCommand = defineCommand<Options>({
  name: "migrate",
  summary: "apply the migrations that are pending",
  description:
    "Applies the migrations that are pending, one process at a time; others wait. Ctrl-C ends it between two statements, and the next call goes on from there.",
  options: [
    folderOption,
    historyOption,
    new Option("--to <number>", "the last one to apply; the newest if left out").argParser(number),
    new Option("--dry-run", "try what is pending and take it back"),
    ...databaseOptions,
  ],
  examples: [
    ["sentient-schema migrate", "applies everything"],
    ["sentient-schema migrate --dry-run", "tries everything, and leaves nothing"],
    ["sentient-schema migrate --to 3", "stops after 0003"],
  ],
  run: async ({ folder, history, to, dryRun = false, ...flags }) => {
    const migrations = await requireMigrations(folder);
    await using db = await openFrom(flags);
    const report = await migrate(db, {
      migrations,
      history,
      dryRun,
      signal: interruption(),
      onProgress: progress(),
      ...(to === undefined ? {} : { to }),
    });
    return {
      ok: true,
      json: { database: placeOf(db), dryRun, ...report },
      lines: [`${placeText(db)}: ${summary(report, dryRun)}`, ...details(report)],
    };
  },
});

function summary({ applied, already, pending }: MigrationReport, dryRun: boolean): string {
  if (dryRun && pending.length > 0)
    return good(`tried ${count(pending.length, "pending migration")} and took it all back`);
  const before = already > 0 ? ` (${already} before)` : "";
  const left = pending.length > 0 ? `${pending.length} pending` : "nothing left to apply";
  return good(`${count(applied.length, "migration")} applied${before}, ${left}`);
}

function details({ applied, pending, notes }: MigrationReport): string[] {
  return [...applied.map(appliedLine), ...pending.map(pendingLine), ...notes.map((note) => `note: ${note}`)];
}

/** Tells of each migration when it begins, and of a long one now and then. */
function progress(): (progress: MigrationProgress) => void {
  let last = Date.now();
  return ({ state, done, total, ...migration }) => {
    const isDue = Date.now() - last >= PROGRESS_MS;
    if (state === "applied" || (state === "under_way" && !isDue)) return; // the report tells of the end
    last = Date.now();
    const far = state === "started" ? (done > 0 ? `goes on after ${done}` : "begins") : `${done} of ${total}`;
    process.stderr.write(`${labelOf(migration)}: ${far}\n`);
  };
}

/** The first Ctrl-C asks it to end; a second one ends it at once, which loses nothing either. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => controller.abort());
  return controller.signal;
}

function number(text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Write the number of a migration, such as 3.");
}
