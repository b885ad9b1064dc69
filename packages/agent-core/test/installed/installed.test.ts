// The package as a stranger gets it: packed, installed into an empty folder, imported by its name.

import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const exec = promisify(execFile);
const NAMES = ["db-pool", "schema", "event-bus", "state", "agent-core"];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sentient-agent-core-installed-"));
  for (const name of NAMES) {
    const cwd = fileURLToPath(new URL(`../../../${name}`, import.meta.url));
    await exec("pnpm", ["pack", "--pack-destination", folder], { cwd });
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
  const dependencies = { ...packed, zod: "^4" };
  await writeFile(
    join(folder, "package.json"),
    JSON.stringify({ name: "stranger", private: true, type: "module", dependencies, overrides }),
  );
  // A download that stalls is tried again long before the hook gives up.
  const patience = ["--fetch-timeout=20000", "--fetch-retries=5", "--fetch-retry-mintimeout=1000"];
  await exec("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", ...patience], { cwd: folder });
}, 420_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(program: string): Promise<string> {
  const args = ["--input-type=module", "-e", program];
  const { stdout } = await exec(process.execPath, args, { cwd: folder, timeout: 60_000 });
  return stdout.trim();
}

const DEFINITIONS = `
  import { z } from "zod";
  const add = defineAgent({
    name: "add",
    input: z.array(z.number()),
    run: (ctx, numbers) => ctx.step("add", () => numbers.reduce((sum, each) => sum + each, 0)),
  });
  const twice = defineWorkflow({
    name: "twice",
    run: async (ctx) => {
      await ctx.sleep(10);
      return ctx.call(add, [1, 2]);
    },
  });`;

test("an agent and a workflow run on a folder", async () => {
  const said = await run(`
    import { createSentient, defineAgent, defineWorkflow } from "@sentient/agent-core";
    ${DEFINITIONS}
    await using sentient = await createSentient({ url: "rocksdb://./data", agents: [add], workflows: [twice] });
    console.log(JSON.stringify(await sentient.execute(twice)));`);
  expect(said).toBe("3");
});

test("its kit for tests needs nothing besides", async () => {
  const said = await run(`
    import { defineAgent, defineWorkflow, replayCheck } from "@sentient/agent-core";
    import { createTestSentient } from "@sentient/agent-core/testing";
    ${DEFINITIONS}
    await using sentient = await createTestSentient({ agents: [add], workflows: [twice] });
    sentient.crashAt("add");
    const handle = await sentient.start(twice);
    console.log(JSON.stringify(await handle.result()), sentient.effects("add").length);
    const { runs } = await replayCheck([add, twice], [sentient.state.export(handle.id)]);
    console.log(runs.map(({ result }) => result).join(" "));`);
  expect(said).toBe("3 2\nok ok");
});
