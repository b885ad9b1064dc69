// The tables of the index. They are none of the runtime's: an application has tables of its own beside them.

import { defineAnalyzer, defineTable, fullText, index, vector } from "@sentient/schema";
import { z } from "zod";
import { DIMENSION } from "./embedding.ts";

const words = defineAnalyzer({
  name: "research_words",
  tokenizers: ["blank", "class", "camel", "punct"],
  filters: ["lowercase", "ascii", { snowball: "english" }],
});

/** A file, as it was when it was last read. */
const Source = z.object({
  library: z.string(),
  file: z.string(),
  hash: z.string(),
  passages: z.int().min(0),
});

export const sourceTable = defineTable({
  name: "research_source",
  schema: Source,
  indexes: { byFile: index("library", "file") },
  comment: "a file that was read for research",
});

/** Some lines of a file that belong together. */
export const Passage = z.object({
  /** Of which folder: one database may hold several. */
  library: z.string(),
  file: z.string(),
  /** Lines, from 1 on, both included. */
  from: z.int().min(1),
  to: z.int().min(1),
  /** The headings above it. */
  heading: z.string(),
  text: z.string(),
  /** Which way it points; missing if it has no words. */
  embedding: z.array(z.number()).optional(),
});
export type Passage = z.infer<typeof Passage>;

export const passageTable = defineTable({
  name: "research_passage",
  schema: Passage,
  asserts: false, // each number of each embedding would be asked for
  indexes: {
    byFile: index("library", "file"),
    byText: fullText("text", { analyzer: words }),
    near: vector("embedding", { dimension: DIMENSION, efConstruction: 64, m: 8 }),
  },
  comment: "lines of a file that belong together",
});
