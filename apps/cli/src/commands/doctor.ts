import { databaseOptionsOf, folderOf } from "@sentient/agent-core/config";
import { DbError } from "@sentient/db-pool";
import { defineCommand } from "../command.ts";
import { DATABASE_CHECKS, MACHINE_CHECKS, openingOf, type Finding } from "../doctor/checks.ts";
import { EXIT, exitCodeOf } from "../exit-codes.ts";
import { configFrom, openConfigured } from "../open.ts";
import { colour, printable } from "../print.ts";

const MARKS = { good: colour("green", "✔"), doubtful: colour("yellow", "!"), bad: colour("red", "✘") };

export const doctorCommand = defineCommand({
  name: "doctor",
  summary: "look whether the database and this machine are as they should be",
  description:
    "Looks whether the database and this machine are as they should be: Node, space and permissions; who has the database; its engine, isolation, migrations, tables and clock. One that is in use or cannot be reached is told of like the rest. Ends with 1 if something is bad.",
  examples: [
    ["sentient doctor", "of the database that is set"],
    ["sentient doctor --url rocksdb://.sentient/demo", "of another"],
  ],
  run: async (_, flags) => {
    const { config } = await configFrom(flags);
    const url = databaseOptionsOf(config).url!;
    const opened = await openConfigured(config).catch(requireDiagnosed);
    await using db = opened instanceof DbError ? undefined : opened;
    const findings = await all(MACHINE_CHECKS, folderOf(url));
    findings.push({ name: "open", ...openingOf(url, opened) });
    if (db) findings.push(...(await all(DATABASE_CHECKS, db)));
    const isBad = findings.some(({ status }) => status === "bad");
    return {
      json: { database: db?.url ?? url, findings },
      lines: findings.map(
        ({ name, status, message }) => `${MARKS[status]} ${name.padEnd(12)} ${printable(message)}`,
      ),
      status: isBad ? 1 : 0,
    };
  },
});

/** In turn: they would measure each other. */
async function all<Of>(checks: Readonly<Record<string, (of: Of) => Promise<Omit<Finding, "name">>>>, of: Of) {
  const findings: Finding[] = [];
  for (const [name, check] of Object.entries(checks))
    findings.push({ name, ...(await check(of).catch(asFinding)) });
  return findings;
}

/** What is the database's state, and not wrongly asked for. @throws whatever else it is */
function requireDiagnosed(error: unknown): DbError {
  if (error instanceof DbError && exitCodeOf(error.code) === EXIT.database) return error;
  throw error;
}

function asFinding(error: unknown): Omit<Finding, "name"> {
  return { status: "bad", message: (error as Error).message };
}
