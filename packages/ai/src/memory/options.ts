// What memory is asked, checked; and how large it may be.

import type { Message } from "@sentient/agent-core";
import { z } from "zod";
import { AiError } from "../errors.ts";

/** Of a memory, in bytes of UTF-8. */
const MOST_TEXT = 16 * 1_024;
/** Of a message, in bytes of its JSON. */
export const MOST_MESSAGE = 64 * 1_024;

const key = z.string().min(1).max(256);
const Tags = z.array(z.string().min(1).max(128)).max(32);
const Sources = z.array(z.string().min(1).max(2_048)).max(32);

/** Something to know later. */
export interface NewMemory {
  /** At most 16 KiB. */
  text: string;
  /** Whose it is; nobody's in particular, if left out. */
  agent?: string | undefined;
  /** Of which conversation. */
  thread?: string | undefined;
  /** What it is about: topics, names, at most 32. */
  tags?: readonly string[] | undefined;
  /** What it stands on: files, pages, people. The run that says it, if left out. */
  sources?: readonly string[] | undefined;
  /** The messages it was taken from, by their ids; it stands on their sources too. */
  messages?: readonly string[] | undefined;
  /** From 0 to 1: 0.5 if left out. What matters entirely is never too old. */
  importance?: number | undefined;
}

const NewMemory = z.strictObject({
  text: z.string().regex(/\S/u, "it says nothing"),
  agent: key.optional(),
  thread: key.optional(),
  tags: Tags.default([]),
  sources: Sources.default([]),
  messages: z
    .array(z.string().regex(/^[0-9a-f]{32}$/, "no id of a message"))
    .max(32)
    .default([]),
  importance: z.number().min(0).max(1).default(0.5),
});
export type CheckedMemory = z.output<typeof NewMemory>;

/** What is looked for. */
export interface Query {
  query: string;
  /** How many hits at most, up to 50: 10 if left out. */
  limit?: number | undefined;
  /** Those of this agent alone; `null` for nobody's. */
  agent?: string | null | undefined;
  /** Those of this conversation alone; `null` for those of none. */
  thread?: string | null | undefined;
  /** Besides those of the agent those that are nobody's, and besides those of the conversation those of none. */
  shared?: boolean | undefined;
  /** Said then or later. */
  after?: Date | undefined;
  /** Said before then. */
  before?: Date | undefined;
  /** With all of these. */
  tags?: readonly string[] | undefined;
}

const Query = z.strictObject({
  query: z.string().min(1).max(MOST_TEXT),
  limit: z.int().min(1).max(50).default(10),
  agent: key.nullable().optional(),
  thread: key.nullable().optional(),
  shared: z.boolean().default(false),
  after: z.date().optional(),
  before: z.date().optional(),
  tags: Tags.default([]),
});
export type CheckedQuery = z.output<typeof Query>;

const Options = z.strictObject({
  embedder: z
    .looseObject({
      name: z.string().regex(/^[A-Za-z0-9][\w.:/-]{0,63}$/, "letters, digits and . _ : / - only, at most 64"),
      dimension: z.int().min(1).max(4_096),
    })
    .optional(),
  halfLife: z
    .number()
    .min(1)
    .default(30 * 86_400_000),
});

export const checkedMemory = (memory: NewMemory): CheckedMemory => {
  const checked = parsed(NewMemory, memory, "a memory");
  return requireSize(checked, "a memory", Buffer.byteLength(checked.text), MOST_TEXT);
};
export const checkedQuery = (query: Query): CheckedQuery =>
  parsed(Query, query, "what is looked for in memory");
export const checkedOptions = (options: { embedder?: unknown; halfLife?: number | undefined }) =>
  parsed(Options, options, "createMemory");
export const checkedKey = (value: string, what: string): string => parsed(key, value, what);
export const checkedSources = (sources: readonly string[]): string[] =>
  parsed(Sources, sources, "the sources of what is said");

/** As it is kept. @throws `ai.memory_too_large` */
export function textOf(message: Message): string {
  const text = JSON.stringify(message);
  return requireSize(text, "a message", Buffer.byteLength(text), MOST_MESSAGE);
}

function requireSize<T>(value: T, what: string, bytes: number, most: number): T {
  if (bytes <= most) return value;
  throw new AiError({
    code: "ai.memory_too_large",
    message: `${what} of ${bytes} bytes is larger than ${most}; keep it elsewhere and remember where, or say it in parts`,
    details: { bytes, most },
  });
}

/** @throws `ai.bad_option` */
export function parsed<T extends z.ZodType>(schema: T, value: unknown, what: string): z.output<T> {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  throw new AiError({ code: "ai.bad_option", message: `${what}: ${z.prettifyError(error)}`, cause: error });
}
