// The arguments of a tool: how a model is told of them, and whether it has said what fits.

import type { Context } from "@sentient/agent-core";
import type { Json } from "@sentient/schema";
import { z } from "zod";
import { refused } from "./use.ts";

export function argumentsSchema(schema: z.ZodType): Json {
  return z.toJSONSchema(schema, { io: "input" }) as Json;
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
