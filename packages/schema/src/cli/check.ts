import { Option } from "commander";
import { check, type Drift } from "../check.ts";
import { isGenerated } from "../generate.ts";
import type { AnyTable } from "../table.ts";
import {
  bad,
  count,
  databaseOptions,
  defineCommand,
  folderOption,
  good,
  tablesOption,
  type Answer,
  type DatabaseFlags,
} from "./command.ts";
import { openFrom, placeOf, placeText } from "./database.ts";
import { requireTables } from "./tables.ts";

interface Options extends DatabaseFlags {
  tables?: string;
  folder: string;
  offline?: true;
}

export const checkCommand = defineCommand<Options>({
  name: "check",
  summary: "compare the tables in code with the migrations and with the database",
  description:
    "Compares the tables in code with the last migration, and with what the database has. Changes nothing; needs the right to define tables there.",
  options: [
    tablesOption,
    folderOption,
    new Option("--offline", "do not ask the database").conflicts(["url", "namespace", "database"]),
    ...databaseOptions,
  ],
  examples: [
    ["sentient-schema check", "before you deploy"],
    ["sentient-schema check --offline", "in CI: were tables changed without generate?"],
  ],
  run: async (options) => {
    const { tables, module } = await requireTables(options.tables);
    const { folder } = options;
    const generated = await isGenerated({ folder, tables });
    const code = generated
      ? good(`${module} and the migrations in ${folder} agree`)
      : bad(`you changed tables in ${module} without generate: the migrations in ${folder} do not make them`);
    const answer = { ok: generated, json: { generated, drift: null }, lines: [code] };
    return options.offline ? answer : await withDatabase(answer, options, tables);
  },
});

async function withDatabase(
  code: Answer,
  flags: DatabaseFlags,
  tables: readonly AnyTable[],
): Promise<Answer> {
  await using db = await openFrom(flags);
  const drift = await check(db, tables);
  const agrees = drift.length === 0;
  const lines = agrees
    ? [good(`the database ${placeText(db)} has these tables`)]
    : [
        bad(`the database ${placeText(db)} differs in ${count(drift.length, "place")}:`),
        ...drift.flatMap(driftLines),
        "if migrations are pending (sentient-schema status), apply them first",
      ];
  return {
    ok: code.ok && agrees,
    json: { ...code.json, database: placeOf(db), drift },
    lines: [...code.lines, ...lines],
  };
}

function driftLines({ what, kind, table, name, expected, found }: Drift): string[] {
  const head = `  ${what} ${kind} ${table === undefined ? name : `${table}.${name}`}`;
  if (expected === undefined || found === undefined) return [head];
  const [wanted, has] = whatDiffers(expected, found);
  return [head, `    expected ${wanted}`, `    found    ${has}`];
}

/** The engine says all it knows of each; only what is not the same is worth reading. */
function whatDiffers(expected: string, found: string): [expected: string, found: string] {
  const [wanted, has] = [expected, found].map((text) => JSON.parse(text) as Record<string, unknown>);
  const keys = Object.keys({ ...wanted, ...has }).filter(
    (key) => JSON.stringify(wanted![key]) !== JSON.stringify(has![key]),
  );
  const said = (of: Record<string, unknown>) => keys.map((key) => `${key} ${textOf(of[key])}`).join(", ");
  return [said(wanted!), said(has!)];
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "none");
}
