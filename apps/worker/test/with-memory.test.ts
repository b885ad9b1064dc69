// A worker whose agents need the database that it works on.

import { symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { WITH_MEMORY } from "../../cli/test/support/with-memory.ts";
import { served, WorkerProcess } from "./support.ts";

/** In which @sentient/ai is. */
const MODULES = fileURLToPath(new URL("../../cli/node_modules", import.meta.url));

test("agents of a worker remember in its database, whichever of its processes runs them", async () => {
  const { cwd, url, sentient } = await served();
  await symlink(MODULES, join(cwd, "node_modules"));
  await writeFile(join(cwd, "package.json"), `{ "type": "module" }`);
  await writeFile(join(cwd, "agents.ts"), WITH_MEMORY);
  const begin = async () => {
    const worker = new WorkerProcess(["--agents", "./agents.ts", "--url", url], cwd);
    await worker.says("advances runs");
    return worker;
  };
  const first = await begin();
  await (await sentient.start("keep", "Ada drinks tea without milk.")).result();
  expect(await (await sentient.start("thrifty")).result()).toBe("Tea.");
  expect(await first.stop("SIGTERM")).toEqual([0, null]);
  const second = await begin();
  expect(await (await sentient.start("recall", "tea")).result()).toEqual(["Ada drinks tea without milk."]);
  expect(await second.stop("SIGTERM")).toEqual([0, null]);
});
