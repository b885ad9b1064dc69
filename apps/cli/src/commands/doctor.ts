import { defineCommand } from "../command.ts";
import { CHECKS, type Finding } from "../doctor/checks.ts";
import { configFrom, openConfigured } from "../open.ts";
import { colour, printable } from "../print.ts";

const MARKS = { good: colour("green", "✔"), doubtful: colour("yellow", "!"), bad: colour("red", "✘") };

export const doctorCommand = defineCommand({
  name: "doctor",
  summary: "look whether the database and this machine are as they should be",
  description:
    "Looks whether the database and this machine are as they should be: engine, isolation, migrations, tables, clock, space, permissions. Ends with 1 if something is bad.",
  examples: [
    ["sentient doctor", "of the database that is set"],
    ["sentient doctor --url rocksdb://.sentient/demo", "of another"],
  ],
  run: async (_, flags) => {
    const { config } = await configFrom(flags);
    await using db = await openConfigured(config);
    const findings: Finding[] = [];
    for (const [name, check] of Object.entries(CHECKS))
      findings.push({ name, ...(await check(db).catch(asFinding)) });
    const isBad = findings.some(({ status }) => status === "bad");
    return {
      json: { database: db.url, findings },
      lines: findings.map(
        ({ name, status, message }) => `${MARKS[status]} ${name.padEnd(12)} ${printable(message)}`,
      ),
      status: isBad ? 1 : 0,
    };
  },
});

function asFinding(error: unknown): Omit<Finding, "name"> {
  return { status: "bad", message: (error as Error).message };
}
