import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

const MAIN = fileURLToPath(new URL("../src/main.ts", import.meta.url));
export const AGENTS = fileURLToPath(new URL("./agents.ts", import.meta.url));

/** Gone after the test. */
export async function freshFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sentient-worker-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

type Line = Record<string, unknown> & { msg: string };

/** `sentient-worker` as a process. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly ended: Promise<[code: number | null, signal: NodeJS.Signals | null]>;
  stderr = "";
  stdout = "";

  constructor(args: readonly string[], cwd: string, env: Record<string, string> = {}) {
    const own = Object.entries(process.env).filter(
      ([name]) => !/^(?:SENTIENT_|VITEST|NODE_OPTIONS)/.test(name),
    );
    const child = spawn(process.execPath, ["--conditions=@sentient/source", MAIN, ...args], {
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
      const found = this.#lines().find((line) => line.msg === msg);
      if (found) return found;
      const end = await Promise.race([once(this.#child.stderr!, "data").then(() => undefined), this.ended]);
      if (end) throw new Error(`it ended with ${end[0]} and said\n${this.stderr}`);
    }
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
