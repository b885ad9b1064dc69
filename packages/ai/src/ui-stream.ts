// UI stream. Owns: a run as a message that comes while one reads it, in the protocol of the AI SDK's `useChat`.
// Does not own: how what is streamed becomes the parts of that message (ui-message.ts).
// X1. It may be read again from its beginning, in any process, and is the same message then: its id is that of its run.
// X2. Behind a step it says nothing of what was before it, and the step itself anew, in place of what the reader has of it: nothing
//     is lost, and nothing is there twice, wherever the reader was cut off.
// X3. Whoever stops reading leaves nothing behind that reads on.
// X4. What went wrong is told in general words, unless it is said how: an error may name servers, users and files.

import { RememberedError, type RunHandle, type StreamItem } from "@sentient/agent-core";
import { withoutSecrets, type Event, type Failure } from "@sentient/schema";
import type { UIMessageChunk } from "ai";
import { UiMessage } from "./ui-message.ts";

export interface UiStreamOptions {
  /** How many steps the reader has of the message, the last of them perhaps not whole: its parts of type `step-start`. */
  after?: number;
  /** Whether what the model thought is told: it is, if left out. */
  reasoning?: boolean;
  /**
   * What a reader is told of an error: of the run (a `RememberedError`), of a tool, as its model was told, or of reading the run. If
   * left out, that it failed, and the id of the run, and nothing of what the error says.
   */
  onError?: (error: unknown) => string;
  /** Ends it, and not the run. */
  signal?: AbortSignal;
}

/**
 * A run for `useChat`, with `createUIMessageStreamResponse`: what its models say and think, its tools and what they gave, its
 * questions as `data-question`, how far it is as `data-progress`, and how it ends. Other JSON that it streams comes as `data-chunk`,
 * and what has a `type` that begins with `data-` as it is.
 *
 * A chat that reconnects replays the message, as its transport does by default, or goes on where it was: with
 * `resumeStreamIsReplay: false`, and `after`.
 *
 * @param source a handle, or what one streams from its beginning
 * @example return createUIMessageStreamResponse({ stream: toUiStream(sentient.handle(id)) });
 * @example toUiStream(handle, { onError: (error) => (isOurs(error) ? error.message : "Something went wrong.") });
 */
export function toUiStream(
  source: RunHandle | AsyncIterable<StreamItem>,
  options: UiStreamOptions = {},
): ReadableStream<UIMessageChunk> {
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const isHandle = "stream" in source;
  const items = isHandle ? source.stream({ signal }) : source;
  const chunks = told(items, options, isHandle ? source.id : undefined);
  return new ReadableStream<UIMessageChunk>(
    {
      async pull(controller) {
        const next = await chunks.next();
        if (next.done) controller.close();
        else controller.enqueue(next.value);
      },
      cancel() {
        stop.abort(); // X3
        chunks.return(undefined).catch(() => {}); // once what it waits for has come
      },
    },
    { highWaterMark: 0 },
  );
}

type Ended = Extract<UIMessageChunk, { type: "finish" | "error" | "abort" }>;

async function* told(
  items: AsyncIterable<StreamItem>,
  { after, reasoning = true, onError }: UiStreamOptions,
  run: string | undefined,
): AsyncGenerator<UIMessageChunk, void, undefined> {
  const due: UIMessageChunk[] = [];
  const isAfter = behind(after ?? 0, due);
  const failed = (error: Error, general: string) => withoutSecrets(onError?.(error) ?? general); // X4
  const message = new UiMessage(
    (chunk) => {
      if (isAfter(chunk) && (reasoning || !chunk.type.startsWith("reasoning-"))) due.push(chunk);
    },
    (error) => failed(error, "The tool failed."),
  );
  let isBegun = after !== undefined;
  const begin = (messageId: string | undefined) => {
    if (!isBegun) due.push({ type: "start", ...(messageId === undefined ? {} : { messageId }) });
    isBegun = true;
  };
  let ended: Ended = { type: "finish", finishReason: "interrupted" };
  if (run !== undefined) begin(run);
  yield* due.splice(0);
  try {
    for await (const item of items) {
      begin(item.type === "chunk" ? item.chunk.run : item.event.run);
      if (item.type === "chunk") message.add(item.chunk);
      else {
        ended = endBy(item.event, failed) ?? ended; // what was streamed before may come after it
        tell(item.event, message);
      }
      yield* due.splice(0);
    }
  } catch (error) {
    const which = run === undefined ? "The run" : `The run ${run}`;
    ended = {
      type: "error",
      errorText: failed(error as Error, `${which} could not be read; reload to try again.`),
    };
  }
  begin(undefined);
  message.close();
  yield* due.splice(0);
  yield ended;
}

/** X2. What is known by its id is told in any case: nothing says in which step the reader has it. */
function behind(steps: number, due: UIMessageChunk[]): (chunk: UIMessageChunk) => boolean {
  let left = steps;
  return ({ type }) => {
    if (left === 0 || type === "data-question" || type === "data-reset") return true;
    if (type === "start-step" && --left === 0) due.push({ type: "reset-step" });
    return false;
  };
}

/** @returns how the message ends, if the run has */
function endBy(
  { type, data, run }: Event,
  failed: (error: Error, general: string) => string,
): Ended | undefined {
  switch (type) {
    case "run.completed":
      return { type: "finish", finishReason: "stop" };
    case "run.failed": {
      const { error } = data as { error: Failure };
      return { type: "error", errorText: failed(new RememberedError(error), `The run ${run} failed.`) };
    }
    case "run.cancelled": {
      const { reason } = data as { reason?: string };
      return { type: "abort", ...(reason === undefined ? {} : { reason }) };
    }
    default:
      return undefined;
  }
}

const QUESTION = /^question\.(asked|answered|expired|withdrawn)$/;

function tell({ type, data }: Event, message: UiMessage): void {
  const [, state] = QUESTION.exec(type) ?? [];
  if (state !== undefined) {
    const { key, ...about } = data as { key: string };
    message.question(key, { ...about, state });
  } else if (type === "progress.reported") message.pass({ type: "data-progress", data, transient: true });
}
