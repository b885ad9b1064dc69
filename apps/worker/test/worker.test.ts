import { sabotage, until } from "@sentient/testkit";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { AGENTS, freshFolder, served, WorkerProcess } from "./support.ts";

function stepsIn(notes: string): string[] {
  return readFileSync(notes, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => line.split(" ")[1]!);
}

test("a fleet finishes what one of it was killed over, and what is remembered is done once", async () => {
  const { cwd, url, notes, sentient } = await served();
  const flags = ["--agents", AGENTS, "--url", url, "--slots", "4", "--lease", "2000"];
  const fleet = [1, 2].map(() => new WorkerProcess(flags, cwd, { WORKER_NOTES: notes }));
  await Promise.all(fleet.map((worker) => worker.says("advances runs")));

  const handles = await Promise.all(Array.from({ length: 20 }, () => sentient.start("slow")));
  const [doomed, other] = fleet as [WorkerProcess, WorkerProcess];
  await until(() => readFileSync(notes, "utf8").includes(`${doomed.pid} `), { deadline: 60_000 });
  expect(await doomed.stop("SIGKILL")).toEqual([null, "SIGKILL"]);
  const finishers = await Promise.all(handles.map((handle) => handle.result({ timeout: 100_000 })));

  expect(new Set(finishers)).toContain(other.pid);
  const remembered = await Promise.all(
    handles.map(async ({ id }) => [...(await sentient.state.journal(id)).values()]),
  );
  expect(remembered.every((steps) => steps.length === 4)).toBe(true);
  const steps = stepsIn(notes);
  expect(new Set(steps).size).toBe(80);
  const { events } = await sentient.events.history({ types: ["run.started"], limit: 1_000 });
  expect(steps.length).toBeLessThanOrEqual(80 + events.length - 20); // who takes one up again, a step at most
  expect(await other.stop("SIGTERM")).toEqual([0, null]);
});

/** A worker was asked to stop within runs. */
async function stopped() {
  const { cwd, url, notes, sentient } = await served();
  const flags = ["--agents", AGENTS, "--url", url, "--slots", "4", "--lease", "600000"];
  const begin = () => new WorkerProcess(flags, cwd, { WORKER_NOTES: notes });
  const first = begin();
  await first.says("advances runs");
  const handles = await Promise.all(Array.from({ length: 8 }, () => sentient.start("slow")));
  await until(() => readFileSync(notes, "utf8").includes(`${first.pid} `), { deadline: 60_000 });
  expect(await first.stop("SIGTERM")).toEqual([0, null]);
  const runs = await Promise.all(handles.map((handle) => handle.run()));
  return { begin, sentient, handles, runs, running: runs.filter(({ status }) => status === "running") };
}

test("asked to stop, it hands over what it holds, takes nothing more, and costs no attempt", async () => {
  let at = await stopped();
  for (let i = 0; i < 4 && at.running.length > 0; i++) at = await stopped(); // it has a second: a stall may take longer
  const { begin, sentient, handles, runs, running } = at;
  expect(running).toEqual([]);
  expect(runs.some(({ status }) => status === "queued")).toBe(true);
  const second = begin();
  await Promise.all(handles.map((handle) => handle.result({ timeout: 120_000 }))); // sooner than any lease runs out
  expect(
    (await Promise.all(handles.map((handle) => handle.run()))).every(({ attempts }) => attempts <= 1),
  ).toBe(true);
  await second.stop("SIGTERM");
  await sabotage("it is killed instead, and its lease has to run out", async () => {
    const third = begin();
    await third.says("advances runs");
    const handle = await sentient.start("slow");
    await until(async () => (await handle.status()) === "running", { deadline: 60_000 });
    await third.stop("SIGKILL");
    expect(await handle.status()).not.toBe("running");
  });
});

test("it says whether it lives and whether it works", async () => {
  const { cwd, url, notes } = await served();
  const worker = new WorkerProcess(["--agents", AGENTS, "--url", url, "--health-port", "0"], cwd, {
    WORKER_NOTES: notes,
  });
  const { port } = await worker.says("says whether it lives");
  const ask = (path: string, method = "GET") => fetch(`http://127.0.0.1:${String(port)}${path}`, { method });
  expect((await ask("/healthz")).status).toBe(200);
  await worker.says("advances runs");
  const ready = await until(async () => {
    const response = await ask("/readyz");
    return response.status === 200 && response;
  });
  expect(await ready.json()).toEqual({ ready: true, claims: true, database: true, running: 0 });
  expect((await ask("/other")).status).toBe(404);
  expect((await ask("/healthz", "POST")).status).toBe(405);
  expect(await worker.stop("SIGINT")).toEqual([0, null]);
});

test("what it cannot be set up with ends it with 2, and what it cannot reach with 1, in one line", async () => {
  const cwd = await freshFolder();
  const ends = async (...args: string[]) => {
    const worker = new WorkerProcess(args, cwd);
    const [code] = await worker.ended;
    expect(worker.stderr.trimEnd().split("\n")).toHaveLength(1);
    return code;
  };
  expect(await ends()).toBe(2);
  expect(await ends("--slots", "many")).toBe(2);
  expect(await ends("--agents", "./gone.ts")).toBe(2);
  expect(await ends("--agents", AGENTS, "--url", "ws://127.0.0.1:9/rpc")).toBe(2); // without credentials
  const file = join(cwd, "file");
  await writeFile(file, "");
  expect(await ends("--agents", AGENTS, "--url", `rocksdb://${file}`)).toBe(1);
  const help = new WorkerProcess(["--help"], cwd);
  expect(await help.ended).toEqual([0, null]);
  expect(help.stdout).toContain("Exit status: 0 after SIGTERM");
});
