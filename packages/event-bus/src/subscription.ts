// Subscriptions. Owns: calling a function for each event, one after the other, until told to stop.

import { AsyncLocalStorage } from "node:async_hooks";
import type { Event } from "@sentient/schema";

export interface Subscription {
  /** Once it resolves the handler runs no more, and will not be called again. */
  unsubscribe: () => Promise<void>;
}

export type Handler = (event: Event) => unknown;

/** The handler call that the code is in. */
const within = new AsyncLocalStorage<symbol>();

/**
 * @param onProblem hears of what the handler throws
 * @param onEnd hears why it ended, if nobody told it to
 */
export function subscribe(
  events: (signal: AbortSignal) => AsyncIterable<Event>,
  handler: Handler,
  onProblem: (error: unknown, event: Event) => void,
  onEnd: (error: unknown) => void,
): Subscription {
  const end = new AbortController();
  let current: symbol | undefined;
  const call = async (event: Event) => {
    current = Symbol("call");
    try {
      await within.run(current, handler, event);
    } catch (error) {
      onProblem(error, event);
    } finally {
      current = undefined;
    }
  };
  const run = async () => {
    try {
      for await (const event of events(end.signal)) await call(event);
    } catch (error) {
      onEnd(error);
    }
  };
  const running = run();
  return {
    async unsubscribe() {
      end.abort();
      const isInside = current !== undefined && within.getStore() === current;
      if (!isInside) await running; // in the call itself that would wait for its own end
    },
  };
}
