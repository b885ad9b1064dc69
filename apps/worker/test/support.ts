import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createSentient, type Sentient } from "@sentient/agent-core";
import { serveBeside } from "@sentient/agent-core/config";
import { openDatabase } from "@sentient/db-pool";
import { onTestFinished } from "vitest";

const MAIN = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const API = fileURLToPath(new URL("../../api/src/main.ts", import.meta.url));
const CLI = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url));
export const AGENTS = fileURLToPath(new URL("./agents.ts", import.meta.url));

/** Gone after the test. */
export async function freshFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sentient-worker-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A folder that this process owns and serves, and a runtime that advances nothing. */
export async function served(): Promise<{ cwd: string; url: string; notes: string; sentient: Sentient }> {
  const cwd = await freshFolder();
  const url = `rocksdb://${join(cwd, "data")}`;
  const db = await openDatabase({ url });
  const serving = await serveBeside(db);
  const sentient = await createSentient({ database: db, worker: false });
  onTestFinished(async () => {
    await sentient.close();
    await serving!.close();
    await db.close();
  });
  const notes = join(cwd, "notes");
  await writeFile(notes, "");
  return { cwd, url, notes, sentient };
}

type Line = Record<string, unknown> & { msg: string };

/** A program of this repository as a process. */
class Program {
  readonly #child: ChildProcess;
  readonly ended: Promise<[code: number | null, signal: NodeJS.Signals | null]>;
  stderr = "";
  stdout = "";

  constructor(main: string, args: readonly string[], cwd: string, env: Record<string, string> = {}) {
    const own = Object.entries(process.env).filter(
      ([name]) => !/^(?:SENTIENT_|VITEST|NODE_OPTIONS)/.test(name),
    );
    const child = spawn(process.execPath, ["--conditions=@sentient/source", main, ...args], {
      cwd,
      env: { ...Object.fromEntries(own), ...env },
    });
    this.#child = child;
    child.stdout.setEncoding("utf8").on("data", (text: string) => (this.stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    this.ended = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
    onTestFinished(async () => void (await this.stop("SIGKILL")));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Resolves with the first line of its log that says this. */
  async says(msg: string): Promise<Line> {
    for (;;) {
      const found = this.said(msg);
      if (found) return found;
      const end = await Promise.race([once(this.#child.stderr!, "data").then(() => undefined), this.ended]);
      if (end) throw new Error(`it ended with ${end[0]} and said\n${this.stderr}`);
    }
  }

  said(msg: string): Line | undefined {
    return this.#lines().find((line) => line.msg === msg);
  }

  #lines(): Line[] {
    const whole = this.stderr.slice(0, this.stderr.lastIndexOf("\n") + 1).split("\n");
    return whole.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as Line);
  }

  async stop(signal: NodeJS.Signals) {
    this.#child.kill(signal);
    return this.ended;
  }
}

/** `sentient-worker` as a process. */
export class WorkerProcess extends Program {
  constructor(args: readonly string[], cwd: string, env: Record<string, string> = {}) {
    super(MAIN, args, cwd, env);
  }
}

/** `sentient-api` as a process. */
export class ApiProcess extends Program {
  constructor(cwd: string, env: Record<string, string> = {}) {
    super(API, [], cwd, env);
  }
}

/** A command of `sentient` as a process. */
export class CommandProcess extends Program {
  constructor(args: readonly string[], cwd: string, env: Record<string, string> = {}) {
    super(CLI, args, cwd, env);
  }
}
