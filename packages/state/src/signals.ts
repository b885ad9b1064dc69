// Signals. Owns: what is said to a run from outside, until the run takes it.
// S1. A signal is kept in the transaction that tells of it, and wakes a run that waits for its name in that one too. A run that
//     is about to wait finds it (C4), so it is never missed, whichever comes first.
// S2. Said twice under one id, it was said once.
// S3. It is taken once, by the commit of the step that takes it; the oldest of a name comes first.

import type { NewRow } from "@sentient/event-bus";
import {
  EventId,
  hashOf,
  Name,
  requireWithin,
  signalTable,
  type Json,
  type Signal as StoredSignal,
} from "@sentient/schema";
import { z } from "zod";
import { changeRun, requireRun, type Context } from "./changing.ts";
import { checked, checkedRun } from "./errors.ts";
import { heldOf, type Lease } from "./lease.ts";
import { Person, textOf } from "./options.ts";
import { lastEventOf, signalId, untaken } from "./queries.ts";
import * as queries from "./signal-queries.ts";
import { defined } from "./telling.ts";
import { wakeUps } from "./waking.ts";

/** A message to a run from outside; it is the `n`-th event of the run that told of it. */
export interface Signal {
  run: string;
  n: number;
  name: string;
  data: Json;
  source?: string;
  sentAt: Date;
  /** The step that took it. */
  takenBy?: string;
}

const Options = z.strictObject({ source: Person.optional(), id: EventId.optional() });

export interface SignalOptions {
  /** Who says it. */
  source?: string;
  /** Said twice under one id, it was said once. It is the id of its event, so one of all in this database. */
  id?: string;
}

/** @throws `state.not_found`, `state.illegal_transition` once the run is over, `state.bad_option`, `schema.limit`; `event_bus.event_conflict` if something else was said under the id */
export async function signal(
  run: string,
  name: string,
  data: Json,
  options: SignalOptions,
  context: Context,
): Promise<Signal> {
  const { id, ...from } = defined(checked(Options, options, "a signal"));
  const wanted: Wanted = { run, name: checked(Name, name, "the name of a signal"), data, ...from };
  const text = textOf(data, "the data of the signal");
  requireWithin("eventBytes", Buffer.byteLength(text), "the data of the signal");
  if (id === undefined) return send(wanted, { name }, {}, context);
  const told = { name, hash: hashOf(text) }; // by which another one under its id is noticed
  const before = await sentBefore(id, run, told, context);
  if (before) return before;
  try {
    return await send(wanted, told, { eventId: id }, context);
  } catch (error) {
    const meanwhile = await sentBefore(id, run, told, context);
    if (meanwhile) return meanwhile; // S2. and what it was refused for came after it
    throw error;
  }
}

interface Wanted {
  run: string;
  name: Name;
  data: Json;
  source?: string;
}

async function send(
  { run: id, name, data, source }: Wanted,
  told: { name: string; hash?: string },
  event: { eventId?: string },
  context: Context,
): Promise<Signal> {
  const { db } = context;
  const from = source === undefined ? {} : { source };
  let kept: StoredSignal | undefined;
  await changeRun(
    id,
    ({ run }) => ({
      events: [
        { event: { type: "signal.received" }, told: { data: told, ...from, ...event } },
        ...wakeUps(run, (wait) => wait.for === "signal" && wait.name === name), // S1
      ],
      rows: ([placed], at) => {
        kept = { id: [run.id, placed!.n!], name, data, ...from, sentAt: at, untaken: untaken(run.id, name) };
        return [signalTable.serialise(kept) as NewRow];
      },
    }),
    context,
  );
  if (event.eventId === undefined) return signalOf(kept!);
  return (await sentBefore(event.eventId, id, told, { db })) ?? signalOf(kept!); // S2. somebody else may have said it
}

/** The signal of an id, if that is what was said under it. */
async function sentBefore(
  eventId: string,
  run: string,
  told: { name: string; hash?: string },
  { db }: Pick<Context, "db">,
): Promise<Signal | undefined> {
  const found = await db.query(queries.findTold(eventId));
  if (found?.type !== "signal.received" || found.run !== run) return undefined;
  const { name, hash } = JSON.parse(found.data) as { name?: string; hash?: string };
  if (name !== told.name || hash !== told.hash) return undefined;
  const row = await db.query(queries.readSignal(signalId(run, found.n!)));
  return row === undefined ? undefined : signalOf(signalTable.parse(row));
}

/** S3. The oldest of its name that nobody has taken. */
export async function nextSignal(
  of: string | Lease,
  name: string,
  { db }: Pick<Context, "db">,
): Promise<Signal | undefined> {
  const run = typeof of === "string" ? checkedRun(of) : heldOf(of).run.id;
  const row = await db.query(queries.readNextSignal(run, checked(Name, name, "the name of a signal")));
  return row === undefined ? undefined : signalOf(signalTable.parse(row));
}

const ListOptions = z.strictObject({
  name: Name.optional(),
  taken: z.boolean().optional(),
  after: z.int().min(0).default(0),
  limit: z.int().min(1).default(100),
});

export interface SignalListOptions {
  name?: string;
  /** Only those that a step has taken, or only those that none has. */
  taken?: boolean;
  /** Those after this `n`. */
  after?: number;
  /** In a page: 100 if left out, at most `limits.page`. */
  limit?: number;
}

export interface SignalPage {
  signals: Signal[];
  /** For the next page, `after` it; missing when there is no more. */
  next?: number;
}

/** How many events of the run are looked at in one go, as a range is read whole; more where there are no signals. */
const LOOK = 1_000;

export async function listSignals(
  run: string,
  options: SignalListOptions,
  context: Context,
): Promise<SignalPage> {
  const { after, limit, ...filter } = checked(ListOptions, options, "signals");
  requireWithin("page", limit, "a page");
  await requireRun(run, context);
  const { db } = context;
  const end = (await db.query(lastEventOf(run))) ?? 0;
  const found: StoredSignal[] = [];
  for (let first = after + 1, look = LOOK; first <= end && found.length <= limit;) {
    const wanted = limit + 1 - found.length;
    const rows = await db.query(queries.readSignals(run, [first, first + look - 1], filter, wanted));
    first += look;
    look = rows.length === 0 ? look * 2 : LOOK;
    found.push(...rows.map((row) => signalTable.parse(row)));
  }
  const page = found.slice(0, limit).map(signalOf);
  return found.length > limit ? { signals: page, next: page.at(-1)!.n } : { signals: page };
}

function signalOf({ id: [run, n], untaken: _, ...rest }: StoredSignal): Signal {
  return { run, n, ...rest };
}
