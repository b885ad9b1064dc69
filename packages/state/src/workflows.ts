// Workflows, as whoever coordinates them from outside sees them: a row with a state, changed under its revision.
// W1. Who changes a run says which revision they saw; if it is another by now nothing is changed, and they are told so.
// W2. A run that a worker holds is changed by its worker alone, and one that is over by nobody.
// W3. What is added to a history becomes an event of the run: nobody reads a list to write it back.

import type { NewEvent } from "@sentient/event-bus";
import type { Json, Run as StoredRun } from "@sentient/schema";
import jsonPatch, { type Operation } from "fast-json-patch"; // CommonJS: Node finds no names in it
import { z } from "zod";
import * as blobs from "./blobs.ts";
import { badChange, OwnEventType } from "./change.ts";
import { changeRun, requireRun, type Context } from "./changing.ts";
import { thrownBy } from "./commit.ts";
import { change, type Written } from "./document.ts";
import { readDocument } from "./documents.ts";
import { checked, notFoundError, revisionMismatchError, StateError } from "./errors.ts";
import { By, JsonValue, textOf } from "./options.ts";
import { history, type RunHistory, type RunHistoryOptions } from "./list.ts";
import { patchId, requireThere, THROWN } from "./queries.ts";
import type { Run } from "./run.ts";
import type { Started, StartOptions } from "./start.ts";
import { about, defined } from "./telling.ts";

/** A run and its own state. */
export interface Workflow {
  run: Run;
  state: Json;
}

export type WorkflowOptions = Omit<StartOptions, "kind" | "key" | "lease"> & {
  /** Its own id: whoever says the same means the same workflow. */
  id: string;
};

const Update = z
  .strictObject({
    revision: z.int().min(0),
    state: JsonValue.optional(),
    patch: z.array(JsonValue).max(1_000).optional(),
    tags: z.array(z.string().min(1).max(128)).max(32).optional(),
    by: By,
  })
  .refine(({ state, patch }) => state === undefined || patch === undefined, "say state or patch, not both");

export interface WorkflowUpdate {
  /** The one that was seen: `run.revision`. */
  revision: number;
  /** All of the state as it is from now on. */
  state?: Json;
  /** Or what is different in it: JSON Patch (RFC 6902). */
  patch?: readonly Json[];
  /** All of its tags. */
  tags?: readonly string[];
  by?: string;
}

const Entry = z.strictObject({
  type: OwnEventType,
  data: JsonValue.optional(),
  id: z.string().optional(),
  source: z.string().optional(),
  correlation: z.string().optional(),
  causation: z.string().optional(),
});

export interface HistoryEntry {
  /** Small words with dots, as in `review.noted`; none of the runtime's own. */
  type: string;
  data?: Json;
  /** Added twice under one id, it was added once. */
  id?: string;
  source?: string;
  correlation?: string;
  /** The id of the event it follows from. */
  causation?: string;
}

/** Workflows from outside; of tasks all but `create` holds too. */
export class Workflows {
  readonly #context: Context;
  readonly #start: (options: StartOptions) => Promise<Started>;
  readonly #turns = new Map<string, Promise<unknown>>();

  /** @internal */
  constructor(context: Context, start: (options: StartOptions) => Promise<Started>) {
    this.#context = context;
    this.#start = start;
  }

  /**
   * Creates a workflow under its own id, or answers with the one that was created before.
   *
   * @throws `state.run_conflict` if that one has another name, input or first state; `state.bad_option`, `schema.limit`
   * @example const { run, state } = await state.workflows.create({ id: "order-17", name: "order", state: { items: [] } });
   */
  async create(options: WorkflowOptions): Promise<Workflow & { existed: boolean }> {
    checked(z.looseObject({ id: z.string(), kind: z.never().optional() }), options, "a workflow");
    const { run, existed } = await this.#start({ ...options, kind: "workflow" });
    return { ...(existed ? await this.get(run.id) : { run, state: options.state ?? {} }), existed };
  }

  /** @throws `state.not_found` @example const { run, state } = await state.workflows.get("order-17"); */
  async get(id: string): Promise<Workflow> {
    const { run } = await requireRun(id, this.#context); // before its state: under its revision nothing older is written
    const { state } = await readDocument(id, undefined, this.#context.db);
    return { run, state };
  }

  /**
   * Changes the state or the tags of a run that no worker holds, if it is still what was seen.
   *
   * @throws `state.revision_mismatch` with `details: { expected, revision }`: read it again, and decide anew;
   * `state.illegal_transition` while a worker holds it, and once it is over; `state.bad_change` for a patch that does not fit
   * its state; `state.not_found`, `state.bad_option`, `schema.limit`
   * @example await state.workflows.update("order-17", { revision: run.revision, patch: [{ op: "add", path: "/items/-", value: "tea" }] });
   */
  async update(id: string, options: WorkflowUpdate): Promise<Workflow> {
    const wanted = checked(Update, options, "an update");
    return this.#inTurn(id, () => this.#update(id, wanted));
  }

  /** One after the other in this process: of those that meet in one commit all but the first would fail, each on its own. */
  async #inTurn<T>(id: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(id) ?? Promise.resolve()).then(work, work);
    this.#turns.set(id, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(id) === turn) this.#turns.delete(id);
    }
  }

  async #update(id: string, wanted: z.output<typeof Update>): Promise<Workflow> {
    let after: Json = {};
    const run = await changeRun(
      id,
      async ({ run: before }) => {
        requireChangeable(before, wanted.revision);
        const document = await readDocument(id, undefined, this.#context.db);
        const next = wanted.patch ? patched(document.state, wanted.patch) : (wanted.state ?? document.state);
        const written = change(document, textOf(next, "the state"));
        after = written?.next.state ?? document.state;
        const tags = wanted.tags ?? before.tags;
        if (!written && isEqual(tags, before.tags)) return undefined;
        return edit(id, written, tags, wanted.by);
      },
      this.#context,
    );
    return { run, state: after };
  }

  /** What happened to a run. @throws `state.not_found`, `state.bad_option`, `schema.limit`, `event_bus.position_trimmed` */
  history(id: string, options: RunHistoryOptions = {}): Promise<RunHistory> {
    return history(id, options, this.#context);
  }

  /**
   * Adds an entry to the history of a run, also of one that is over: it tells of something beside it and changes nothing.
   *
   * @returns which of its events it is, and where in the log
   * @throws `state.not_found`, `state.bad_option`, `schema.limit`, `event_bus.invalid_event`; `event_bus.event_conflict` if
   * something else was told under its id
   * @example await state.workflows.addHistory("order-17", { type: "review.noted", data: { stars: 5 } });
   */
  async addHistory(id: string, entry: HistoryEntry): Promise<{ n: number; position: number }> {
    const { id: eventId, ...told } = defined(checked(Entry, entry, "an entry of a history"));
    const { run } = await requireRun(id, this.#context);
    const event: NewEvent = { ...about(run), ...told, ...(eventId === undefined ? {} : { eventId }) };
    try {
      const statements = [requireThere(id)];
      const [placed] = await this.#context.bus.log.append({ events: [event], statements });
      return { n: placed!.n!, position: placed!.position };
    } catch (error) {
      throw thrownBy(error) === THROWN.stale ? notFoundError("run", id) : error;
    }
  }
}

/** W1 and W2. */
function requireChangeable({ id, status, revision }: Run, expected: number): void {
  if (status === "running")
    throw new StateError({
      code: "state.illegal_transition",
      message: `the run ${id} is held by a worker, which alone changes it: pause it first, or send it a signal`,
      details: { run: id, status },
    });
  if (expected === revision || ["completed", "failed", "cancelled"].includes(status)) return; // what is over says so itself
  throw revisionMismatchError(`the run ${id}`, { run: id, expected, revision });
}

function edit(id: string, written: Written | undefined, tags: readonly string[], by: string) {
  const contents = written?.content ? [written.content] : [];
  return {
    events: [{ event: { type: "state.changed" as const }, told: { data: { by } } }],
    edit: { tags: [...tags] } satisfies Partial<StoredRun>,
    rows: ([placed]: readonly { n?: number }[], at: Date) =>
      written ? [{ id: patchId(id, placed!.n!), ...written.row, at }] : [],
    statements: (_: unknown, at: Date) => blobs.keep(contents, id, at),
  };
}

/** @throws `state.bad_change` */
function patched(state: Json, patch: readonly Json[]): Json {
  try {
    const operations = structuredClone(patch) as unknown as Operation[];
    return jsonPatch.applyPatch(structuredClone(state), operations, true, true).newDocument;
  } catch (cause) {
    const [why] = (cause as Error).message.split("\n");
    throw badChange(`the patch does not fit the state: ${why}`, cause);
  }
}

function isEqual(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((tag, i) => tag === other[i]);
}
