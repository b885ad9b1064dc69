import { join } from "node:path";
import { Option } from "commander";
import { generate, generateEmpty, type Generated } from "../generate.ts";
import { CliError } from "./cli-error.ts";
import {
  collect,
  collectPair,
  defineCommand,
  folderOption,
  good,
  tablesOption,
  type Answer,
} from "./command.ts";
import { requireTables } from "./tables.ts";

interface Options {
  tables?: string;
  folder: string;
  name?: string;
  drop?: string[];
  rename?: Record<string, string>;
  fill?: Record<string, string>;
  empty?: true;
}

export const generateCommand = defineCommand<Options>({
  name: "generate",
  summary: "write the next migration from what changed in the tables",
  description:
    "Writes the migration that leads from the last one to the tables in code. What could lose data is asked, never guessed.",
  options: [
    tablesOption,
    folderOption,
    new Option("--name <name>", "what the migration does; made from what changed if left out"),
    new Option("--drop <table[.field]>", "a table or field whose data may go; may be repeated").argParser(
      collect,
    ),
    new Option("--rename <old=new>", "a table or field that has a new name; may be repeated").argParser(
      collectPair,
    ),
    new Option(
      "--fill <table.field=expression>",
      "the value of a field in rows that exist; may be repeated",
    ).argParser(collectPair),
    new Option("--empty", "write an empty migration, for statements of your own").conflicts([
      "tables",
      "drop",
      "rename",
      "fill",
    ]),
  ],
  examples: [
    ["sentient-schema generate", "writes ./surql/0001_….surql"],
    ["sentient-schema generate --rename person.name=person.fullName", "keeps what the field holds"],
    ['sentient-schema generate --fill "person.age=0"', "gives rows that exist a value"],
    ["sentient-schema generate --empty --name seed_countries", "for statements of your own"],
  ],
  run: (options) => (options.empty ? runEmpty(options) : run(options)),
});

async function run({ tables: module, folder, name, ...decisions }: Options): Promise<Answer> {
  const { tables, module: from } = await requireTables(module);
  const generated = await generate({ folder, tables, decisions, ...(name === undefined ? {} : { name }) });
  if (generated) return written(folder, generated);
  return {
    ok: true,
    json: { file: null, notes: [], gaps: [] },
    lines: [`nothing changed: the tables of ${from} are what the migrations in ${folder} make`],
  };
}

async function runEmpty({ folder, name }: Options): Promise<Answer> {
  if (name === undefined)
    throw new CliError({
      code: "cli.usage",
      message: "--empty needs a --name: say what the migration will do",
    });
  return written(folder, await generateEmpty({ folder, name }));
}

function written(folder: string, { file, notes, gaps }: Generated): Answer {
  const path = join(folder, file);
  return {
    ok: true,
    json: { file: path, notes, gaps },
    lines: [
      good(`wrote ${path}`),
      ...notes.map((note) => `note: ${note}`),
      ...(gaps.length > 0 ? ["checked on parse only, and not by the database:"] : []),
      ...gaps.map(({ table, path: at, what }) => `  ${at ? `${table}.${at}` : table}: ${what}`),
    ],
  };
}
