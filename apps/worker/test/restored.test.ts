// A database that was lost, and a backup in its place: same folder, same address, and workers that never noticed.

import { createSentient, type Sentient } from "@sentient/agent-core";
import { openDatabase } from "@sentient/db-pool";
import { freePort, until } from "@sentient/testkit";
import { readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { AGENTS, CommandProcess, freshFolder, WorkerProcess } from "./support.ts";

const TOKEN = "a-token-of-this-test-file";

/** The folder, served where it was before. */
async function serve(cwd: string, port: number): Promise<CommandProcess> {
  const args = ["serve", "--url", `rocksdb://${join(cwd, "data")}`, "--port", String(port)];
  const server = new CommandProcess(args, cwd, { SENTIENT_SERVE_TOKEN: TOKEN });
  await until(() => /^ws:\/\/127\.0\.0\.1:/m.test(server.stdout), { what: "its address", deadline: 60_000 });
  return server;
}

async function connected(url: string): Promise<Sentient> {
  const db = await openDatabase({ url, token: TOKEN });
  const sentient = await createSentient({ database: db, worker: false });
  onTestFinished(async () => {
    await sentient.close();
    await db.close({ deadline: 500 });
  });
  return sentient;
}

test("a worker from before a restore does nothing more and ends, and another one goes on from the backup", async () => {
  const cwd = await freshFolder();
  const port = await freePort();
  const server = await serve(cwd, port);
  const url = `ws://127.0.0.1:${port}/rpc`;
  const notes = join(cwd, "notes");
  await writeFile(notes, "");
  const env = { WORKER_NOTES: notes, SENTIENT_TOKEN: TOKEN };
  const flags = ["--agents", AGENTS, "--url", url, "--slots", "2"];
  const old = new WorkerProcess(flags, cwd, env);
  await old.says("advances runs");
  const before = await connected(url);
  const done = await before.start("slow");
  await done.result({ timeout: 60_000 });
  const { id: left } = await before.start("nobody"); // whom nobody serves
  const backup = join(cwd, "backup");
  const backedUp = new CommandProcess(["backup", backup, "--url", url], cwd, { SENTIENT_TOKEN: TOKEN });
  expect(await backedUp.ended, backedUp.stderr).toEqual([0, null]);
  await (await before.start("slow")).result({ timeout: 60_000 }); // is lost

  await server.stop("SIGKILL");
  await rm(join(cwd, "data"), { recursive: true });
  const restored = new CommandProcess(["restore", backup, "--url", `rocksdb://${join(cwd, "data")}`], cwd);
  expect(await restored.ended, restored.stderr).toEqual([0, null]);
  await serve(cwd, port);
  const after = await connected(url);
  const next = await after.start("slow");
  expect(await old.ended).toEqual([1, null]);
  expect(old.stderr).toContain("was restored from a backup while this process was connected");
  expect(await next.status()).toBe("queued");
  const stepsOf = (pid: number) =>
    readFileSync(notes, "utf8")
      .split("\n")
      .filter((line) => line.startsWith(`${pid} `));
  const byOld = stepsOf(old.pid).length;

  const other = new WorkerProcess(flags, cwd, env);
  expect(await next.result({ timeout: 60_000 })).toBe(other.pid);
  expect(stepsOf(old.pid)).toHaveLength(byOld);
  expect(await after.handle(done.id).status()).toBe("completed");
  expect(await after.handle(left).status()).toBe("queued");
  expect((await after.list()).runs).toHaveLength(3);
  await other.stop("SIGTERM");
});
