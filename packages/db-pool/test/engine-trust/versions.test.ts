// What this folder is true for. Everything else in it was found out on these versions, and nowhere else.

import { readFile } from "node:fs/promises";
import { findPackageJSON } from "node:module";
import { expect, test } from "vitest";
import { open, saying } from "./support.ts";

const REREAD =
  "test/engine-trust was written for another version: read what fails in it, which says what of ours can go, " +
  "then the rules that still pass, and only then write the new version here";

test("the engine is 3.0.2", async () => {
  await using engine = await open("mem");
  const version = await engine.rpc("version");
  await saying(REREAD, () => expect(version).toBe("surrealdb-3.0.2"));
});

test.for([
  ["surrealdb", "2.0.8"],
  ["@surrealdb/node", "3.0.3"],
] as const)("%s is %s", async ([name, known]) => {
  const { version } = JSON.parse(await readFile(findPackageJSON(name, import.meta.url)!, "utf8"));
  await saying(REREAD, () => expect(version).toBe(known));
});
