// Untrusted code. Owns: a function of a module that nobody vouches for, called in a process that can do next to nothing.
// U1. Each call has a process and a folder of its own, and leaves neither behind.
// U2. What comes back is JSON of at most so many bytes, or a typed error.

import { realpath } from "node:fs/promises";
import { isAbsolute, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Json } from "@sentient/schema";
import { z } from "zod";
import { AiError } from "../errors.ts";
import { runChild, type Ending, type Limits } from "./child.ts";
import { makeFolder, removeFolder } from "./folder.ts";
import type { Answer } from "./frame.ts";
import { isolation, requireNetworkHeld, requireSupported } from "./isolation.ts";

export interface UntrustedOptions {
  /** The module, as a URL or a path. It may import what is in `allowRead`, and the modules of Node that only compute. */
  module: URL | string;
  /** What of it is called: `default` if left out. */
  export?: string;
  /** In milliseconds: 10,000 if left out. */
  timeout?: number;
  /** In MiB, of all that it stores: 128 if left out. */
  memory?: number;
  /** Bytes of JSON that it may give: 65,536 if left out. */
  maxOutput?: number;
  /** Files and folders that it may read, besides its module and a folder of its own, which is its working folder. */
  allowRead?: readonly (URL | string)[];
  /** Whether it may open connections: not if left out. */
  network?: boolean;
}

/** @param signal ends it */
export type UntrustedFunction = (args: Json, signal?: AbortSignal) => Promise<Json>;

const file = z
  .union([
    z.url({ protocol: /^file$/ }).transform((url) => fileURLToPath(url)),
    z.string().min(1),
    z.instanceof(URL),
  ])
  .transform((path) => (path instanceof URL ? fileURLToPath(path) : path))
  .transform((path) => (isAbsolute(path) ? path : resolve(path)));

const Options = z.strictObject({
  module: file,
  export: z.string().min(1).default("default"),
  timeout: z.int().min(1).max(86_400_000).default(10_000),
  memory: z.int().min(16).max(65_536).default(128),
  maxOutput: z
    .int()
    .min(1)
    .max(1024 * 1024)
    .default(64 * 1024),
  allowRead: z.array(file).readonly().default([]),
  network: z.boolean().default(false),
});

/**
 * A function of a module that nobody vouches for: each call runs it in a process without an environment, a network, other files
 * and other processes, for so long, in so much memory.
 *
 * @throws `ai.bad_option`; when called: `ai.tool_failed` with what it threw, `ai.tool_timeout`, `ai.output_too_large`,
 * `ai.tool_crashed`, `ai.not_isolated` where this machine cannot hold it back
 * @example const count = untrusted({ module: new URL("./count-words.js", import.meta.url), timeout: 2_000 });
 */
export function untrusted(options: UntrustedOptions): UntrustedFunction {
  const parsed = Options.safeParse(options);
  if (!parsed.success)
    throw new AiError({
      code: "ai.bad_option",
      message: `untrusted code: ${z.prettifyError(parsed.error)}`,
    });
  const { module, export: name, ...limits } = parsed.data;
  return (args, signal) => call(module, name, args, limits, signal);
}

/** U1. */
async function call(
  path: string,
  name: string,
  args: Json,
  limits: Limits,
  signal: AbortSignal | undefined,
): Promise<Json> {
  signal?.throwIfAborted();
  requireSupported();
  const isolated = await isolation();
  if (!limits.network) requireNetworkHeld(isolated);
  const module = await realpath(path);
  const allowRead = await Promise.all(limits.allowRead.map((each) => realpath(each)));
  const folder = await makeFolder();
  try {
    const ending = await runChild({ module, name, args }, folder, { ...limits, allowRead }, isolated, signal);
    return outcomeOf(ending, name, limits, signal);
  } finally {
    await removeFolder(folder);
  }
}

/** U2. */
function outcomeOf(ending: Ending, name: string, { timeout, maxOutput }: Limits, signal?: AbortSignal): Json {
  switch (ending.how) {
    case "said":
      return saidBy(ending.body, name, maxOutput);
    case "aborted":
      throw signal?.reason;
    case "late":
      throw failure("ai.tool_timeout", `${name} was not done within ${timeout} ms, and was ended`);
    case "too large":
      throw tooLarge(name, maxOutput);
    case "exited": {
      const { code, signal: by } = ending;
      throw failure(
        "ai.tool_crashed",
        `${name} ended without a result (${by ?? `status ${code}`}); it may have used more memory than it has`,
        { code, signal: by },
      );
    }
  }
}

function saidBy(body: Buffer, name: string, maxOutput: number): Json {
  const answer = parsed(body);
  if (!answer) throw failure("ai.tool_crashed", `${name} said what is no answer`);
  if (answer.ok) {
    if (Buffer.byteLength(JSON.stringify(answer.value ?? null)) > maxOutput) throw tooLarge(name, maxOutput);
    return (answer.value ?? null) as Json;
  }
  if (answer.kind === "too large") throw tooLarge(name, maxOutput);
  throw failure("ai.tool_failed", `${name} failed: ${answer.message.slice(0, 4_096)}`);
}

const Said = z.union([
  z.object({ ok: z.literal(true), value: z.json().optional() }),
  z.object({ ok: z.literal(false), kind: z.enum(["failed", "too large"]), message: z.string() }),
]);

/** The code may have written this itself. */
function parsed(body: Buffer): Answer | undefined {
  try {
    return Said.parse(JSON.parse(body.toString("utf8"))) as Answer;
  } catch {
    return undefined;
  }
}

function tooLarge(name: string, most: number): AiError {
  return failure("ai.output_too_large", `${name} gave more than ${most} bytes, and was ended`, { most });
}

function failure(
  code: "ai.tool_failed" | "ai.tool_timeout" | "ai.tool_crashed" | "ai.output_too_large",
  message: string,
  details?: Record<string, unknown>,
): AiError {
  return new AiError({ code, message, retryable: false, ...(details ? { details } : {}) });
}
