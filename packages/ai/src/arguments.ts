// The arguments of a tool: how a model is told of them, and whether it has said what fits.

import type { Context } from "@sentient/agent-core";
import type { Json } from "@sentient/schema";
import { z } from "zod";
import { AiError } from "./errors.ts";
import { refused } from "./use.ts";

/** @throws `ai.bad_option` for what a model cannot be told */
export function argumentsSchema(schema: z.ZodType): Json {
  try {
    return z.toJSONSchema(schema, { io: "input" }) as Json;
  } catch (cause) {
    throw new AiError({
      code: "ai.bad_option",
      message: `a tool: no model can be told what its input is: ${(cause as Error).message}; take a schema of what JSON has, such as z.iso.datetime() for a time`,
      cause,
    });
  }
}

/** @throws `ai.refused`, told to the log as well, for what does not fit */
export async function fittingArguments<T extends z.ZodType>(
  ctx: Context,
  tool: string,
  schema: T,
  args: Json,
): Promise<z.output<T>> {
  const result = schema.safeParse(args);
  if (result.success) return result.data;
  throw await refused(ctx, tool, z.prettifyError(result.error), args);
}
