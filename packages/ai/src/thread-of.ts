// The thread of a run. Owns: in which conversation an assistant was asked, for the tools that it uses: the run says so, and never a model.

import { AsyncLocalStorage } from "node:async_hooks";
import type { Context } from "@sentient/agent-core";

type Run = Pick<Context, "run">;

const asked = new AsyncLocalStorage<{ run: string; thread: string | undefined }>();

/** Goes on in a thread, or in none. */
export function inThread<T>(ctx: Run, thread: string | undefined, work: () => Promise<T>): Promise<T> {
  return asked.run({ run: ctx.run.id, thread }, work);
}

/** That of this run alone: one that it has called may go on in the same place. */
export function threadOf(ctx: Run): string | undefined {
  const said = asked.getStore();
  return said?.run === ctx.run.id ? said.thread : undefined;
}
