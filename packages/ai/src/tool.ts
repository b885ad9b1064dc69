// Tools. Owns: what a tool of a model may do, and what is on disk of it before and after it does.
// E1. Reading may be done again; what changes something is begun once: that it begins is on disk before, and so is what came of it.
// E2. What was cut off is neither taken for done nor done again: the tool finds out, or a person says.
// E3. What is dangerous waits for a person (approval.ts), and so does what its own rule says needs one.
// E4. What a model hands over is checked before anything else happens, and what a tool gives is bounded before it is kept.

import type { Context, RetryPolicy, StepContext, Tool, ToolCall } from "@sentient/agent-core";
import { canonicalJson, hashOf, type Json } from "@sentient/schema";
import { z } from "zod";
import { approved, type ApprovalOptions } from "./approval.ts";
import { argumentsSchema } from "./arguments.ts";
import { performOnce } from "./effect.ts";
import { AiError } from "./errors.ts";
import { refused, runBounded, type Use } from "./use.ts";

/** `read` changes nothing; `write` changes something; `danger` does so that nobody can take back. */
export type Effect = "read" | "write" | "danger";

/** What a tool finds out of what was cut off. */
export type Verified<Output> = { done: true; output: Output } | { done: false };

/** What a tool sees while it works. */
export type ToolContext = Pick<
  StepContext,
  "signal" | "idempotencyKey" | "attempt" | "progress" | "emit" | "write"
>;

interface CommonOptions<Args, Output> {
  /** As models are told: letters, digits, `_` and `-`, at most 64. */
  name: string;
  description: string;
  effect: Effect;
  /** Whether a person has to approve, and who may; `danger` always needs one. */
  approve?: ApprovalOptions<Args>;
  /** In milliseconds. What changes something and takes longer counts as cut off. */
  timeout?: number;
  /** Of what only reads, where it differs from the policy of the agent. */
  retry?: RetryPolicy;
  /** Bytes of JSON it may give: 65,536 if left out. */
  maxOutput?: number;
  /** Finds out what became of something that was cut off; without it a person is asked. */
  verify?: (args: Args, tool: Pick<ToolContext, "signal" | "idempotencyKey">) => Promise<Verified<Output>>;
  run: (args: Args, tool: ToolContext) => Output | Promise<Output>;
}

export interface ToolOptions<I extends z.ZodType, O extends z.ZodType> extends CommonOptions<
  z.output<I>,
  z.input<O>
> {
  input: I;
  output?: O;
}

export interface RawToolOptions extends CommonOptions<Json, Json> {
  /** JSON Schema of its arguments, which whoever runs it checks. */
  inputSchema: Json;
}

/** A tool, and what it may do. */
export interface DefinedTool extends Tool {
  readonly effect: Effect;
}

const Options = z.object({
  name: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/, "letters, digits, _ and -, at most 64"),
  description: z.string().max(4_096),
  effect: z.enum(["read", "write", "danger"]),
  timeout: z.int().min(1).optional(),
  maxOutput: z
    .int()
    .min(1)
    .max(1024 * 1024)
    .default(64 * 1024),
  run: z.custom<RawToolOptions["run"]>((value) => typeof value === "function", "a function"),
});

/**
 * Describes something that a model may do.
 *
 * What `run` throws is told to the model. A tool that changes something and cannot know whether it has should throw an `AiError`
 * with the code `ai.outcome_unknown`: that counts as cut off.
 *
 * @throws `ai.bad_option`
 * @example
 * const refund = defineTool({
 *   name: "refund", description: "Gives money back.", effect: "danger",
 *   input: z.object({ order: z.string(), cents: z.int().min(1) }),
 *   run: ({ order, cents }, { idempotencyKey }) => payments.refund(order, cents, { idempotencyKey }),
 * });
 */
export function defineTool<I extends z.ZodType, O extends z.ZodType = z.ZodType<Json>>(
  options: ToolOptions<I, O>,
): DefinedTool {
  const { input, output, ...rest } = options;
  const raw = { ...rest, inputSchema: argumentsSchema(input) };
  const fits = (value: unknown) => (output ? output.parse(value) : value);
  const run = async (args: Json, tool: ToolContext) =>
    fits(await rest.run(args as z.output<I>, tool)) as Json;
  return toolOf({ ...(raw as unknown as RawToolOptions), run }, (args) => input.safeParse(args));
}

/**
 * The same for one whose arguments are described by a JSON Schema and checked elsewhere, as those of an MCP server are.
 *
 * @throws `ai.bad_option`
 */
export function rawTool(options: RawToolOptions): DefinedTool {
  return toolOf(options, (args) => z.record(z.string(), z.json()).safeParse(args));
}

type Check = (args: Json) => z.ZodSafeParseResult<unknown>;

function toolOf(given: RawToolOptions, check: Check): DefinedTool {
  const parsed = Options.safeParse(given);
  if (!parsed.success)
    throw new AiError({ code: "ai.bad_option", message: `a tool: ${z.prettifyError(parsed.error)}` });
  const options = { ...given, ...parsed.data };
  const { name, description, effect, inputSchema } = options;
  return Object.freeze({
    name,
    description,
    effect,
    input: inputSchema,
    call: (ctx: Context, call: ToolCall) => use(ctx, call, options, check),
  });
}

async function use(ctx: Context, call: ToolCall, options: Use["options"], check: Check): Promise<Json> {
  const { name, effect, approve } = options;
  const checked = check(call.args); // E4
  if (!checked.success) throw await refused(ctx, name, z.prettifyError(checked.error), call.args);
  const args = checked.data as Json;
  const idempotencyKey = `${ctx.key}/${name}/${call.id}`;
  const binding = hashOf(canonicalJson({ name, args: asSent(args), key: idempotencyKey }));
  const one: Use = { ctx, options, args, binding, idempotencyKey };
  if (effect === "danger" || approve?.when?.(args)) await approved(one); // E3
  if (effect !== "read") return performOnce(one); // E1
  const { retry, timeout } = options;
  return ctx.step(name, (step) => runBounded(one, step), {
    idempotencyKey,
    ...(retry ? { retry } : {}),
    ...(timeout === undefined ? {} : { timeout }),
  });
}

/** JSON as it is kept: dates and the like are texts there. */
function asSent(args: Json): Json {
  return JSON.parse(JSON.stringify(args)) as Json;
}
