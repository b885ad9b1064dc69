// Streams. Owns: what is sent as it comes: server-sent events, and all of them that are open.
// V1. Each frame has the place behind it as its id, so whoever says the last one goes on from there, in any process.
// V2. A stream that has ended, for whatever reason, leaves no listener, timer or follower behind.
// V3. It is not open for longer than its token counts, and no token has more of them open than the limit.
// Does not own: how what is sent flows to one reader (frames.ts).

import type { Clock } from "@sentient/db-pool";
import type { Event } from "@sentient/schema";
import type { Doorkeeper, Principal } from "./access.ts";
import { ApiError } from "./errors.ts";
import type { CheckedOptions } from "./options.ts";
import { flowOf, type Frame } from "./frames.ts";

export interface Opening {
  who: Principal;
  /** As it was shown, to be looked at again. */
  authorization: string | undefined;
  /** Of the request. */
  signal: AbortSignal;
  request: string;
  /** Cuts the connection of a reader who takes nothing. */
  drop: () => void;
  frames: (signal: AbortSignal) => AsyncGenerator<Frame, void, undefined>;
}

const HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-store",
  "x-accel-buffering": "no",
};
export class Streams {
  readonly #open = new Map<AbortController, string>();
  readonly #options: CheckedOptions;
  readonly #doorkeeper: Doorkeeper;
  readonly #clock: Clock;
  #isClosed = false;

  constructor(options: CheckedOptions, doorkeeper: Doorkeeper, clock: Clock) {
    this.#options = options;
    this.#doorkeeper = doorkeeper;
    this.#clock = clock;
  }

  /** How many are open. */
  get count(): number {
    return this.#open.size;
  }

  /** @throws `api.too_many_streams`, `api.closing` */
  open({ who, authorization, signal, request, drop, frames }: Opening): Response {
    this.#requireRoom(who);
    const stop = new AbortController();
    this.#open.set(stop, who.id);
    const end = () => stop.abort();
    signal.addEventListener("abort", end, { once: true });
    const forget = this.#options.auth ? this.#recheck(authorization, stop) : () => {};
    stop.signal.addEventListener(
      "abort",
      () => {
        this.#open.delete(stop);
        signal.removeEventListener("abort", end);
        forget();
      },
      { once: true },
    );
    if (signal.aborted) end();
    const { heartbeat, stall } = this.#options;
    const flow = { frames: frames(stop.signal), stop, request, drop, heartbeat, stall, clock: this.#clock };
    return new Response(flowOf(flow), { headers: HEADERS });
  }

  #requireRoom({ id }: Principal): void {
    if (this.#isClosed) throw new ApiError({ code: "api.closing", message: "this server is about to stop" });
    const most = this.#options.limits.streams;
    const open = [...this.#open.values()].filter((each) => each === id).length;
    if (open < most) return;
    throw new ApiError({
      code: "api.too_many_streams",
      message: `${open} streams are open for this token, and ${most} may be; close one`,
      retryable: true,
    });
  }

  /** V3. */
  #recheck(authorization: string | undefined, stop: AbortController): () => void {
    let cancel: (() => void) | undefined;
    const later = () => {
      cancel = this.#clock.after(this.#options.recheck, () => {
        this.#doorkeeper.principalOf(authorization).then(later, (error: unknown) => {
          const isOut = error instanceof ApiError && error.code === "api.not_authenticated";
          if (isOut) stop.abort();
          else if (!stop.signal.aborted) later(); // the database does not answer: what was known holds
        });
      });
      if (stop.signal.aborted) cancel?.();
    };
    later();
    return () => cancel?.();
  }

  /** Ends all that are open, and lets nobody open another. */
  close(): void {
    this.#isClosed = true;
    for (const stop of this.#open.keys()) stop.abort();
  }
}

/** Many follow, and are handed the same events: each is made a text of once. */
const texts = new WeakMap<Event, string>();

export function jsonOf(event: Event): string {
  const known = texts.get(event);
  if (known !== undefined) return known;
  const text = JSON.stringify(event);
  texts.set(event, text);
  return text;
}
