// What is followed live.

import type { RunHandle, Sentient } from "@sentient/agent-core";
import { FINAL_STATUSES, type Event } from "@sentient/schema";
import type { Run } from "@sentient/state";
import { defined, EventFilterFields, Flag, OfRun, z } from "../fields.ts";
import { PlaceText, placeOf, textOfPlace, type Place } from "../places.ts";
import type { Asked, Routes } from "../route.ts";
import type { Frame } from "../frames.ts";
import { jsonOf, type Streams } from "../streams.ts";

const headers = z.object({ "last-event-id": PlaceText.optional() });
const live = {
  method: "get",
  policy: "read",
  tag: "events",
  headers,
} as const;
const answer = {
  type: "text/event-stream",
  about: "Frames whose id says where to go on; 204 if it is over and nothing is left.",
} as const;

export function streamRoutes(routes: Routes, sentient: Sentient, streams: Streams): void {
  routes.add(
    {
      ...live,
      name: "followRun",
      path: "/v1/runs/{run}/events",
      about: "What a run tells, as messages, and what it streams, as `chunk`, until its `end`.",
      params: OfRun,
      query: z.strictObject({ after: PlaceText.optional(), chunks: Flag.optional() }),
      answer,
    },
    async (asked) => {
      const { run } = asked.params;
      const found = await sentient.get(run);
      const place = placeOf(asked.c.req.header("last-event-id"), asked.query.after);
      const from = place ?? { position: 0, chunk: 0 };
      if (place) await requireThere(place.position, sentient, run);
      if (place && (await isAllSeen(found, place, sentient))) return asked.c.body(null, 204);
      const handle = sentient.handle(run);
      const withChunks = asked.query.chunks !== false;
      return opened(asked, streams, (signal) => framesOfRun(handle, from, withChunks, signal));
    },
  );

  routes.add(
    {
      ...live,
      name: "followEvents",
      path: "/v1/events",
      about: "Everything that happens, from now on or behind a position, also across runs.",
      query: z.strictObject({ after: PlaceText.optional(), ...EventFilterFields }),
      answer,
    },
    async (asked) => {
      const { after, ...filter } = asked.query;
      const place = placeOf(asked.c.req.header("last-event-id"), after);
      const wanted = defined(filter);
      const position = place?.position ?? (await headOf(sentient));
      if (place) await requireThere(position, sentient);
      await sentient.events.history({ ...wanted, after: position, limit: 1 }); // refuses what is no filter
      return opened(asked, streams, (signal) => framesOfLog(sentient, position, wanted, signal));
    },
  );
}

/** Refuses a place that was trimmed, or that is not there yet. */
async function requireThere(after: number, sentient: Sentient, run?: string): Promise<void> {
  await sentient.events.history({ ...(run === undefined ? {} : { run }), after, limit: 1 });
}

async function headOf(sentient: Sentient): Promise<number> {
  const { events } = await sentient.events.history({ order: "desc", limit: 1 });
  return events[0]?.position ?? 0;
}

const isOver = ({ status }: Run) => (FINAL_STATUSES as readonly string[]).includes(status);

/** A browser comes again after the end of a stream; told that there is nothing it stays away. */
async function isAllSeen(run: Run, { position, chunk }: Place, sentient: Sentient): Promise<boolean> {
  if (!isOver(run)) return false;
  const [{ events }, count] = await Promise.all([
    sentient.history(run.id, { after: position, limit: 1 }),
    sentient.state.chunks.count(run.id),
  ]);
  return events.length === 0 && count <= chunk;
}

function opened(
  { c, who, signal }: Pick<Asked<undefined, undefined, undefined>, "c" | "who" | "signal">,
  streams: Streams,
  frames: (signal: AbortSignal) => AsyncGenerator<Frame, void, undefined>,
): Response {
  if (c.req.method === "HEAD") return c.body(null, 200, { "content-type": "text/event-stream" });
  const { outgoing } = (c.env ?? {}) as { outgoing?: { destroy(): void } };
  return streams.open({
    who,
    authorization: c.req.header("authorization"),
    signal,
    request: c.get("request"),
    drop: () => outgoing?.destroy(),
    frames,
  });
}

async function* framesOfRun(
  handle: RunHandle,
  place: Place,
  withChunks: boolean,
  signal: AbortSignal,
): AsyncGenerator<Frame, void, undefined> {
  let { position, chunk } = place;
  if (!withChunks) {
    for await (const event of handle.events({ after: position, signal })) yield frameOf(event, 0);
  } else {
    for await (const item of handle.stream({ after: position, afterChunk: chunk, signal })) {
      if (item.type === "event") {
        position = item.event.position;
        yield frameOf(item.event, chunk);
      } else {
        chunk = item.chunk.n;
        yield { id: textOfPlace({ position, chunk }), event: "chunk", data: JSON.stringify(item.chunk) };
      }
    }
  }
  if (signal.aborted) return;
  yield { event: "end", data: JSON.stringify({ run: handle.id, status: await handle.status() }) };
}

async function* framesOfLog(
  sentient: Sentient,
  after: number,
  filter: object,
  signal: AbortSignal,
): AsyncGenerator<Frame, void, undefined> {
  yield { id: `${after}` }; // who is cut off before the first event misses none
  for await (const event of sentient.events.follow({ ...filter, after, signal })) yield frameOf(event, 0);
}

function frameOf(event: Event, chunk: number): Frame {
  return { id: textOfPlace({ position: event.position, chunk }), data: jsonOf(event) };
}
