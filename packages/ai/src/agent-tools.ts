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
import { AiError } from "./errors.ts";

export interface AgentToolOptions<Input> {
  /** As models are told: the agent's own if left out. */
  name?: string;
  description?: string;
  /** What the agent gets, of what the model has said and of what was said before: the arguments if left out. */
  input?: (args: Json, messages: readonly Message[]) => Input;
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
  return {
    name: nameOf(name),
    description,
    input: z.toJSONSchema(input, { io: "input" }) as Json,
    call: (ctx, { args }) => ctx.call(who, parsed(input, args) as Json),
  };
}

type Perform = (ctx: Context, input: Json) => Promise<Json>;

function toolFor<D extends Definition>(
  agent: D,
  options: AgentToolOptions<InputOf<D>>,
  perform: Perform,
): Tool {
  const { name = agent.name, description = agent.description, input } = options;
  const schema = agent.schemas.input;
  if (description === undefined)
    throw bad(`the agent ${agent.name} has no description; a model cannot know when to use it`);
  if (schema === undefined && !input)
    throw bad(`the agent ${agent.name} has no input schema; give it one, or say its \`input\``);
  const given = schema && !input ? z.toJSONSchema(schema, { io: "input" }) : FREE;
  return {
    name: nameOf(name),
    description,
    input: given as Json,
    call: (ctx, { args, messages }: ToolCall) =>
      perform(ctx, (input ? input(args, messages) : parsed(schema!, args)) as Json),
  };
}

/** What to do, in words. */
const FREE = z.toJSONSchema(
  z.object({ task: z.string().describe("what it is to do, and all it has to know") }),
);

function parsed(schema: z.ZodType, args: Json): unknown {
  const result = schema.safeParse(args);
  if (result.success) return args; // whoever starts the run parses it
  throw new AiError({ code: "ai.refused", message: z.prettifyError(result.error) });
}

/** Models take no dots and colons in names. */
function nameOf(name: string): string {
  return name.replaceAll(/[^a-zA-Z0-9_-]/g, "_").slice(0, 64);
}

function bad(why: string): AiError {
  return new AiError({ code: "ai.bad_option", message: `a tool: ${why}` });
}
