// Fork. Owns: a new run that begins from a point of another one's history, whatever became of that one.
// G1. Nothing of the parent is copied but what a run's row holds: its journal and its state are read through the fork, up to
//     the point where they part. What is edited are rows of the fork, which come first.
// G2. A fork is the root of a tree of its own: it wakes nobody, and is not cancelled or exported along with the parent's tree.
//     What leads to it stands in the graph (`forked`).
// G3. Its events begin at 1, and its mailbox is its own: what the parent has open it asks again, and signals go to one of them.

import type { Statement } from "@sentient/db-pool";
import type { NewRow } from "@sentient/event-bus";
import {
  EventId,
  hashOf,
  Name,
  requireWithin,
  RunId,
  runIdFor,
  StepKey,
  Version,
  type Json,
} from "@sentient/schema";
import { randomUUID } from "node:crypto";
import { z } from "zod";
import * as blobs from "./blobs.ts";
import { requireRun, type Context } from "./changing.ts";
import { thrownBy } from "./commit.ts";
import type { Depth } from "./depth.ts";
import { whole } from "./document.ts";
import { readDocument } from "./documents.ts";
import { checked, removedError, StateError } from "./errors.ts";
import * as history from "./history-queries.ts";
import { readJournal, type Journal } from "./journal.ts";
import { By, JsonValue, textOf } from "./options.ts";
import { isOnePoint, ONE_POINT, pointFields, resolve, type Point } from "./points.ts";
import * as queries from "./queries.ts";
import { keptResult, type KeptResult } from "./remembered.ts";
import { requireState } from "./restore.ts";
import { rowOf, type Run, type RunOf } from "./run.ts";
import { edges, isFull, isThere, isThereAlready, startedAt, type Started } from "./start.ts";
import { about, defined } from "./telling.ts";

const MOST_EDITS = 500;

const Options = z
  .strictObject({
    ...pointFields,
    input: JsonValue.optional(),
    state: JsonValue.optional(),
    steps: z
      .record(StepKey, JsonValue)
      .refine((steps) => Object.keys(steps).length <= MOST_EDITS, `at most ${MOST_EDITS} steps`)
      .default({}),
    version: Version.optional(),
    id: RunId.optional(),
    key: z.string().min(1).max(1024).optional(),
    queue: Name.optional(),
    priority: z.int().min(-1000).max(1000).optional(),
    correlation: z.string().min(1).max(256).optional(),
    causation: EventId.optional(),
    tags: z.array(z.string().min(1).max(128)).max(32).optional(),
    maxAttempts: z.int().min(1).optional(),
    availableAt: z.date().optional(),
    deadline: z.date().optional(),
    by: By,
  })
  .refine(isOnePoint, ONE_POINT);
type Wanted = z.output<typeof Options>;

/** From where, and what is to be different. What is left out is as it is with the parent; a deadline it has only if it is said. */
export interface ForkOptions extends Point {
  /** JSON, at most 1 MiB. */
  input?: Json;
  /** All of the state it begins with. */
  state?: Json;
  /** Results of steps, by their keys, instead of what the parent remembers, or of steps it has not done yet. */
  steps?: Readonly<Record<string, Json>>;
  version?: string;
  /** Whoever says the same key of the same parent means the same fork. */
  key?: string;
  /** Its id, if it is to have one of your own. */
  id?: string;
  queue?: string;
  priority?: number;
  correlation?: string;
  /** The id of the event that leads to it. */
  causation?: string;
  tags?: readonly string[];
  maxAttempts?: number;
  availableAt?: Date;
  deadline?: Date;
  /** Who asks. */
  by?: string;
}

/** @throws what `State.fork` says */
export async function fork(
  parent: string,
  options: ForkOptions,
  context: Context,
  depth: Depth,
): Promise<Started> {
  const wanted = checked(Options, options, "a fork");
  const { run, hasDetails } = await requireRun(parent, context);
  if (!hasDetails) throw removedError(parent);
  const { n, checkpoint } = await resolve(parent, wanted, context);
  const document = await readDocument(parent, n, context.db); // and through all that are read through it
  if (checkpoint) requireState(checkpoint, document);
  const draft = draftOf(run, n, wanted);
  const edits = editsOf(wanted, await readJournal(parent, undefined, context.db));
  try {
    await depth.add();
    return { run: await append(draft, edits, wanted, context), existed: false };
  } catch (error) {
    if (thrownBy(error) === queries.THROWN.removed) throw removedError(parent);
    if (!isThereAlready(error) && !(isFull(error) && (await isThere(draft.id, context)))) throw error;
    return { run: await requireSame(draft, edits, isNow(wanted), context), existed: true };
  }
}

/** G1, G2. */
function draftOf(parent: Run, n: number, wanted: Wanted): RunOf<"queued"> {
  const { kind, name, capabilities, limits, secrets } = parent;
  const { input = parent.input, version = parent.version, queue = parent.queue, key } = wanted;
  const { priority = parent.priority, tags = parent.tags, maxAttempts = parent.maxAttempts } = wanted;
  const { correlation = parent.correlation, causation, deadline, steps } = wanted;
  const inputText = textOf(input, "the input");
  requireWithin("payloadBytes", Buffer.byteLength(inputText), "the input");
  const id = wanted.id ?? (key === undefined ? `r-${randomUUID()}` : runIdFor(`fork of ${parent.id}`, key));
  const epoch = new Date(0);
  return {
    id,
    kind,
    name,
    version,
    queue,
    priority,
    capabilities,
    input,
    inputHash: hashOf(inputText),
    root: id,
    forkOf: { run: parent.id, n },
    ...defined({ correlation, causation, deadline }),
    tags,
    limits,
    secrets,
    revision: 1,
    token: 0,
    attempts: 0,
    maxAttempts,
    steps: Object.keys(steps).length,
    createdAt: epoch,
    updatedAt: epoch,
    availableAt: epoch,
    status: "queued",
  } as RunOf<"queued">;
}

/** Its rows but for their ids and times, as of its first event. */
interface Edits {
  state?: Record<string, unknown>;
  steps: { key: string; row: KeptResult["fields"] & Record<string, unknown> }[];
  contents: blobs.Content[];
}

function editsOf({ state, steps }: Wanted, journal: Journal): Edits {
  const contents: blobs.Content[] = [];
  const edited = Object.entries(steps).map(([key, result]) => {
    const { fields, content } = keptResult(key, textOf(result, `the result of ${key}`));
    if (content) contents.push(content);
    const name = journal.get(key)?.name ?? nameIn(key);
    return { key, row: { n: 1, name, attempts: 1, token: 0, ...fields } };
  });
  const written = state === undefined ? undefined : whole(textOf(state, "the state"));
  if (written?.content) contents.push(written.content);
  return { ...(written ? { state: written.row } : {}), steps: edited, contents };
}

/** Of a step that the parent never did: the key is `scope/name#n`. */
function nameIn(key: string): string {
  return /([^/#]+)(?:#\d+)?$/.exec(key)?.[1] ?? key;
}

async function append(draft: RunOf<"queued">, edits: Edits, wanted: Wanted, context: Context): Promise<Run> {
  const { bus, time } = context;
  const { id, forkOf, kind, name, version, queue, causation } = draft;
  let started: Run | undefined;
  await bus.log.append({
    events: [
      {
        ...about(draft),
        type: "run.queued",
        data: { kind, name, version, queue, forkOf, by: wanted.by, edits: namesOf(wanted) },
        ...(causation === undefined ? {} : { causation }),
      },
    ],
    rows: ([placed], placedAt) => {
      const at = time.of(placedAt);
      started = startedAt(draft, wanted.availableAt, at);
      return [rowOf(started, placed!.position), ...rowsOf(id, edits, at)];
    },
    statements: (_, placedAt): Statement[] => {
      const at = time.of(placedAt);
      return [
        history.requireDetails(forkOf!.run),
        ...blobs.keep(edits.contents, id, at),
        history.relateFork(forkOf!.run, id, forkOf!.n, at),
        ...edges(draft, at),
      ];
    },
  });
  return started!;
}

function rowsOf(id: RunId, { state, steps }: Edits, at: Date): NewRow[] {
  return [
    ...(state ? [{ id: queries.patchId(id, 1), ...state, at }] : []),
    ...steps.map(({ key, row }) => ({
      ...row,
      id: queries.stepId(id, 0, key),
      startedAt: at,
      endedAt: at,
    })),
  ];
}

/** What is different, for the event: the values themselves are nobody's business. */
function namesOf({ input, state, version, steps }: Wanted) {
  const fields = Object.entries({ input, state, version }).filter(([, value]) => value !== undefined);
  return { fields: fields.map(([field]) => field), steps: Object.keys(steps).slice(0, TOLD) };
}

/** An event has 256 KiB. */
const TOLD = 100;

const isNow = ({ n, position, checkpoint }: Wanted) => (n ?? position ?? checkpoint) === undefined;

/** @throws `state.run_conflict` if the one that is there is another */
async function requireSame(draft: Run, edits: Edits, anyPoint: boolean, context: Context): Promise<Run> {
  const { run, hasDetails } = await requireRun(draft.id, context);
  const isFork = run.forkOf?.run === draft.forkOf!.run && (anyPoint || run.forkOf.n === draft.forkOf!.n);
  const isSame = isFork && run.version === draft.version && run.inputHash === draft.inputHash;
  if (isSame && (!hasDetails || (await hasSameEdits(draft.id, edits, context)))) return run;
  throw new StateError({
    code: "state.run_conflict",
    message: `there is a run ${draft.id} already, and it is ${isFork ? "a fork with other edits" : "not that fork"}; take another key, or ask for the same`,
    details: { run: draft.id, forkOf: run.forkOf },
  });
}

async function hasSameEdits(id: RunId, { state, steps }: Edits, { db }: Context): Promise<boolean> {
  const [patches, rows] = await Promise.all([
    db.query(queries.readPatches(id, 1, 1)) as Promise<{ hash: string }[]>,
    db.query(queries.readSteps(id)),
  ]);
  const edited = (rows as EditRow[]).filter(({ n }) => n === 1);
  const outcomes = edited.map((row) => outcomeOf(row.id.id[2], row)).toSorted();
  const wanted = steps.map(({ key, row }) => outcomeOf(key, row)).toSorted();
  return patches[0]?.hash === state?.hash && outcomes.join("\n") === wanted.join("\n");
}

interface EditRow {
  id: { id: [run: string, era: number, key: string] };
  n: number;
  result?: string;
  blob?: string;
}

/** What stands in its row: canonical text, or the hash of one. */
function outcomeOf(key: string, { result, blob }: { result?: string; blob?: string }): string {
  return JSON.stringify([key, blob ?? null, result ?? null]);
}
