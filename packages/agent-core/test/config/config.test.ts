import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { defineAgent } from "../../src/index.ts";
import { defineConfig, loadConfig, loadDefinitions, requireNode } from "../../src/config/index.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

async function folderWith(files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sentient-config-"));
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

test("the later ones win: nobody, the file, .env, the environment, flags; and each is told of with where it was said", async () => {
  const folder = await folderWith({
    "sentient.config.mjs":
      "export default { worker: { slots: 1, lease: 1000, healthPort: 1 }, api: { port: 1, host: 'a' } };",
    ".env": "SENTIENT_WORKER_LEASE=2000\nSENTIENT_WORKER_HEALTH_PORT=2\nSENTIENT_API_PORT=2\n",
  });
  const env = {
    SENTIENT_WORKER_HEALTH_PORT: "3",
    SENTIENT_API_PORT: "3",
    SENTIENT_WORKER_QUEUES: "a, b",
    SENTIENT_URL: "",
  };
  const { config, settings, file } = await loadConfig({ folder, env, flags: { api: { port: 4 } } });

  expect(file).toBe(join(folder, "sentient.config.mjs"));
  expect(config).toMatchObject({
    database: { url: "rocksdb://.sentient/data" },
    worker: { slots: 1, lease: 2000, healthPort: 3, queues: ["a", "b"] },
    api: { host: "a", port: 4 },
  });
  const said = Object.fromEntries(settings.map(({ name, source, at }) => [name, [source, at]]));
  expect(said).toMatchObject({
    "database.url": ["default", ""],
    "worker.slots": ["file", "sentient.config.mjs"],
    "worker.lease": [".env", "SENTIENT_WORKER_LEASE"],
    "worker.healthPort": ["environment", "SENTIENT_WORKER_HEALTH_PORT"],
    "api.port": ["flag", "--port"],
  });
});

test("the variables that counted are handed on: those of .env too, unless the environment says otherwise", async () => {
  const folder = await folderWith({ ".env": "SENTIENT_API_STREAMS=2\nSENTIENT_API_PORT=2\nOTHER=2\n" });
  const { env } = await loadConfig({ folder, env: { SENTIENT_API_PORT: "3", SENTIENT_API_STREAMS: "" } });
  expect(env).toEqual({ SENTIENT_API_STREAMS: "2", SENTIENT_API_PORT: "3", OTHER: "2" });
});

test("a secret is used and not shown", async () => {
  const folder = await folderWith({});
  const { config, settings } = await loadConfig({ folder, env: { SENTIENT_TOKEN: "hunter2-hunter2" } });
  expect(config.database?.token).toBe("hunter2-hunter2");
  expect(JSON.stringify(settings)).not.toContain("hunter2");
});

test("what cannot be is refused, with its name and where it was said", async () => {
  const folder = await folderWith({ "sentient.config.mjs": "export default { worker: { slotz: 1 } };" });
  await expect(loadConfig({ folder, env: {} })).rejects.toMatchObject({
    code: "agent.bad_config",
    message: expect.stringMatching(
      /^sentient\.config\.mjs sets worker\.slotz, which is not known; there are .*worker\.slots/,
    ),
  });
  const empty = await folderWith({});
  await expect(loadConfig({ folder: empty, env: { SENTIENT_WORKER_SLOTS: "many" } })).rejects.toThrow(
    "SENTIENT_WORKER_SLOTS in the environment sets worker.slots to something that it cannot be",
  );
  await expect(loadConfig({ folder: empty, env: {}, file: "other.ts" })).rejects.toThrow(
    "there is no file other.ts",
  );
  const broken = await folderWith({ "sentient.config.mjs": "export const config = {};" });
  await expect(loadConfig({ folder: broken, env: {} })).rejects.toThrow("exports nothing by default");
  expect(() => defineConfig({ worker: { slots: -1 } })).toThrow("worker.slots");
});

test("agents are found in any of a module's exports, and versions of one are told apart, and two of one version are refused", async () => {
  const folder = await folderWith({
    "agents.ts": `import { defineAgent } from "./define.mjs";
const run = async () => 1;
export const one = defineAgent({ name: "one", run });
export default [defineAgent({ name: "two", run })];
export const more = { three: defineAgent({ name: "three", run }) };
export const number: number = 4;`,
    "define.mjs": `export const defineAgent = (options) => ({ version: "1", schemas: {}, ...options });`,
    "nothing.mjs": "export const a = 1;",
    "broken.mjs": "export const a = ;",
  });
  const found = await loadDefinitions("./agents.ts", folder);
  expect(found.map(({ name }) => name).toSorted()).toEqual(["one", "three", "two"]);
  const other = defineAgent({ name: "one", run: async () => 2 });
  await expect(loadDefinitions(["./agents.ts", other], folder)).rejects.toThrow("two definitions of one@1");
  const versions = ["10", "9", "2"].map((version) =>
    defineAgent({ name: "one", version, run: async () => 2 }),
  );
  const all = await loadDefinitions(["./agents.ts", ...versions], folder);
  expect(all.filter(({ name }) => name === "one").map(({ version }) => version)).toEqual([
    "1",
    "2",
    "9",
    "10",
  ]);
  await expect(loadDefinitions("./nothing.mjs", folder)).rejects.toThrow("it exports a");
  await expect(loadDefinitions("./gone.ts", folder)).rejects.toThrow("there is no module ./gone.ts");
  await expect(loadDefinitions("./broken.mjs", folder)).rejects.toMatchObject({ code: "agent.bad_config" });
});

test("an older Node is told what it takes", () => {
  expect(() => requireNode()).not.toThrow();
  for (const version of ["24.0.0", "25.1.0", "100.0.0"]) expect(() => requireNode(version)).not.toThrow();
  for (const version of ["23.11.1", "20.20.2"])
    expect(() => requireNode(version)).toThrow(`this is ${version}`);
});
