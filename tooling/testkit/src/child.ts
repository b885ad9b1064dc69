import { type ChildProcess, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { reading } from "./until.ts";

export interface ChildOptions {
  /** Added to this process's environment; undefined removes a variable. */
  env?: Record<string, string | undefined>;
  args?: readonly string[];
  /** Export conditions; by default workspace packages resolve to their sources. */
  conditions?: readonly string[];
}

export interface ChildExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** One line of a child's standard output that was a JSON object. */
export type Message = Record<string, unknown>;

const living = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of living) child.kill("SIGKILL");
});

/**
 * Runs a TypeScript entry in a Node process of its own, which never outlives this one.
 *
 * @example
 * await using worker = spawnChild(new URL("./worker.ts", import.meta.url), { env: { LEASE_MS: "3000" } });
 * await worker.message((message) => message.claimed === true);
 * await worker.kill();
 */
export function spawnChild(entry: URL | string, options: ChildOptions = {}): Child {
  const { env = {}, args = [], conditions = ["@sentient/source"] } = options;
  const guard = new URL("./exit-with-parent.ts", import.meta.url);
  guard.searchParams.set("parent", String(process.pid));
  const flags = [...conditions.map((name) => `--conditions=${name}`), `--import=${guard}`];
  const file = entry instanceof URL ? fileURLToPath(entry) : entry;
  return new Child(spawn(process.execPath, [...flags, file, ...args], { env: { ...process.env, ...env } }));
}

export class Child implements AsyncDisposable {
  readonly pid: number;
  /** Settles once the process is gone and its output has been read to the end. */
  readonly exited: Promise<ChildExit>;
  /** Every message so far, taken or not. */
  readonly messages: Message[] = [];
  stdout = "";
  stderr = "";

  readonly #process: ChildProcess;
  readonly #inbox: Message[] = [];
  readonly #news = new EventEmitter<{ news: [] }>();
  #exit: ChildExit | undefined;

  constructor(child: ChildProcess) {
    this.pid = child.pid!;
    this.#process = child;
    living.add(child);
    child.once("exit", () => living.delete(child));
    child.stdin?.on("error", () => {}); // a killed child reads no more
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    if (child.stdout) createInterface({ input: child.stdout }).on("line", (line) => this.#receive(line));
    this.exited = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        this.#exit = { code, signal };
        this.#news.emit("news");
        resolve(this.#exit);
      });
    });
  }

  /**
   * Takes the oldest message that fits and was not taken yet, waiting up to `deadline` milliseconds.
   * Rejects at once when the child exits without it.
   *
   * @example const { url } = await child.message<{ url: string }>((message) => message.ready === true);
   */
  async message<M extends Message = Message>(
    fits: (message: Message) => boolean,
    deadline = 20_000,
  ): Promise<M> {
    const signal = AbortSignal.timeout(deadline);
    for (;;) {
      const isLast = signal.aborted;
      if (isLast) await reading();
      const index = this.#inbox.findIndex(fits);
      if (index >= 0) return this.#inbox.splice(index, 1)[0] as M;
      if (this.#exit)
        throw this.#failed(`exited (${this.#exit.signal ?? this.#exit.code}) without the message`);
      if (isLast) throw this.#failed(`did not send the message within ${deadline} ms`);
      await once(this.#news, "news", { signal }).catch(() => {}); // one more look
    }
  }

  /** Sends `signal` and waits for the exit. */
  kill(signal: NodeJS.Signals = "SIGKILL"): Promise<ChildExit> {
    this.#process.kill(signal);
    return this.exited;
  }

  /** Freezes the process (SIGSTOP): its sockets stay open, nothing answers. */
  stop(): void {
    this.#process.kill("SIGSTOP");
  }

  /** Lets a stopped process go on (SIGCONT). */
  continue(): void {
    this.#process.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #receive(line: string): void {
    const message = parseObject(line);
    if (!message) return;
    this.messages.push(message);
    this.#inbox.push(message);
    this.#news.emit("news");
  }

  #failed(what: string): Error {
    return new Error(`child ${this.pid} ${what}; its stderr:\n${this.stderr.slice(-2_000)}`);
  }
}

function parseObject(line: string): Message | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line) as Message;
  } catch {
    return undefined;
  }
}
