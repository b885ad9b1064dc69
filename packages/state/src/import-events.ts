// Bringing events. What the log has already of a run, of an import that was cut off or of a run that was removed, is not told
// again.

import { EventBusError, type NewEvent } from "@sentient/event-bus";
import type { Json } from "@sentient/schema";
import { originalId, type Bringing } from "./bringing.ts";
import { StateError } from "./errors.ts";
import type { Body, BodyOf } from "./transfer-format.ts";
import * as queries from "./transfer-queries.ts";

/** In one append. */
const MOST = 200;
const BYTES = 1024 * 1024;

/** What the log may have of a run beyond the file: that it was removed, and brought back. */
const BEYOND: readonly string[] = ["run.removed", "run.imported"];

interface Told {
  run: string;
  n: number;
  event: NewEvent;
  text: string;
  redacted: boolean;
}

/** @throws `state.run_conflict` if the log knows a run of the file otherwise */
export async function bringEvents(bodies: AsyncIterable<Body>, bringing: Bringing): Promise<void> {
  const { sound, wanted, last, context } = bringing;
  for (const run of wanted) await begin(run, bringing);
  let batch: Told[] = [];
  let bytes = 0;
  for await (const body of bodies) {
    if (body.kind !== "event") {
      if (body.kind === "run") continue;
      break; // they follow the runs, and are followed by what is none
    }
    const told = toldOf(body, sound.header.origin);
    if (!wanted.has(told.run)) continue;
    batch.push(told);
    bytes += told.text.length + 200;
    if (batch.length < MOST && bytes < BYTES) continue;
    await tell(batch, bringing);
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) await tell(batch, bringing);
  for (const run of wanted) {
    const types = await context.db.query(queries.readToldTypes(run, sound.runs.get(run)!.n));
    if (last.get(run)! < sound.runs.get(run)!.n || types.some((type) => !BEYOND.includes(type)))
      throw otherwiseError(run);
  }
}

/** A run whose first events were trimmed where it comes from goes on after them here. */
async function begin(run: string, { sound, last, context }: Bringing): Promise<void> {
  const { first, n } = sound.runs.get(run)!;
  const trimmed = first === 0 ? n : first - 1;
  if (last.get(run)! > 0 || trimmed === 0) return;
  await context.db.query(queries.beginAt(run, trimmed));
  last.set(run, trimmed);
}

function toldOf({ row, redacted }: BodyOf<"event">, origin: string): Told {
  const { id, run, n, type, source, target, workflow, correlation, causation, eventId, data } =
    row as unknown as EventLine;
  const event: NewEvent = {
    run,
    type,
    source,
    data: JSON.parse(data) as Json,
    ...(target === undefined ? {} : { target }),
    ...(workflow === undefined ? {} : { workflow }),
    ...(correlation === undefined ? {} : { correlation }),
    ...(causation === undefined ? {} : { causation: originalId(causation, origin) }),
    eventId: eventId ?? originalId(`event:${String(id)}`, origin),
  };
  return { run, n, event, text: data, redacted: redacted === true };
}

/** As it stands in the file, which was checked. */
interface EventLine extends Omit<NewEvent, "data"> {
  id: number;
  run: string;
  n: number;
  source: string;
  data: string;
}

async function tell(batch: readonly Told[], bringing: Bringing): Promise<void> {
  const { last, context } = bringing;
  const { db, bus } = context;
  await requireSame(
    batch.filter(({ run, n }) => n <= last.get(run)!),
    bringing,
  );
  const fresh = batch.filter(({ run, n }) => n > last.get(run)!);
  const [any] = fresh;
  if (!any) return;
  const known = new Set(await db.query(queries.readKnownIds(fresh.map(({ event }) => event.eventId!))));
  const expected = Object.fromEntries(fresh.map(({ run }) => [run, last.get(run)!]));
  try {
    await bus.log.append({
      events: fresh.map(({ event: { eventId, ...event } }) =>
        known.has(eventId!) ? event : { ...event, eventId: eventId! },
      ),
      expected,
    });
  } catch (error) {
    if (error instanceof EventBusError && error.code === "event_bus.run_moved")
      throw otherwiseError((error.details as { run: string }).run, error);
    throw error;
  }
  for (const { run, n } of fresh) last.set(run, n);
}

/** What the log has of them is what is in the file; what was trimmed is not there to be asked. */
async function requireSame(batch: readonly Told[], { context }: Bringing): Promise<void> {
  if (batch.length === 0) return;
  const found = await context.db.query(queries.readTold(batch.map(({ run, n }) => [run, n])));
  const other = batch.find(({ event, text, redacted }, i) => {
    const there = found[i];
    return there && (there.type !== event.type || (!redacted && there.data !== text));
  });
  if (other) throw otherwiseError(other.run);
}

function otherwiseError(run: string, cause?: unknown): StateError {
  return new StateError({
    code: "state.run_conflict",
    message: `the log of this database knows the run ${run} otherwise than the file; it cannot have two histories. Import into another database`,
    details: { run },
    ...(cause === undefined ? {} : { cause }),
  });
}
