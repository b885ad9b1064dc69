// The command line as its users have it: a process of its own, with pipes.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "@sentient/testkit";
import { onTestFinished } from "vitest";

export const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const MODULES = fileURLToPath(new URL("../../node_modules", import.meta.url));
export const NODE_FLAGS = ["--conditions=@sentient/source"];

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface Options {
  cwd: string;
  env?: Record<string, string>;
  stdin?: string;
}

/** An empty folder from which the packages of this repository can be imported, gone after the test. */
export async function project(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sentient-cli-"));
  await symlink(MODULES, join(folder, "node_modules"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Nothing of who runs the tests. */
function environment(env: Record<string, string>): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(?:SENTIENT_|VITEST|NODE_OPTIONS|CI$)/.test(name),
  );
  return { ...Object.fromEntries(own), NO_COLOR: "1", ...env };
}

export class Running {
  readonly #child: ChildProcess;
  readonly ended: Promise<Ended>;
  stdout = "";
  stderr = "";

  constructor(args: readonly string[], { cwd, env = {}, stdin }: Options) {
    const child = spawn(process.execPath, [...NODE_FLAGS, MAIN, ...args], { cwd, env: environment(env) });
    this.#child = child;
    child.stdout.setEncoding("utf8").on("data", (text: string) => (this.stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    child.stdin.on("error", () => {}); // it need not read
    child.stdin.end(stdin ?? "");
    this.ended = once(child, "close").then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
      stdout: this.stdout,
      stderr: this.stderr,
    }));
  }

  /** Resolves once its output holds this; rejects if it ends without. */
  async says(pattern: RegExp, of: "stdout" | "stderr" = "stdout"): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this[of]);
      if (found) return found;
      const news = once(this.#child[of]!, "data").then(() => undefined);
      const end = await Promise.race([news, this.ended]);
      if (end && !pattern.test(this[of]))
        throw new Error(`it ended with ${end.code} and said\n${end.stdout}\n${end.stderr}`);
    }
  }

  /** Writes a file, again and again until that is said: it may speak before it watches. */
  async sees(file: string, text: string, said: RegExp): Promise<void> {
    const isSeen = async () => {
      if (said.test(this.stdout)) return true;
      await writeFile(file, text);
      return false;
    };
    await until(isSeen, { every: 1_000, deadline: 120_000, what: `${file} to be seen` });
  }

  /** As `head` does. */
  readNoFurther(): void {
    this.#child.stdout!.destroy();
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<Ended> {
    this.#child.kill(signal);
    return this.ended;
  }
}

export function start(args: readonly string[], options: Options): Running {
  const running = new Running(args, options);
  onTestFinished(async () => void (await running.stop("SIGKILL")));
  return running;
}

export function run(args: readonly string[], options: Options): Promise<Ended> {
  return start(args, options).ended;
}

export function jsonOf({ stdout, stderr, code }: Ended): unknown {
  try {
    return JSON.parse(stdout);
  } catch {
    throw new Error(`no JSON, and status ${code}:\n${stdout}\n${stderr}`);
  }
}
