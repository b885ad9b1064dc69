// A folder whose process has died: whoever opens it next knows that by its lock, and waits for no lease.

import { sabotage, spawnChild, type Child } from "@sentient/testkit";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "sentient-take-over-"));
  onTestFinished(() => rm(made, { recursive: true, force: true, maxRetries: 10 }));
  return made;
}

function opening(FOLDER: string, HOW: "stay" | "go" | "tick"): Child {
  const child = spawnChild(new URL("fixtures/folder-child.ts", import.meta.url), { env: { FOLDER, HOW } });
  onTestFinished(() => child[Symbol.asyncDispose]());
  return child;
}

/** A folder with a run that a process was killed in, whose lease is ten minutes long. @returns that process too */
async function struck(): Promise<{ at: string; pid: number }> {
  const at = await folder();
  const first = opening(at, "stay");
  await first.message(({ within }) => within !== undefined, 60_000);
  await first.kill("SIGKILL");
  return { at, pid: first.pid };
}

test("goes on with what its process was at, and does nothing again that was remembered", async () => {
  const { at, pid } = await struck();
  const second = opening(at, "go");
  const { before } = await second.message(({ before }) => before !== undefined, 60_000);
  expect(before).toBe(pid);
  expect(await second.exited).toEqual({ code: 0, signal: null });
});

test("control: who does not ask who had it waits until the lease has run out", async () => {
  const { at } = await struck();
  const { advanced, status } = await opening(at, "tick").message(
    ({ advanced }) => advanced !== undefined,
    60_000,
  );
  expect({ advanced, status }).toEqual({ advanced: 0, status: "running" });
  await sabotage("nobody is asked", () => expect(advanced).toBe(1));
});
