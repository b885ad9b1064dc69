// A worker whose agents need the database that it works on.

import { symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { served, WorkerProcess } from "./support.ts";

const MODULES = fileURLToPath(new URL("../node_modules", import.meta.url));

const AGENTS = `import { defineAgent, defineAgents } from "@sentient/agent-core";
import { surql } from "@sentient/db-pool";

export default defineAgents(({ database }) => [
  defineAgent({
    name: "keep",
    run: (ctx, text) => ctx.step("keep", async () => void (await database.query(surql\`UPSERT note:one SET text = \${text}\`))),
  }),
  defineAgent({
    name: "recall",
    run: (ctx) => ctx.step("recall", () => database.query(surql\`SELECT VALUE text FROM note\`)),
  }),
]);
`;

test("agents of a worker keep what is theirs in its database, whichever of its processes runs them", async () => {
  const { cwd, url, sentient } = await served();
  await symlink(MODULES, join(cwd, "node_modules"));
  await writeFile(join(cwd, "package.json"), `{ "type": "module" }`);
  await writeFile(join(cwd, "agents.ts"), AGENTS);
  const begin = async () => {
    const worker = new WorkerProcess(["--agents", "./agents.ts", "--url", url], cwd);
    await worker.says("advances runs");
    return worker;
  };
  const first = await begin();
  await (await sentient.start("keep", "Ada drinks tea without milk.")).result();
  expect(await first.stop("SIGTERM")).toEqual([0, null]);
  const second = await begin();
  expect(await (await sentient.start("recall")).result()).toEqual(["Ada drinks tea without milk."]);
  expect(await second.stop("SIGTERM")).toEqual([0, null]);
});
