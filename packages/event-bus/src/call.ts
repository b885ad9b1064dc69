// Calls. Owns: one call of a handler: its time, its signal, its one commit.

import type { Clock, Statement } from "@sentient/db-pool";
import type { Event } from "@sentient/schema";
import type { NewEvent, Placed } from "./draft.ts";
import { EventBusError } from "./errors.ts";

/** What changes along with an event's being handled: all of it, or nothing. */
export interface Change {
  statements?: readonly Statement[];
  events?: readonly NewEvent[];
}

export interface Handling {
  /**
   * Aborts when the time is up, the lease was lost, or the consumer has waited for long enough on its way to stop; never
   * once the handler has ended.
   */
  signal: AbortSignal;
  /** 1 for the first. */
  attempt: number;
  /**
   * Commits the event as handled, together with these changes, once all events before it are. At most once a call; what
   * fails afterwards is told of and not tried again. Of events whose `eventId` the log has already, saying the same, the
   * places are answered, and all else is committed.
   *
   * @returns the places of the events
   * @throws `event_bus.lease_lost`: nothing was committed, unless its `outcome` is `unknown`, and then the event comes again
   * only if it was not; `event_bus.handler_timeout` and, for a call that is over, `event_bus.closed`: nothing was committed;
   * `event_bus.bad_option` for a second one; and what `log.append` does
   */
  commit: (change: Change | readonly Statement[]) => Promise<Placed[]>;
}

export type ConsumerHandler = (event: Event, handling: Handling) => unknown;

interface CallOptions {
  handler: ConsumerHandler;
  timeout: number;
  clock: Clock;
  /** Ends it before its time. */
  end: AbortSignal;
  commit: (change: Change) => Promise<Placed[]>;
}

export class Call {
  /** Settles when the handler does, or when it is not waited for any longer; with what it failed with. */
  readonly outcome: Promise<{ error: unknown } | undefined>;
  readonly #options: CallOptions;
  readonly #end = new AbortController();
  /** Nobody waits for the handler any longer. */
  #isOver = false;
  #committing: Promise<Placed[]> | undefined;
  #committed = false;

  constructor(event: Event, attempt: number, options: CallOptions) {
    this.#options = options;
    this.outcome = this.#run(event, attempt);
  }

  get committed(): boolean {
    return this.#committed;
  }

  async #run(event: Event, attempt: number): Promise<{ error: unknown } | undefined> {
    const { handler, timeout, clock, end } = this.#options;
    const { signal } = this.#end;
    const onEnd = () => this.#end.abort(end.reason);
    const cancel = clock.after(timeout, () => this.#end.abort(tooLong(timeout)));
    end.addEventListener("abort", onEnd, { once: true });
    if (end.aborted) onEnd();
    try {
      const handled = (async () => handler(event, { signal, attempt, commit: this.#commit }))();
      await Promise.race([handled, aborted(signal)]).finally(() => {
        this.#isOver = true;
        cancel();
        end.removeEventListener("abort", onEnd);
      });
      await this.#committing;
      return undefined;
    } catch (error) {
      await this.#committing?.catch(() => {}); // it may have come in time
      return { error };
    }
  }

  readonly #commit = (change: Change | readonly Statement[]): Promise<Placed[]> => {
    if (this.#end.signal.aborted) return Promise.reject(this.#end.signal.reason as Error);
    if (this.#isOver) return Promise.reject(tooLate());
    if (this.#committing) return Promise.reject(twice());
    const whole = Array.isArray(change) ? { statements: change as Statement[] } : (change as Change);
    this.#committing = this.#options.commit(whole).then((placed) => {
      this.#committed = true;
      return placed;
    });
    this.#committing.catch(() => {}); // told to who awaits it, and by the call
    return this.#committing;
  };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    else signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}

function tooLong(timeout: number): EventBusError {
  return new EventBusError({
    code: "event_bus.handler_timeout",
    message: `the handler took longer than ${timeout} ms`,
    retryable: true,
  });
}

function tooLate(): EventBusError {
  return new EventBusError({
    code: "event_bus.closed",
    message: "this call of the handler is over; await what commits before you return",
  });
}

function twice(): EventBusError {
  return new EventBusError({
    code: "event_bus.bad_option",
    message: "an event is committed once; hand all that changes to one commit",
  });
}
