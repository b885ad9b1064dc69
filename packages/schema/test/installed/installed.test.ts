// The package as a stranger gets it: packed, installed into an empty folder, imported and called by its name.

import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const NAMES = ["db-pool", "schema"];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sentient-schema-installed-"));
  for (const name of NAMES) {
    const cwd = fileURLToPath(new URL(`../../../${name}`, import.meta.url));
    await run("pnpm", ["pack", "--pack-destination", folder], { cwd });
  }
  // Each stands in for what the registry would be asked for, also where one asks for another.
  const files = await readdir(folder);
  const packed = Object.fromEntries(
    NAMES.map((name) => [
      `@sentient/${name}`,
      `file:./${files.find((file) => file.startsWith(`sentient-${name}-`))}`,
    ]),
  );
  const overrides = Object.fromEntries(Object.keys(packed).map((name) => [name, `$${name}`]));
  await writeFile(
    join(folder, "package.json"),
    JSON.stringify({ name: "stranger", private: true, type: "module", dependencies: packed, overrides }),
  );
  // A download that stalls is tried again long before the hook gives up.
  const patience = ["--fetch-timeout=20000", "--fetch-retries=5", "--fetch-retry-mintimeout=1000"];
  await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", ...patience], { cwd: folder });
}, 420_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

test("its command writes a migration, applies it, and finds that all agrees", async () => {
  await writeFile(
    join(folder, "schema.ts"),
    `import { defineTable } from "@sentient/schema";
     import { z } from "zod";
     export const note = defineTable({ name: "note", schema: z.object({ text: z.string().max(9) }) });`,
  );
  expect(await command("generate")).toContain("wrote surql/0001_create_note.surql");
  expect(await command("migrate")).toContain("1 migration applied, nothing left to apply");
  expect(await command("check")).toContain("has these tables");
});

test("it brings the runtime's migrations and JSON Schemas along", async () => {
  const { stdout } = await evaluate(`
    import { openDatabase } from "@sentient/db-pool";
    import { check, migrateRuntime, runtimeTables } from "@sentient/schema";
    import run from "@sentient/schema/json/run.json" with { type: "json" };
    await using db = await openDatabase({ url: "mem://" });
    const { applied } = await migrateRuntime(db);
    console.log(applied.length > 0, (await check(db, runtimeTables)).length, run.title);
  `);
  expect(stdout.trim()).toBe("true 0 run");
});

async function command(...args: string[]): Promise<string> {
  const bin = join(folder, "node_modules", ".bin", "sentient-schema");
  const env = { ...process.env, SENTIENT_URL: "rocksdb://./data" };
  return (await run(bin, args, { cwd: folder, env, timeout: 20_000 })).stdout;
}

function evaluate(code: string) {
  return run(process.execPath, ["--input-type=module", "-e", code], { cwd: folder, timeout: 20_000 });
}
