// The API, a worker and commands in one folder, as the guides have them begun: one after another, with nothing said of who owns it.

import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { AGENTS, ApiProcess, CommandProcess, freshFolder, WorkerProcess } from "./support.ts";

test("who comes first has the folder, and serves it to the others", async () => {
  const cwd = await freshFolder();
  const url = `rocksdb://${join(cwd, "data")}`;
  const api = new ApiProcess(cwd, { SENTIENT_URL: url, SENTIENT_API_PORT: "0" });
  await api.says("listening");
  const worker = new WorkerProcess(["--agents", AGENTS, "--url", url], cwd, {
    WORKER_NOTES: join(cwd, "notes"),
  });
  expect((await worker.says("advances runs")).database).toMatch(/^ws:/);
  const slow = new CommandProcess(["run", "slow", "--url", url], cwd);
  expect(await slow.ended, slow.stderr).toEqual([0, null]);
  expect(await worker.stop("SIGTERM")).toEqual([0, null]);
  expect(await api.stop("SIGTERM")).toEqual([0, null]);

  const other = new WorkerProcess(["--agents", AGENTS, "--url", url], cwd);
  expect((await other.says("advances runs")).database).toBe(url);
  const list = new CommandProcess(["runs", "list", "--url", url], cwd);
  expect(await list.ended, list.stderr).toEqual([0, null]);
  expect(list.stdout).toContain("slow");
  expect(await other.stop("SIGTERM")).toEqual([0, null]);
  expect(existsSync(join(cwd, "data/sentient.served.json"))).toBe(false);
});

test("what .env says holds for the API as for a worker", async () => {
  const cwd = await freshFolder();
  await writeFile(
    join(cwd, ".env"),
    "SENTIENT_URL=rocksdb://elsewhere\nSENTIENT_API_PORT=0\nSENTIENT_API_TOKEN_FILE=secret\n",
  );
  const api = new ApiProcess(cwd);
  expect((await api.says("listening")).url).not.toMatch(/:4840$/);
  expect(existsSync(join(cwd, "secret"))).toBe(true);
  expect(existsSync(join(cwd, "elsewhere"))).toBe(true);
  expect(existsSync(join(cwd, ".sentient"))).toBe(false);
  const worker = new WorkerProcess(["--agents", AGENTS], cwd);
  expect((await worker.says("advances runs")).database).toMatch(/^ws:/); // of the API, which has it
  await worker.stop("SIGTERM");
  await api.stop("SIGTERM");
});
