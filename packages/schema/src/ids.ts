// Ids. Owns: what names a thing, declared once, and checked wherever one comes in.

import { createHash } from "node:crypto";
import { z } from "zod";

const ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;
const NOT_AN_ID = "letters, digits and . _ : - only, beginning with a letter or digit, at most 128";

const id = z.string().regex(ID, NOT_AN_ID);

export const RunId = id.brand<"RunId">();
export type RunId = z.infer<typeof RunId>;

export const EventId = id.brand<"EventId">();
export type EventId = z.infer<typeof EventId>;

export const WorkerId = id.brand<"WorkerId">();
export type WorkerId = z.infer<typeof WorkerId>;

export const ProducerId = id.brand<"ProducerId">();
export type ProducerId = z.infer<typeof ProducerId>;

/** The name of an agent, a workflow, a queue, a consumer, a schedule, a signal, a checkpoint. */
export const Name = id.brand<"Name">();
export type Name = z.infer<typeof Name>;

export const Version = id.brand<"Version">();
export type Version = z.infer<typeof Version>;

/** `scope/name#n`: where in its run a step, a question or a stream stands. The same on every replay. */
export const StepKey = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:/#-]{0,511}$/, "letters, digits and . _ : / # - only, at most 512")
  .brand<"StepKey">();
export type StepKey = z.infer<typeof StepKey>;

/** An event's place in the log of its database: 1, 2, 3 … */
export const Position = z.int().min(1).brand<"Position">();
export type Position = z.infer<typeof Position>;

/** A rising number that says which lease is the last one granted. */
export const Token = z.int().min(0).brand<"Token">();
export type Token = z.infer<typeof Token>;

/** SHA-256, in hexadecimal. */
export const Hash = z
  .string()
  .regex(/^[0-9a-f]{64}$/, "64 hexadecimal digits")
  .brand<"Hash">();
export type Hash = z.infer<typeof Hash>;

/** The hash of a text, or of bytes. */
export function hashOf(content: string | Uint8Array): Hash {
  return createHash("sha256").update(content).digest("hex") as Hash;
}

/**
 * The id of the run that `key` starts: the same for the same name and key, in every process.
 *
 * @example runIdFor("research", "invoice-17") === runIdFor("research", "invoice-17")
 */
export function runIdFor(name: string, key: string): RunId {
  return `k-${hashOf(JSON.stringify([name, key])).slice(0, 32)}` as RunId;
}
