// The child. Owns: a process of Node with nothing but what it was given: how it is begun, listened to, and ended.
// C1. It has no environment, no stream but one, no file but its module, its folder and what it may read, no network, no other process.
// C2. It is killed, with all of its group, at the end of its time, and once it has said more than it may.
// C3. It is told what to do once it is ready: by then it dies with its parent, or finds that there is none.

import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import type { Duplex } from "node:stream";
import { fileURLToPath, pathToFileURL } from "node:url";
import { framed, HEAD_BYTES } from "./frame.ts";
import type { Isolation } from "./isolation.ts";

export interface Limits {
  /** In milliseconds. */
  timeout: number;
  /** In MiB. */
  memory: number;
  /** In bytes. */
  maxOutput: number;
  network: boolean;
  allowRead: readonly string[];
}

export type Ending =
  | { how: "said"; body: Buffer }
  | { how: "exited"; code: number | null; signal: NodeJS.Signals | null }
  | { how: "too large" }
  | { how: "late" }
  | { how: "aborted" };

/** From its sources it lies beside this file; of what is built this file may lie a folder above. */
const INSIDE = ["./inside.ts", "./inside.js", "./untrusted/inside.js"]
  .map((path) => fileURLToPath(new URL(path, import.meta.url)))
  .find((path) => existsSync(path))!;
/** Of one file, in blocks of 512 bytes: 64 MiB. */
const MOST_FILE = 131_072;
const MOST_OPEN = 128;
/** Beside what is stored in it, in MiB: what a program needs to run at all. */
const SLACK_MIB = 64;
/** With which it says that it is ready. */
const READY_BYTES = 1;
/** What stands around an answer. */
const ENVELOPE_BYTES = 8_192;
/** Who was left behind by a process that died, and did not die with it, is ended by the kernel after some seconds of work. */
const cpuSeconds = (timeout: number) => Math.ceil(timeout / 1_000) * 4 + 10;

/** The limits of the shell, and then what follows instead of it. */
const LIMITED = `ulimit -c 0; ulimit -t "$1" && ulimit -f "$2" && ulimit -n "$3" || exit 125
[ "$4" = none ] || ulimit -d "$4" || exit 125
shift 4; exec "$@"`;

function commandOf(
  module: string,
  folder: string,
  limits: Limits,
  { apart, mortal, dataAtStart }: Isolation,
): string[] {
  const { timeout, memory, network, allowRead } = limits;
  const data = dataAtStart === undefined ? "none" : String(dataAtStart + (memory + SLACK_MIB) * 1_024);
  const readable = [INSIDE, module, folder, ...allowRead];
  return [
    "-c",
    LIMITED,
    "sh",
    String(cpuSeconds(timeout)),
    String(MOST_FILE),
    String(MOST_OPEN),
    data,
    ...mortal,
    ...(apart && !network ? apart : []),
    process.execPath,
    "--permission",
    ...readable.map((path) => `--allow-fs-read=${path}`),
    `--allow-fs-write=${folder}`,
    ...(network && process.allowedNodeEnvironmentFlags.has("--allow-net") ? ["--allow-net"] : []),
    `--max-old-space-size=${memory}`,
    "--disable-sigusr1",
    "--no-warnings",
    INSIDE,
  ];
}

/** Runs it to its end. Does not throw. */
export async function runChild(
  order: { module: string; name: string; args: unknown },
  folder: string,
  limits: Limits,
  isolated: Isolation,
  signal: AbortSignal | undefined,
): Promise<Ending> {
  const child = spawn("/bin/sh", commandOf(order.module, folder, limits, isolated), {
    cwd: folder,
    env: {},
    detached: true, // with a group of its own, to be ended with all that is in it
    stdio: ["ignore", "ignore", "ignore", "pipe"],
  });
  const ended = Promise.withResolvers<Ending>();
  const late = setTimeout(() => ended.resolve({ how: "late" }), limits.timeout);
  const abort = () => ended.resolve({ how: "aborted" });
  signal?.addEventListener("abort", abort, { once: true });
  const exited = exitOf(child);
  void exited.then((exit) => ended.resolve(exit));
  const { maxOutput, network } = limits;
  const asked = framed({ ...order, module: pathToFileURL(order.module).href, maxOutput, network });
  ask(child.stdio[3] as Duplex, asked, maxOutput + ENVELOPE_BYTES, ended.resolve);
  try {
    return await ended.promise;
  } finally {
    clearTimeout(late);
    signal?.removeEventListener("abort", abort);
    killGroup(child);
    (child.stdio[3] as Duplex).destroy();
    await exited;
  }
}

/** C2, C3. */
function ask(channel: Duplex, asked: Buffer, most: number, resolve: (ending: Ending) => void): void {
  let heard = Buffer.alloc(0);
  let bytes = 0;
  channel.on("error", () => {}); // of who reads no more
  channel.on("data", (piece: Buffer) => {
    if (bytes === 0) channel.write(asked);
    bytes += piece.length;
    if (bytes > most) {
      channel.pause();
      return resolve({ how: "too large" });
    }
    heard = Buffer.concat([heard, piece]);
    const head = READY_BYTES + HEAD_BYTES;
    if (bytes < head) return;
    const length = heard.readUInt32BE(READY_BYTES);
    if (length > most) return resolve({ how: "too large" });
    if (bytes >= head + length) resolve({ how: "said", body: heard.subarray(head, head + length) });
  });
}

function exitOf(child: ChildProcess): Promise<Extract<Ending, { how: "exited" }>> {
  return new Promise((resolve) => {
    child.once("error", () => resolve({ how: "exited", code: null, signal: null }));
    child.once("close", (code, signal) => resolve({ how: "exited", code, signal }));
  });
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // it is gone
  }
}
