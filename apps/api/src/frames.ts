// Frames. Owns: how what is sent flows to one reader.
// M1. Nothing is taken from the source before the reader wants it; who takes nothing for long is cut off, and may come again.
// M2. It is never silent for longer than the heartbeat.

import { afterReading, type Clock } from "@sentient/db-pool";
import { problemOf } from "./problems.ts";

/** One thing that is sent. */
export interface Frame {
  id?: string;
  /** `message` if left out. */
  event?: "chunk" | "end" | "problem";
  data?: string;
}

interface Flowing {
  frames: AsyncGenerator<Frame, void, undefined>;
  /** Aborts once nobody wants more; the frames end with it. */
  stop: AbortController;
  /** What the request is called, if something goes wrong. */
  request: string;
  /** Cuts the connection of a reader who takes nothing. */
  drop: () => void;
  clock: Clock;
  /** In milliseconds. */
  heartbeat: number;
  stall: number;
}

type Next = Promise<IteratorResult<Frame, void>>;
type Controller = ReadableStreamDefaultController<Uint8Array>;

/** How long a browser waits before it comes again, in milliseconds. */
const RETRY_MS = 1_000;
/** What is sent in one go, if so much is there. */
const MOST_FRAMES = 128;
const HEARTBEAT = ":\n\n";
const encoder = new TextEncoder();

export function flowOf({ frames, stop, request, drop, clock, heartbeat, stall }: Flowing) {
  let next: Next | undefined;
  let unstall: (() => void) | undefined;
  const end = (controller: Controller) => {
    stop.abort();
    controller.close();
  };
  const giveUp = () => {
    stop.abort();
    drop();
  };
  const pull = async (controller: Controller) => {
    unstall?.();
    try {
      next ??= nextOf(frames);
      if ((await within(clock, heartbeat, next)) === undefined) send(controller, HEARTBEAT);
      else {
        const taken = await takeAll(frames, next);
        next = taken.next;
        if (taken.text !== "") send(controller, taken.text);
        if (taken.isOver) end(controller);
      }
      if (!stop.signal.aborted) unstall = afterReading(clock, stall, giveUp); // M1
    } catch (error) {
      send(controller, textOf({ event: "problem", data: JSON.stringify(problemOf(error, request)) }));
      end(controller);
    }
  };
  return new ReadableStream<Uint8Array>({
    start: (controller) => send(controller, `retry: ${RETRY_MS}\n${HEARTBEAT}`),
    pull,
    cancel: () => {
      unstall?.();
      stop.abort();
    },
  });
}

const send = (controller: Controller, text: string) => controller.enqueue(encoder.encode(text));

/** What is thrown is told to who asks for it, which may be later. */
function nextOf(frames: AsyncGenerator<Frame, void, undefined>): Next {
  const next = frames.next();
  next.catch(() => {});
  return next;
}

/** What is there already, in one text. */
async function takeAll(frames: AsyncGenerator<Frame, void, undefined>, first: Next) {
  const texts: string[] = [];
  for (let next = first, item = await soon(next); ; next = nextOf(frames), item = await soon(next)) {
    if (item === undefined) return { text: texts.join(""), next, isOver: false };
    if (item.done) return { text: texts.join(""), next: undefined, isOver: true };
    texts.push(textOf(item.value));
    if (texts.length === MOST_FRAMES) return { text: texts.join(""), next: undefined, isOver: false };
  }
}

/** What comes within some time, else undefined. */
async function within<T>(clock: Clock, ms: number, work: Promise<T>): Promise<T | undefined> {
  const late = Promise.withResolvers<undefined>();
  const cancel = clock.after(ms, () => late.resolve(undefined));
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    cancel();
  }
}

/** What is there already, else undefined. */
function soon<T>(work: Promise<T>): Promise<T | undefined> {
  const late = Promise.withResolvers<undefined>();
  setImmediate(() => late.resolve(undefined));
  return Promise.race([work, late.promise]);
}

function textOf({ id, event, data }: Frame): string {
  const lines = [
    ...(id === undefined ? [] : [`id: ${id}`]),
    ...(event === undefined ? [] : [`event: ${event}`]),
    ...(data === undefined ? [] : [`data: ${data}`]), // JSON has no line breaks
  ];
  return `${lines.join("\n")}\n\n`;
}
