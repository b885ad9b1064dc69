// The tables of memory. They are none of the runtime's: they have a history of migrations of their own, in the same database.

import { defineAnalyzer, defineTable, fullText, index } from "@sentient/schema";
import { z } from "zod";

const words = defineAnalyzer({
  name: "memory_words",
  tokenizers: ["blank", "class", "camel", "punct"],
  filters: ["lowercase", "ascii", { snowball: "english" }],
});

/** Something worth knowing later. */
const Memory = z.object({
  /** A hash of its words and of whose it is: who says the same again says the same memory. */
  id: z.string(),
  text: z.string(),
  agent: z.string().optional(),
  thread: z.string().optional(),
  tags: z.array(z.string()),
  /** From 0 to 1. */
  importance: z.number(),
  /** When it was first said. */
  at: z.date(),
  /** When it was last said or recalled. */
  usedAt: z.date(),
  /** How often it was said, and recalled. */
  said: z.int(),
  recalled: z.int(),
  /** How often vectors were made of it after it was said, for another embedder. */
  embedded: z.int(),
});

export const memoryTable = defineTable({
  name: "memory",
  schema: Memory,
  asserts: false,
  indexes: {
    byText: fullText("text", { analyzer: words }),
    byAgent: index("agent"),
    byThread: index("thread"),
    byUse: index("usedAt"),
  },
  comment: "something worth knowing later",
});

export const sourceTable = defineTable({
  name: "memory_source",
  schema: z.object({
    id: z.string(),
    name: z.string(),
    /** When it was first named, and how often it was. */
    at: z.date(),
    said: z.int(),
  }),
  asserts: false,
  comment: "what memories and messages stand on: a file, a page, a person, a run",
});

export const tagTable = defineTable({
  name: "memory_tag",
  schema: z.object({ id: z.string() }),
  asserts: false,
  comment: "what memories are about; its edges say it, and it has no rows",
});

export const threadTable = defineTable({
  name: "memory_thread",
  schema: z.object({
    id: z.string(),
    /** How many messages were ever said in it. */
    head: z.int(),
  }),
  asserts: false,
  comment: "a conversation",
});

export const messageTable = defineTable({
  name: "memory_message",
  schema: z.object({
    /** A hash of the step that said it, and of what it said. */
    id: z.string(),
    thread: z.string(),
    /** Its place in the thread: 1, 2, 3 … */
    n: z.int(),
    role: z.string(),
    /** All of the message, as JSON. */
    message: z.string(),
    at: z.date(),
  }),
  asserts: false,
  indexes: { byThread: index("thread", "n") },
  comment: "what was said in a thread",
});

export const fromTable = defineTable({
  name: "memory_from",
  schema: z.object({
    /** The step that said so; none if it was imported. */
    run: z.string().optional(),
    step: z.string().optional(),
    at: z.date(),
  }),
  asserts: false,
  relation: { in: ["memory", "memory_message"], out: "memory_source", enforced: false },
  indexes: { byOut: index("out") },
  comment: "a memory or a message stands on a source, as a step said",
});

export const toldTable = defineTable({
  name: "memory_told",
  schema: z.object({}),
  asserts: false,
  relation: { in: "memory", out: "memory_message", enforced: false },
  indexes: { byOut: index("out") },
  comment: "a memory was taken from a message",
});

export const taggedTable = defineTable({
  name: "memory_tagged",
  schema: z.object({}),
  asserts: false,
  relation: { in: "memory", out: "memory_tag", enforced: false },
  indexes: { byOut: index("out") },
  comment: "a memory is about something",
});

export const gaveTable = defineTable({
  name: "memory_gave",
  schema: z.object({ step: z.string(), at: z.date() }),
  asserts: false,
  relation: { in: "run", out: ["memory", "memory_message"], enforced: false },
  comment: "a step of a run said it",
});

export const recalledTable = defineTable({
  name: "memory_recalled",
  schema: z.object({ at: z.date() }),
  asserts: false,
  relation: { in: "memory", out: "run", enforced: false },
  comment: "a run was told of a memory",
});

export const embedderTable = defineTable({
  name: "memory_embedder",
  schema: z.object({
    /** The name of the table with its vectors. */
    id: z.string(),
    name: z.string(),
    dimension: z.int(),
  }),
  asserts: false,
  comment: "whose vectors there are of memories",
});
