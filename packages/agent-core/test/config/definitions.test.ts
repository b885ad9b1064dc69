// Agents that are made with the database of the runtime.

import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openDatabase } from "@sentient/db-pool";
import { expect, onTestFinished, test } from "vitest";
import { defineAgent, defineAgents } from "../../src/index.ts";
import { loadDefinitions } from "../../src/config/index.ts";

const MODULES = fileURLToPath(new URL("../../node_modules", import.meta.url));
const DEFINE = `const agent = (name, run = async () => 1) => ({ name, version: "1", schemas: {}, run });\n`;

async function folderWith(files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sentient-config-"));
  await symlink(MODULES, join(folder, "node_modules"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), DEFINE + text);
  return folder;
}

async function opened() {
  const database = await openDatabase({ url: "mem://" });
  onTestFinished(() => database.close());
  return database;
}

test("what a module exports by default as a function is called with the database, and what it gives is found", async () => {
  const database = await opened();
  const folder = await folderWith({
    "array.mjs": `export default async ({ database }) => [agent("one", () => database)];`,
    "object.mjs": `export default ({ database }) => ({ two: agent("two", () => database), and: 2 });`,
    "single.mjs": `export default ({ database }) => agent("three", () => database);
      export const four = agent("four");
      export const helper = () => { throw new Error("nobody asked for that"); };`,
  });
  const found = await loadDefinitions(["./array.mjs", "./object.mjs", "./single.mjs"], folder, { database });
  expect(found.map(({ name }) => name).toSorted()).toEqual(["four", "one", "three", "two"]);
  for (const { name, run } of found) if (name !== "four") expect((run as () => unknown)()).toBe(database);
});

test("where there is no database, modules without such a function load, and one with it says what it takes", async () => {
  const folder = await folderWith({
    "plain.mjs": `export const one = agent("one"); export const make = () => { throw new Error("no"); };`,
    "made.mjs": `export default () => [agent("two")];`,
  });
  expect(await loadDefinitions("./plain.mjs", folder)).toHaveLength(1);
  await expect(loadDefinitions("./made.mjs", folder)).rejects.toMatchObject({
    code: "agent.bad_config",
    message: expect.stringMatching(/\.\/made\.mjs .*give loadDefinitions \{ database \}/),
  });
});

test("a function that fails, or gives none, is told by the name of its module; what the database throws as it is", async () => {
  const database = await opened();
  const folder = await folderWith({
    "fails.mjs": `export default () => { throw new Error("no key"); };`,
    "empty.mjs": `export default () => {};`,
    "class.mjs": `export default class {}`,
    "twice.mjs": `export default () => [agent("one")]; export const one = agent("one");`,
    "away.mjs": `export default () => Promise.reject(Object.assign(new Error("away"), { code: "db.unreachable" }));`,
  });
  const loading = (module: string) => loadDefinitions(module, folder, { database });
  const refused: [string, string][] = [
    ["./fails.mjs", "the function that ./fails.mjs exports by default failed: no key"],
    ["./empty.mjs", "the function that ./empty.mjs exports by default gives no agent"],
    ["./class.mjs", "./class.mjs exports by default failed"],
    ["./twice.mjs", "there are two definitions"],
  ];
  for (const [module, message] of refused)
    await expect(loading(module)).rejects.toMatchObject({
      code: "agent.bad_config",
      message: expect.stringContaining(message),
    });
  await expect(loading("./away.mjs")).rejects.toMatchObject({ code: "db.unreachable" });
});

test("defineAgents keeps what is made, for tests that make it themselves", async () => {
  const database = await opened();
  const make = defineAgents(({ database: { url } }) => ({
    hello: defineAgent({ name: "hello", run: async () => url }),
  }));
  expect(make({ database }).hello.name).toBe("hello");
});
