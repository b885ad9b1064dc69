// Following. Owns: a stream that is read to its end, over as many connections as it takes.
// Y1. It goes on behind the last frame that was handed out, so none is missed and none comes twice.

import { ApiProblem, type Http } from "./http.ts";

export interface ServerFrame {
  id: string | undefined;
  event: string;
  data: string;
}

/** How long to wait before it is tried again, in milliseconds, at first and at most. */
const FIRST_PAUSE_MS = 100;
const MOST_PAUSE_MS = 5_000;
/** A server says something every 15 seconds; one that is silent for longer is gone. */
const SILENCE_MS = 40_000;

export interface FollowOptions {
  query: Record<string, unknown>;
  after?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** @throws `ApiProblem` for what does not pass by itself; what `fetch` throws if nobody has answered yet */
export async function* follow(
  http: Http,
  path: string,
  { query, after, signal }: FollowOptions,
): AsyncGenerator<ServerFrame, void, undefined> {
  let last = after;
  const isAborted = () => signal?.aborted === true;
  let wasThere = false;
  for (let tries = 0; !isAborted(); tries++) {
    try {
      const headers: Record<string, string> = last === undefined ? {} : { "last-event-id": last };
      const silent = new Silence(signal);
      const response = await http.response("GET", path, { query, headers, signal: silent.signal });
      wasThere = true;
      if (response.status === 204) return;
      for await (const frame of framesIn(response.body!, silent)) {
        tries = 0;
        last = frame.id ?? last;
        if (frame.event === "problem") throw new ApiProblem(JSON.parse(frame.data) as never);
        if (frame.event === "end") return;
        if (frame.data !== "") yield frame;
      }
    } catch (error) {
      if (isAborted()) return;
      const passes = error instanceof ApiProblem ? error.retryable : wasThere;
      if (!passes) throw error;
    }
    await pause(Math.min(MOST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(tries, 6)), signal);
  }
}

/** Ends a connection that nothing is heard on. */
class Silence {
  readonly #end = new AbortController();
  readonly signal: AbortSignal;
  #timer: ReturnType<typeof setTimeout>;

  constructor(signal: AbortSignal | undefined) {
    this.signal = signal ? AbortSignal.any([signal, this.#end.signal]) : this.#end.signal;
    this.#timer = setTimeout(() => this.#end.abort(), SILENCE_MS);
  }

  heard(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#end.abort(), SILENCE_MS);
  }

  over(): void {
    clearTimeout(this.#timer);
    this.#end.abort();
  }
}

async function* framesIn(body: ReadableStream<Uint8Array>, silence: Silence): AsyncGenerator<ServerFrame> {
  const decoder = new TextDecoder();
  let text = "";
  try {
    for await (const part of body) {
      silence.heard();
      text += decoder.decode(part, { stream: true });
      const frames = text.split("\n\n");
      text = frames.pop()!;
      for (const frame of frames) yield frameOf(frame);
    }
  } finally {
    silence.over();
  }
}

function frameOf(text: string): ServerFrame {
  const frame: ServerFrame = { id: undefined, event: "message", data: "" };
  for (const line of text.split("\n")) {
    const [, name, value] = /^([a-z]+): ?(.*)$/s.exec(line) ?? [];
    if (name === "id" || name === "event" || name === "data") frame[name] = value!;
  }
  return frame;
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const end = () => {
    clearTimeout(timer);
    resolve();
  };
  signal?.addEventListener("abort", end, { once: true });
  return promise.finally(() => signal?.removeEventListener("abort", end));
}
