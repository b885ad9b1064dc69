// Agents as tools. Owns: what a model may have others do, and whom it may hand over to.
// Each is a run of its own, with its own journal, whose events lead back to this one.

import type {
  ByCapability,
  Context,
  Definition,
  InputOf,
  Message,
  Tool,
  ToolCall,
} from "@sentient/agent-core";
import type { Json } from "@sentient/schema";
import { z } from "zod";
import { argumentsSchema, fittingArguments } from "./arguments.ts";
import { AssistantInput, AssistantPrompt } from "./assistant.ts";
import { AiError } from "./errors.ts";
import { threadOf } from "./thread-of.ts";

export interface AgentToolOptions<Input> {
  /** As models are told: the agent's own if left out. */
  name?: string;
  description?: string;
  /**
   * What the agent gets, of what the model has said and of what was said before: the arguments if left out. An assistant that uses
   * the tool is asked in a thread, if one was named; a model never names one.
   */
  input?: (args: Json, messages: readonly Message[], thread: string | undefined) => Input;
}

/**
 * An agent as a tool: the model says what it is to do, and hears what it gives.
 *
 * @throws `ai.bad_option` for an agent without a description or an input schema
 * @example const tools = [agentTool(searcher), agentTool(writer, { description: "Writes the report." })];
 */
export function agentTool<D extends Definition>(agent: D, options: AgentToolOptions<InputOf<D>> = {}): Tool {
  return toolFor(agent, options, (ctx, input) => ctx.call(agent as Definition<Json, Json>, input));
}

/**
 * Hands over to another agent: the conversation ends, and what that agent gives is its answer.
 *
 * @throws `ai.bad_option` for an agent without a description or an input schema
 * @example const tools = [handoffTool(billing), handoffTool(support)];
 * @example handoffTool(billing, { input: (args, _, thread) => ({ prompt: (args as { task: string }).task, thread }) });
 */
export function handoffTool<D extends Definition>(
  agent: D,
  options: AgentToolOptions<InputOf<D>> = {},
): Tool {
  const { name = `transfer_to_${agent.name}` } = options;
  const tool = toolFor(agent, { ...options, name }, (ctx, input) =>
    ctx.handoff(agent as Definition<Json, Json>, input),
  );
  return { ...tool, ends: true };
}

export interface CapabilityToolOptions {
  name: string;
  description: string;
  /** What whoever does it must be able to do: whoever is the least busy then does it. */
  capabilities: readonly string[];
  input: z.ZodType;
}

/**
 * Something that whichever agent does it that can: in whatever process, of whatever name.
 *
 * @example capabilityTool({ name: "search", description: "Searches the web.", capabilities: ["search"], input: z.object({ words: z.string() }) });
 */
export function capabilityTool({ capabilities, input, name, description }: CapabilityToolOptions): Tool {
  const who: ByCapability = { capabilities };
  const tool = nameOf(name);
  return {
    name: tool,
    description,
    input: argumentsSchema(input),
    call: async (ctx, { args }) => {
      await fittingArguments(ctx, tool, input, args); // whoever starts the run parses them
      return ctx.call(who, args);
    },
  };
}

type Perform = (ctx: Context, input: Json) => Promise<Json>;

function toolFor<D extends Definition>(
  agent: D,
  options: AgentToolOptions<InputOf<D>>,
  perform: Perform,
): Tool {
  const { name = agent.name, description = agent.description, input } = options;
  const { input: whole } = agent.schemas;
  const schema = whole === AssistantInput ? AssistantPrompt : whole;
  if (description === undefined)
    throw bad(`the agent ${agent.name} has no description; a model cannot know when to use it`);
  if (schema === undefined && !input)
    throw bad(`the agent ${agent.name} has no input schema; give it one, or say its \`input\``);
  const tool = nameOf(name);
  return {
    name: tool,
    description,
    input: schema && !input ? argumentsSchema(schema) : FREE,
    call: async (ctx, { args, messages }: ToolCall) => {
      if (input) return perform(ctx, input(args, messages, threadOf(ctx)) as Json);
      await fittingArguments(ctx, tool, schema!, args); // whoever starts the run parses them
      return perform(ctx, args);
    },
  };
}

/** What to do, in words. */
const FREE = argumentsSchema(
  z.object({ task: z.string().describe("what it is to do, and all it has to know") }),
);

/** Models take no dots and colons in names. */
function nameOf(name: string): string {
  return name.replaceAll(/[^a-zA-Z0-9_-]/g, "_").slice(0, 64);
}

function bad(why: string): AiError {
  return new AiError({ code: "ai.bad_option", message: `a tool: ${why}` });
}
