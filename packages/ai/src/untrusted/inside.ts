// The inside of a process that runs what nobody vouches for. It is begun by child.ts, with the permissions of Node taken away.
// It takes besides what those do not hold back: signals to other processes, what opens sockets, and modules that reach files
// past the permissions (node:sqlite attaches any file). It imports nothing of this package, as it may read nothing of it.

import { readSync, writeSync } from "node:fs";
import Module, { isBuiltin, registerHooks } from "node:module";
import type { Answer } from "./frame.ts";

const CHANNEL = 3;
const HEAD_BYTES = 4;

/** Modules of Node that compute, or whose files Node's permissions guard. */
const ALLOWED = new Set(
  `assert assert/strict async_hooks buffer console constants crypto diagnostics_channel events fs fs/promises path path/posix
  path/win32 perf_hooks process punycode querystring stream stream/consumers stream/promises stream/web string_decoder timers
  timers/promises url util util/types zlib`.split(/\s+/),
);

const OF_NETWORK = ["dgram", "dns", "dns/promises", "http", "http2", "https", "net", "tls"];

interface Order {
  module: string;
  name: string;
  args: unknown;
  maxOutput: number;
  network: boolean;
}

function read(bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  for (let at = 0; at < bytes;) {
    const more = retried(() => readSync(CHANNEL, buffer, at, bytes - at, null));
    if (more === 0) process.exit(1); // nobody waits any more
    at += more;
  }
  return buffer;
}

function write(answer: Answer): void {
  const body = Buffer.from(JSON.stringify(answer));
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(body.length);
  const frame = Buffer.concat([head, body]);
  for (let at = 0; at < frame.length;) at += retried(() => writeSync(CHANNEL, frame, at));
}

function retried(io: () => number): number {
  for (;;) {
    try {
      return io();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }
  }
}

function denied(what: string): Error {
  return Object.assign(new Error(`${what} is not for code that is run as untrusted`), {
    code: "ERR_ACCESS_DENIED",
  });
}

function deny(owner: object, names: readonly string[]): void {
  for (const name of names) {
    const value = () => {
      throw denied(name);
    };
    Object.defineProperty(owner, name, { value, writable: false, configurable: false });
  }
}

function harden({ network }: Order): void {
  const allowed = new Set([...ALLOWED, ...(network ? OF_NETWORK : [])]);
  const isDenied = (name: string) => isBuiltin(name) && !allowed.has(name.replace(/^node:/, ""));
  registerHooks({
    resolve: (specifier, context, next) => {
      if (isDenied(specifier)) throw denied(specifier);
      const resolved = next(specifier, context);
      if (isDenied(resolved.url)) throw denied(specifier); // it may have another name in package.json
      return resolved;
    },
  });
  deny(Module, ["registerHooks", "register", "runMain"]);
  deny(process, ["kill", "_kill", "_debugProcess", "_debugEnd", "getBuiltinModule", "binding", "dlopen"]);
  deny(process.report, ["getReport", "writeReport"]); // of this machine
  for (const name of Object.keys(process.env)) delete process.env[name]; // the shell sets some of its own
  if (!network) deny(globalThis, ["fetch", "WebSocket", "EventSource"]);
}

async function answerTo({ module, name, args, maxOutput }: Order): Promise<Answer> {
  try {
    const exported = (await import(module)) as Record<string, unknown>;
    const run = exported[name];
    if (typeof run !== "function") throw new TypeError(`it exports no function ${name}`);
    const value: unknown = await (run as (args: unknown) => unknown)(args);
    const bytes = Buffer.byteLength(JSON.stringify(value) ?? "null");
    if (bytes <= maxOutput) return { ok: true, value };
    return { ok: false, kind: "too large", message: `${bytes} bytes` };
  } catch (error) {
    const { message } = (error ?? {}) as { message?: unknown };
    const said = typeof message === "string" ? message : String(error);
    return { ok: false, kind: "failed", message: said.slice(0, 4_096) };
  }
}

retried(() => writeSync(CHANNEL, "r")); // it is asked only now: whoever has died before that asks nothing
const order = JSON.parse(read(read(HEAD_BYTES).readUInt32BE()).toString("utf8")) as Order;
const exit = process.exit.bind(process);
harden(order);
write(await answerTo(order));
exit(0);
