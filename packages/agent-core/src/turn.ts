// Conversing. Owns: the loop in which a model speaks and its tools answer, written with nothing but what a handler has.
// V1. Each turn of the model is a step, and each use of a tool is whatever the tool makes of it: so what was said and done before
//     a crash is neither asked for nor done again.
// V2. What a model says is data from outside. It uses the tools that it was told of and no other; what is wrong with a call is told
//     to it, and to the log; nothing it says changes what it may do.
// V3. It ends: after so many turns, whatever the model says.

import type { Json } from "@sentient/schema";
import { z } from "zod";
import type { Context, RunInfo, StepContext } from "./context.ts";
import { AgentError, checked } from "./errors.ts";
import { meterOf } from "./metering.ts";
import type { Message, Model, Tool, ToolCallPart, ToolResultPart, Turn, Usage } from "./model.ts";
import { RetryPolicy } from "./retry.ts";
import { addUsage, NO_USAGE, parsedBy, saidBy, shortened, textOf, toolCallsOf, type Said } from "./said.ts";

/** What a turn is about to be asked in, for who counts what it costs. */
export interface Metered {
  run: RunInfo;
  step: StepContext;
  turn: Turn;
}

/** What a turn is held to besides. */
export interface Bounds {
  /** In tokens. */
  maxOutput?: number;
  /** Ends the request. */
  signal?: AbortSignal;
}

/** Stands around each turn of a model: it may refuse to ask, and knows what was used. */
export type Meter = (metered: Metered, ask: (bounds?: Bounds) => Promise<Said>) => Promise<Said>;

/** How far a conversation is. */
export interface SoFar {
  turns: number;
  messages: readonly Message[];
  usage: Usage;
}

export interface ConverseOptions<Output extends z.ZodType = z.ZodType> {
  model: Model;
  instructions?: string;
  /** What is said to it; or `messages`, if more was said before. */
  prompt?: string;
  messages?: readonly Message[];
  tools?: readonly Tool[];
  /** Which its answer fits, as JSON: it is told what does not, and asked again, twice. */
  output?: Output;
  /** Turns of the model at most: 20 if left out. */
  maxTurns?: number;
  /** Ends it after a turn. To be said from what it is given alone, as it is asked again at each replay. */
  stopWhen?: (soFar: SoFar) => boolean;
  /** Tools at once: 10 if left out. */
  concurrency?: number;
  /** In tokens, of one turn. */
  maxOutput?: number;
  temperature?: number;
  /** Of each turn, where it differs from the policy of the agent. */
  retry?: RetryPolicy;
  /** Of each attempt of a turn, in milliseconds. */
  timeout?: number;
  /** Counts what it costs, as a budget does: that of the runtime if left out. */
  meter?: Meter;
}

/** Why a conversation ended: `tool` where a tool has ended it, `turns` where it had no more, `stopped` by `stopWhen`. */
export type ConversationEnd = "stop" | "length" | "content-filter" | "other" | "tool" | "turns" | "stopped";

export interface Conversation<Output> {
  /** What fits the schema, or what was said last; where a tool has ended it, what that gave. */
  output: Output;
  text: string;
  /** Everything that was said, with what was said before. */
  messages: Message[];
  turns: number;
  usage: Usage;
  end: ConversationEnd;
}

const ROLES: unknown[] = ["user", "assistant", "tool"];

const isPart = (part: unknown) => typeof (part as { type?: unknown } | null)?.type === "string";

function isMessage(value: unknown): boolean {
  const { role, content } = (value ?? {}) as Partial<Message>;
  return ROLES.includes(role) && Array.isArray(content) && content.every(isPart);
}

const Options = z.strictObject({
  model: z.custom<Model>((value) => typeof value === "function", "a model, which is a function"),
  instructions: z.string().optional(),
  prompt: z.string().optional(),
  messages: z
    .array(z.custom<Message>(isMessage, 'a message, as { role: "user", content: [{ type: "text", text }] }'))
    .readonly()
    .optional(),
  tools: z.array(z.custom<Tool>()).readonly().default([]),
  output: z.custom<z.ZodType>((value) => value instanceof z.ZodType, "a zod schema").optional(),
  maxTurns: z.int().min(1).max(1_000).default(20),
  stopWhen: z.custom<(soFar: SoFar) => boolean>((value) => typeof value === "function").optional(),
  concurrency: z.int().min(1).max(1_000).default(10),
  maxOutput: z.int().min(1).optional(),
  temperature: z.number().min(0).optional(),
  retry: RetryPolicy.optional(),
  timeout: z.int().min(1).optional(),
  meter: z.custom<Meter>((value) => typeof value === "function").optional(),
});
type Checked = z.output<typeof Options>;

/** How often a model is told that its answer does not fit. */
const MOST_REPAIRS = 2;
/** What one turn of a model may ask for. */
const MOST_CALLS = 64;

/**
 * Has a model answer, with tools.
 *
 * Each turn streams its pieces as chunks of its step: `{ type: "text", text }`, `{ type: "reasoning", text }` and
 * `{ type: "tool-call", id, name, args }`; each result is a chunk `{ type: "tool-result", id, name, output, isError? }`.
 * Each turn tells `model.turn` with what was used, and what was refused to the model is told as `tool.refused`.
 *
 * @throws `agent.no_output` if what it says does not fit the schema; `agent.bad_option`; what a turn fails with
 * @example const { output } = await converse(ctx, { model, prompt: "Is 7 a prime?", output: z.object({ isPrime: z.boolean() }) });
 */
export async function converse<Output extends z.ZodType>(
  ctx: Context,
  options: ConverseOptions<Output> & { output: Output },
): Promise<Conversation<z.output<Output>>>;
export async function converse(ctx: Context, options: ConverseOptions): Promise<Conversation<Json>>;
export async function converse(ctx: Context, given: ConverseOptions): Promise<Conversation<unknown>> {
  const options = checkedOptions(given);
  const messages = begun(options);
  let usage = NO_USAGE;
  let repairs = 0;
  for (let turns = 1; ; turns++) {
    const said = await speak(ctx, options, [...messages]);
    messages.push(said.message);
    usage = addUsage(usage, said.usage);
    const text = textOf(said.message);
    const ended = (end: ConversationEnd, output: unknown = outputOf(options, text, end)) =>
      ({ output, text, messages, turns, usage, end }) as const;

    const calls = toolCallsOf(said.message);
    if (calls.length > 0) {
      const results = await useTools(ctx, options, calls, [...messages]);
      messages.push({ role: "tool", content: results });
      const last = results.find(({ name, isError }) => !isError && toolOf(options, name)?.ends);
      if (last) return ended("tool", last.output);
    } else {
      const problem = options.output && problemOf(options.output, text);
      if (problem === undefined) return ended(said.reason === "tool-calls" ? "other" : said.reason);
      if (said.reason === "length" || ++repairs > MOST_REPAIRS) throw noOutputError(problem, text);
      messages.push(saying(`That does not fit: ${problem}\nAnswer with JSON that does, and nothing else.`));
    }
    if (options.stopWhen?.({ turns, messages, usage })) return ended("stopped");
    if (turns >= options.maxTurns) return ended("turns");
  }
}

function checkedOptions(given: ConverseOptions): Checked {
  const options = checked(Options, given, "a conversation");
  const names = options.tools.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice === undefined) return options;
  throw new AgentError({
    code: "agent.bad_option",
    message: `a conversation: two tools are called ${twice}; give one of them another name`,
  });
}

function begun({ prompt, messages = [] }: Checked): Message[] {
  if (prompt === undefined && messages.length === 0)
    throw new AgentError({
      code: "agent.bad_option",
      message: "a conversation: nothing is said to the model; give it a prompt, or messages",
    });
  return [...messages, ...(prompt === undefined ? [] : [saying(prompt)])];
}

const saying = (text: string): Message => ({ role: "user", content: [{ type: "text", text }] });

/** V1. */
async function speak(ctx: Context, options: Checked, messages: readonly Message[]): Promise<Said> {
  const { model, instructions, tools, output, maxOutput, temperature, retry, timeout } = options;
  const { meter = meterOf(ctx) } = options;
  const said = await ctx.step(
    "model",
    async (step): Promise<Said> => {
      const turn: Turn = {
        messages,
        tools: tools.map(({ name, description, input }) => ({ name, description, input })),
        idempotencyKey: step.idempotencyKey,
        ...(instructions === undefined ? {} : { instructions }),
        ...(output ? { output: z.toJSONSchema(output, { io: "input" }) as Json } : {}),
        ...(maxOutput === undefined ? {} : { maxOutput }),
        ...(temperature === undefined ? {} : { temperature }),
      };
      const ask = ({ maxOutput: most, signal }: Bounds = {}) =>
        saidBy(
          model(
            most === undefined ? turn : { ...turn, maxOutput: most },
            signal ? AbortSignal.any([step.signal, signal]) : step.signal,
          ),
          step.chunk,
        );
      const answer = await (meter ? meter({ run: ctx.run, step, turn }, ask) : ask());
      const { reason, usage, model: name, warnings } = answer;
      step.emit("model.turn", {
        reason,
        usage: { ...usage },
        ...(name ? { model: name } : {}),
        ...(warnings ? { warnings } : {}),
      });
      return answer;
    },
    { ...(retry ? { retry } : {}), ...(timeout === undefined ? {} : { timeout }) },
  );
  return said;
}

function useTools(
  ctx: Context,
  options: Checked,
  calls: readonly ToolCallPart[],
  messages: readonly Message[],
): Promise<ToolResultPart[]> {
  const { concurrency } = options;
  return ctx.map(
    calls,
    async (branch, call, index) => {
      const result = await useTool(branch, options, { call, index, messages });
      branch.chunk({ ...result, output: shortened(result.output) });
      return result;
    },
    { name: "tools", concurrency },
  );
}

interface Use {
  call: ToolCallPart;
  index: number;
  messages: readonly Message[];
}

async function useTool(ctx: Context, options: Checked, { call, index, messages }: Use) {
  const { id, name, args } = call;
  const tool = toolOf(options, name);
  try {
    if (index >= MOST_CALLS) throw await refused(ctx, call, `a turn may use ${MOST_CALLS} tools`);
    if (!tool) throw await refused(ctx, call, `there is no tool ${name}; ${namesOf(options)}`);
    const output = await tool.call(ctx, { id, args, messages });
    return { type: "tool-result", id, name, output } satisfies ToolResultPart;
  } catch (error) {
    if (ctx.signal.aborted) throw error;
    return { type: "tool-result", id, name, output: toldOf(error), isError: true } satisfies ToolResultPart;
  }
}

/** V2. */
async function refused(ctx: Context, { name, args }: ToolCallPart, why: string): Promise<Error> {
  await ctx.emit("tool.refused", {
    tool: name.slice(0, 256),
    why,
    args: JSON.stringify(args).slice(0, 1_024),
  });
  return new Error(why);
}

function toolOf({ tools }: Checked, name: string): Tool | undefined {
  return tools.find((tool) => tool.name === name);
}

function namesOf({ tools }: Checked): string {
  return tools.length === 0 ? "there are none" : `there are: ${tools.map(({ name }) => name).join(", ")}`;
}

/** For the model: what went wrong, and no more of it. */
function toldOf(error: unknown): Json {
  const { message, code } = error as { message?: string; code?: unknown };
  return { error: String(message ?? error).slice(0, 4_096), ...(typeof code === "string" ? { code } : {}) };
}

function outputOf({ output }: Checked, text: string, end: ConversationEnd): unknown {
  if (!output) return text;
  const parsed = parsedBy(output, text);
  if ("output" in parsed) return parsed.output;
  throw noOutputError(`${parsed.problem}, and it ended (${end})`, text);
}

function problemOf(output: z.ZodType, text: string): string | undefined {
  const parsed = parsedBy(output, text);
  return "problem" in parsed ? parsed.problem : undefined;
}

function noOutputError(problem: string, text: string): AgentError {
  return new AgentError({
    code: "agent.no_output",
    message: `the model gave no answer that fits its schema: ${problem}; loosen the schema, or say in the instructions what is meant`,
    details: { said: text.slice(0, 1_024) },
  });
}
