// Ids. Owns: what names a memory, a message and the edges between them: the same wherever the same is said again.

import { RecordId } from "@sentient/db-pool";
import { hashOf } from "@sentient/schema";
import { normalised } from "./words.ts";

/** Who says something: a step of a run, or nobody but whoever imports it. */
export interface Speaker {
  run: string;
  step: string;
}

export const keyOf = (...parts: readonly unknown[]): string => hashOf(JSON.stringify(parts)).slice(0, 32);

/** The same words of the same agent in the same thread are the same memory. */
export const memoryKey = (memory: {
  text: string;
  agent?: string | undefined;
  thread?: string | undefined;
}) => keyOf(memory.agent ?? null, memory.thread ?? null, normalised(memory.text));

export const sourceKey = (name: string): string => keyOf(name);

export const accountOf = (speaker: Speaker | undefined): string =>
  speaker ? `${speaker.run}/${speaker.step}` : "import";

/** What stands on nothing else stands on the run that said it. */
export const sourceOfRun = (run: string): string => `run:${run}`;

export const memoryId = (key: string): RecordId => new RecordId("memory", key);
export const messageId = (key: string): RecordId => new RecordId("memory_message", key);
export const sourceId = (name: string): RecordId => new RecordId("memory_source", sourceKey(name));
export const runId = (run: string): RecordId => new RecordId("run", run);

/** The step that works with it: its key is `run/step`, and no run has a slash in its name. */
export function speakerOf(step: { idempotencyKey: string }): Speaker {
  const at = step.idempotencyKey.indexOf("/");
  return { run: step.idempotencyKey.slice(0, at), step: step.idempotencyKey.slice(at + 1) };
}

/** Of a record of ours: they all have one. */
export const keyIn = ({ id }: RecordId): string => id as string;

interface Whose {
  agent?: string;
  thread?: string;
}

/** Whose a memory is, as it is written: what is not there is left out. */
export function whoseOf({ agent, thread }: { [K in keyof Whose]: string | undefined }): Whose {
  return { ...(agent !== undefined && { agent }), ...(thread !== undefined && { thread }) };
}
