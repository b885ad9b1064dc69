// A tool that takes money.

import { z } from "zod";
import { defineTool, type ToolOptions } from "../../src/index.ts";

const Amount = z.object({ cents: z.int().min(1) });

/** Takes money, and keeps a book of it. */
export function charging(more: Partial<ToolOptions<typeof Amount, z.ZodType<string>>> = {}) {
  const book: string[] = [];
  const tool = defineTool({
    name: "charge",
    description: "takes money",
    effect: "write",
    input: Amount,
    output: z.string(),
    run: ({ cents }, { idempotencyKey }) => {
      book.push(idempotencyKey);
      return `took ${cents}`;
    },
    ...more,
  });
  return { tool, book };
}
