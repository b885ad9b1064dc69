// The README, run as a stranger would run it: each block as it is written, in its order, in a folder outside of here.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { z } from "zod";
import { defineFieldText } from "../src/generate-ddl.ts";
import * as schema from "../src/index.ts";
import { emptyProject, type Outcome, type Project } from "./support/cli.ts";
import { failureOf } from "./support/migrate.ts";

const run = promisify(execFile);
const README = await readFile(new URL("../README.md", import.meta.url), "utf8");
const TSC = fileURLToPath(new URL("../node_modules/typescript/bin/tsc", import.meta.url));
const BASE = fileURLToPath(new URL("../node_modules/@sentient/tsconfig/base.json", import.meta.url));
const TYPES = fileURLToPath(new URL("../node_modules/@types", import.meta.url));

interface Block {
  language: string;
  text: string;
}

const blocks: Block[] = [...README.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].map(
  ([, language = "", text = ""]) => ({
    language,
    text,
  }),
);

/** What is another one each time. */
function steady(text: string): string {
  return text
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, "<when>")
    .replaceAll(/in (?:\d+ ms|[\d.]+ s)/g, "in <a while>")
    .trimEnd();
}

test("its blocks do what it says, from the first to the last", async () => {
  const project = await emptyProject();
  let printed: string | undefined;
  for (const { language, text } of blocks) {
    if (language === "text") {
      expect(steady(printed ?? "nothing was run")).toBe(steady(text));
      printed = undefined;
      continue;
    }
    if (language === "sh") printed = await runLines(project, text.trimEnd().split("\n"));
    else if (language === "ts") await project.write(fileOf(text, "//"), text);
    else if (language === "diff") await patch(project, text);
    else if (language === "sql") await expectPartOf(project, text);
    else throw new Error(`nothing is known of a block of ${language || "no language"}:\n${text}`);
  }
  await expectTyped(project);
});

/** The file that a block is, by its first line. */
function fileOf(text: string, comment: string): string {
  const [, mark, file] = /^(\S+) (\S+)\n/.exec(text) ?? [];
  if (mark !== comment || !file)
    throw new Error(`a block does not begin with the name of its file:\n${text}`);
  return file;
}

/** What the lines print on a terminal. */
async function runLines(project: Project, lines: readonly string[]): Promise<string> {
  let printed = "";
  for (const line of lines) {
    const { stdout, stderr } = await runLine(project, line);
    printed += stderr + stdout; // what tells of progress comes before the report
  }
  return printed;
}

async function runLine(project: Project, line: string): Promise<Outcome> {
  const [program, ...args] = wordsOf(line);
  const [first = ""] = args;
  if (program === "npx" && first === "sentient-schema") return project.cli(args.slice(1));
  if (program === "node" && args.length === 1) return project.node(first);
  if (program !== "npm") throw new Error(`nothing is known of ${line}`);
  if (first === "install") await project.install(...args.slice(1));
  else await run("npm", args, { cwd: project.folder, env: { ...process.env, npm_config_offline: "true" } });
  return { code: 0, stdout: "", stderr: "" };
}

function wordsOf(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|\S+/g)].map(([word, quoted]) => quoted ?? word);
}

/** The lines with `-` become those with `+`. */
async function patch(project: Project, text: string): Promise<void> {
  const file = fileOf(text, "---");
  const lines = text.split("\n").slice(1);
  const side = (sign: string) =>
    lines
      .filter((line) => line.startsWith(sign))
      .map((line) => `${line.slice(1)}\n`)
      .join("");
  const before = await project.read(file);
  expect(before).toContain(side("-"));
  await project.write(
    file,
    before.replace(side("-"), () => side("+")),
  );
}

async function expectPartOf(project: Project, text: string): Promise<void> {
  const file = fileOf(text, "--");
  expect(existsSync(join(project.folder, file)), file).toBe(true);
  expect(await project.read(file)).toContain(text.slice(text.indexOf("\n") + 1));
}

/** The modules stand as they are at the end, with a name that was changed: main.ts is of the time before. */
async function expectTyped(project: Project): Promise<void> {
  const name = (text: string) => text.replace('name: "Ada"', 'fullName: "Ada", language: "en"');
  await project.write("main.ts", name(await project.read("main.ts")));
  const compilerOptions = { noEmit: true, typeRoots: [TYPES], preserveSymlinks: false };
  await project.write(
    "tsconfig.json",
    JSON.stringify({ extends: BASE, compilerOptions, include: ["*.ts", "surql"] }),
  );
  const { stdout } = await run(process.execPath, [TSC, "-p", "."], { cwd: project.folder }).catch(
    (error: { stdout: string }) => error,
  );
  expect(stdout).toBe("");
}

/** The rows of the table that follows this heading row, without the marks of code. */
function rowsOf(heading: string): [zod: string, said: string][] {
  const after = README.slice(
    README.indexOf("\n", README.search(new RegExp(`^\\| zod +\\| ${heading} `, "m"))) + 1,
  );
  const lines = after.split("\n").slice(1);
  const rows = lines.slice(
    0,
    lines.findIndex((line) => !line.startsWith("|")),
  );
  return rows.map((row) => {
    const [, zod = "", said = ""] = row.replaceAll("\\|", "<bar>").split("|");
    return [zod, said].map((cell) => cell.trim().replaceAll("<bar>", "|")) as [string, string];
  });
}

const codeIn = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!);

/** A table with a field of this schema, given as code; `as` its key, if that is said. */
function tableOf(code: string, as?: string) {
  const known = { ...schema, z, schema: z.custom<string>() };
  const codec = "{ decode: (text) => new Date(text), encode: (date) => date.toISOString() }";
  const make = new Function(...Object.keys(known), `return ${code.replace("…", codec)}`); // oxlint-disable-line typescript/no-implied-eval -- it is our own README
  const field = (make as (...values: unknown[]) => z.ZodType)(...Object.values(known));
  const key = as === "key" ? { key: "field" as const } : {};
  return schema.defineTable({ name: "t", schema: z.object({ field }), ...key });
}

/** With … for what stands there in `like`. */
function shortened(text: string, like: string): string {
  const [start, end] = like.split("…").map((part) => part.length);
  return end === undefined ? text : `${text.slice(0, "field ".length + start!)}…${text.slice(-end)}`;
}

const conversions = rowsOf("SurrealQL").flatMap(([zod, said]) => {
  const texts = codeIn(said);
  return codeIn(zod).map((code, i, all) => [code, all.length > 1 ? [texts[i]!] : texts] as const);
});

test.each(conversions)("%s becomes %j", (code, [own, below]) => {
  const { fields } = tableOf(code).definition;
  const [text, ...others] = Object.entries(fields).map(([path, field]) =>
    defineFieldText("t", path, field, "new").replace(/^DEFINE FIELD (\S+) ON t (.*);$/, "$1 $2"),
  );
  expect(shortened(text!, own!)).toBe(`field ${own}`);
  expect(others.map((other) => other.split(" ")[0])).toEqual(below ? [below.replace("…", "field")] : []);
});

test.each(rowsOf("Listed as"))("%s is listed as %s", (zod, said) => {
  const [code, as] = codeIn(zod);
  expect(tableOf(code!, as).gaps).toEqual([{ path: "field", what: codeIn(said)[0] }]);
});

test("what it says is refused is refused", async () => {
  const [, refused = ""] = /cannot be kept at all[^]*?:\n([^]*?)\. A codec/.exec(README) ?? [];
  const codes = codeIn(refused);
  expect(codes.length).toBeGreaterThan(2);
  for (const code of codes)
    expect(await failureOf(() => tableOf(code))).toMatchObject({ code: "schema.unsupported" });
});

test("each error it can throw is in the table, and no other", async () => {
  const source = await readFile(new URL("../src/errors.ts", import.meta.url), "utf8");
  const codes = (text: string) => [...new Set(text.match(/schema\.[a-z]+_?[a-z]+/g))].sort();
  const table = README.slice(README.indexOf("| Code "), README.indexOf("## What it does not do"));
  expect(codes(table)).toEqual(codes(source));
});
