// Approval. Owns: a person's word on one use of a tool.
// P1. It is bound to what is done: the tool, its arguments, the run and the very use of it. Another binding is no answer.
// P2. It holds once: each use asks anew.
// P3. Whoever acts does not approve: not the run, not its agent, and nobody who speaks for an agent.
// P4. Who approves is shown all that it is bound to; what is too long for that is not done.

import type { Json } from "@sentient/schema";
import { z } from "zod";
import { AiError } from "./errors.ts";
import { refused, type Use } from "./use.ts";

export interface ApprovalOptions<Args = Json> {
  /** Whether these arguments need a person, for a tool that does not always. */
  when?: (args: Args) => boolean;
  /** Whose it is to answer. */
  assignee?: string;
  /** How long there is to answer, in milliseconds; then it is a no. */
  deadline?: number;
  /** Who may approve, beside P3: everybody if left out. */
  by?: (person: string) => boolean;
}

/** How often somebody may answer who may not. */
const MOST_ANSWERS = 3;
/** Of a question, in characters. */
const MOST_TEXT = 16_384;
/** Of the binding, which a person may have to copy. */
const BINDING_LENGTH = 16;
/** Those who speak for an agent say so. */
const SPEAKS_FOR_AGENT = /^(?:agent|run|mcp|tool|model):/i;

/**
 * Asks a person, and returns once there is a yes.
 *
 * @throws `ai.denied`; `ai.refused` for arguments that are too long to be shown
 */
export async function approved(use: Use): Promise<void> {
  const { ctx, options, args } = use;
  const { name, effect, approve = {} } = options;
  const binding = use.binding.slice(0, BINDING_LENGTH);
  const shown = JSON.stringify(args);
  const text = `May ${ctx.run.name} use ${name} (${effect}) with ${shown}? Answer with the binding ${binding}.`;
  if (text.length > MOST_TEXT) throw await refused(ctx, name, tooLong(shown), args); // P4
  const schema = z.object({
    approve: z.boolean(),
    /** Says what is approved. */
    binding: z.literal(binding),
    note: z.string().max(1_024).optional(),
  });
  for (let answers = 0; answers < MOST_ANSWERS; answers++) {
    const answer = await ctx.ask(`approve:${name}`, {
      text,
      schema,
      ...(approve.assignee === undefined ? {} : { assignee: approve.assignee }),
      ...(approve.deadline === undefined ? {} : { deadline: approve.deadline }),
      onTimeout: { approve: false, binding },
    });
    const { value, by } = answer;
    const why = value.note === undefined ? "" : `: ${value.note}`;
    if (!value.approve)
      throw await denied(use, by === undefined ? "nobody answered in time" : `${by} said no${why}`);
    const problem = problemWith(by, use);
    if (problem === undefined) return ctx.emit("tool.approved", { tool: name, by: by!, binding });
    await refused(ctx, name, problem, args);
  }
  throw await denied(use, `${MOST_ANSWERS} answers came from who may not approve it`);
}

function tooLong(shown: string): string {
  return `its arguments of ${shown.length} characters cannot be shown to who approves it; make them shorter`;
}

/** P3. */
function problemWith(by: string | undefined, { ctx, options }: Use): string | undefined {
  if (by === undefined || by === "") return "nobody is named who approves it";
  const { id, name, parent, root } = ctx.run;
  if ([id, name, parent, root].includes(by) || SPEAKS_FOR_AGENT.test(by))
    return `${by} acts, and may not approve`;
  if (options.approve?.by && !options.approve.by(by)) return `${by} may not approve`;
  return undefined;
}

async function denied({ ctx, options, args }: Use, why: string): Promise<AiError> {
  await refused(ctx, options.name, why, args);
  return new AiError({ code: "ai.denied", message: `${options.name} was not approved: ${why}` });
}
