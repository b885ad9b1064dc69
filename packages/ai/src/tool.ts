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
import { refused, runBounded, type Fits, type Use } from "./use.ts";

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

const aFunction = z.custom<(...given: never[]) => unknown>(
  (value) => typeof value === "function",
  "a function",
);

/** Strict: `aprove` would be a tool that nobody approves. */
const Options = z.strictObject({
  name: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/, "letters, digits, _ and -, at most 64"),
  description: z.string().max(4_096),
  effect: z.enum(["read", "write", "danger"]),
  timeout: z.int().min(1).optional(),
  maxOutput: z
    .int()
    .min(1)
    .max(1024 * 1024)
    .default(64 * 1024),
  inputSchema: z.unknown().optional(),
  approve: z
    .strictObject({
      when: aFunction.optional(),
      assignee: z.string().optional(),
      deadline: z.number().optional(),
      by: aFunction.optional(),
    })
    .optional(),
  retry: z.looseObject({}).optional(),
  verify: aFunction.optional(),
  run: aFunction,
});

/**
 * Describes something that a model may do.
 *
 * What `run` throws is told to the model. A tool that changes something and cannot know whether it has should throw an `AiError`
 * with the code `ai.outcome_unknown`: that counts as cut off. Once its `run` has returned it was done: what does not fit `output`
 * or is too large then is told to the model, and is an error only of a tool that reads.
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
  const raw = checked(rest as unknown as Unchecked);
  return toolOf(
    { ...raw, inputSchema: argumentsSchema(input) },
    (args) => input.safeParse(args),
    (gave) => (output ? output.parse(gave) : gave),
  );
}

/**
 * The same for one whose arguments are described by a JSON Schema and checked elsewhere, as those of an MCP server are.
 *
 * @throws `ai.bad_option`
 */
export function rawTool(options: RawToolOptions): DefinedTool {
  return toolOf(checked(options), (args) => z.record(z.string(), z.json()).safeParse(args));
}

type Check = (args: Json) => z.ZodSafeParseResult<unknown>;

type Unchecked = Omit<RawToolOptions, "inputSchema">;

function checked<Given extends Unchecked>(given: Given): Given & { maxOutput: number } {
  const parsed = Options.safeParse(given);
  if (parsed.success) return { ...given, maxOutput: parsed.data.maxOutput };
  throw new AiError({ code: "ai.bad_option", message: `a tool: ${z.prettifyError(parsed.error)}` });
}

function toolOf(options: Use["options"], check: Check, fits: Fits = (gave) => gave): DefinedTool {
  const { name, description, effect, inputSchema } = options;
  return Object.freeze({
    name,
    description,
    effect,
    input: inputSchema,
    call: (ctx: Context, call: ToolCall) => use(ctx, call, { options, check, fits }),
  });
}

type Description = Pick<Use, "options" | "fits"> & { check: Check };

async function use(ctx: Context, call: ToolCall, { options, check, fits }: Description): Promise<Json> {
  const { name, effect, approve } = options;
  const parsed = check(call.args); // E4
  if (!parsed.success) throw await refused(ctx, name, z.prettifyError(parsed.error), call.args);
  const args = parsed.data as Json;
  const idempotencyKey = `${ctx.key}/${name}/${call.id}`;
  const binding = hashOf(canonicalJson({ name, args: asSent(args), key: idempotencyKey }));
  const one: Use = { ctx, options, fits, args, binding, idempotencyKey };
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
