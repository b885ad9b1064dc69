// What a block that imports nothing may speak of: it is a part of a handler, or of a program that has a runtime.

import type { Context, Definition, RunHandle, Sentient } from "@sentient/agent-core";
import type { Client } from "@sentient/api/client";

declare global {
  const ctx: Context<{ read: number; found: string[] }>;
  const sentient: Sentient;
  const handle: RunHandle<string>;
  const api: Client;
  /** Of a run. */
  const id: string;
  const research: Definition<{ question: string }, string>;
  const report: Definition<{ day: string }, string>;
  const write: (text: unknown) => void;
  const send: (to: string, options: { key: string; signal: AbortSignal }) => Promise<string>;
}
