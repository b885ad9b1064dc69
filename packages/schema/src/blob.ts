import { z } from "zod";
import { Hash, RunId } from "./ids.ts";
import { bytes } from "./surreal-values.ts";
import { defineTable } from "./table.ts";

/** Content that is too large for a row of its own kind, stored once under its hash. */
export const Blob = z.object({
  id: Hash,
  size: z.int().min(0),
  content: bytes(),
  createdAt: z.date(),
});
export type Blob = z.infer<typeof Blob>;

/** A run refers to a blob, which goes with the last one that does. */
export const BlobUse = z.object({ id: z.tuple([Hash, RunId]) });
export type BlobUse = z.infer<typeof BlobUse>;

export const blobUseTable = defineTable({
  name: "blob_use",
  schema: BlobUse,
  types: false,
  comment: "a run refers to a blob",
});

export const blobTable = defineTable({
  name: "blob",
  schema: Blob,
  comment: "large content, stored once by its hash",
});
