// Batches. Owns: many entries as one transaction, which of them it was when that fails, and how to ask for it when nobody
// said what became of it.

import { randomUUID } from "node:crypto";
import type { DbError, RecordId, Statement } from "@sentient/db-pool";
import type { Draft, Placed } from "./draft.ts";
import { EventBusError } from "./errors.ts";
import { hashOfEvent } from "./hash-chain.ts";
import * as queries from "./queries.ts";
import type { EventRow, LastOfRun, Settled } from "./queries.ts";
import type { Pending } from "./queue.ts";
import type { Runs } from "./runs.ts";

/** Where a batch goes. */
export interface Place {
  producer: RecordId;
  /** Its number, if it has no events. */
  number: number;
  /** The last position given. */
  head: Pick<queries.Head, "position" | "epoch">;
  at: Date;
  /** As of `head`. */
  runs: Runs;
  /** Whether each event carries the hash of its run up to it. */
  hashes: boolean;
  /** Whether others are to be told of its events, by the bell. */
  rings: boolean;
}

type Failure =
  /** Somebody else has appended meanwhile. */
  | { what: "stale" }
  /** The producer's number is not the one before: it was settled by force, or its row is gone. */
  | { what: "other batch" }
  /** There is an event of this id already. */
  | { what: "duplicate" }
  /** A run has an event of this n already. */
  | { what: "run moved" }
  /** There is an event at a position behind the head. */
  | { what: "place taken" }
  | { what: "entry"; index: number; error: unknown };

/** One transaction: the head and the events, or its number; then each entry's guards and statements, and maybe the bell. */
export class Batch {
  readonly entries: readonly Pending[];
  readonly place: Place;
  readonly rows: readonly EventRow[];
  /** For each entry, in its order. */
  readonly placed: readonly Placed[][];
  readonly statements: Statement[] = [];
  /** Which entry a statement belongs to, and whether it is one of its guards, by its index. */
  readonly #owners = new Map<number, { index: number; guard: number | undefined }>();
  /** Which entries the rows of a statement belong to, by its index. */
  readonly #rowOwners = new Map<number, { id: string; index: number }[]>();

  constructor(entries: readonly Pending[], place: Place) {
    const { producer, number, rings, head, at } = place;
    const { rows, placed } = placeAll(entries, place);
    this.entries = entries;
    this.place = place;
    this.rows = rows;
    this.placed = placed;
    const [first] = rows;
    const to = head.position + rows.length;
    if (first) {
      first.batch = randomUUID();
      this.statements.push(queries.moveHead({ producer, from: head, to, at }), queries.insertEvents(rows));
    } else {
      this.statements.push(queries.numberBatch(producer, number));
    }
    this.#insertRows();
    entries.forEach((entry, index) => this.#add(entry, index));
    if (first && rings) this.statements.push(queries.ringBell(to));
  }

  get hasEvents(): boolean {
    return this.rows.length > 0;
  }

  /** Asks whether it was applied, and if it was not, sees to it that it never will be. */
  get settle(): Statement<Settled> {
    const { producer, number, head } = this.place;
    const batch = this.rows[0]?.batch;
    return batch === undefined ? queries.settleNumber(producer, number) : queries.settleEvents(batch, head);
  }

  #insertRows(): void {
    const owned = this.entries.flatMap(({ rows }, index) =>
      rows(this.placed[index]!, this.place.at).map((row) => ({ row, index })),
    );
    for (const [table, those] of Map.groupBy(owned, ({ row }) => row.id.table.name)) {
      this.#rowOwners.set(
        this.statements.length,
        those.map(({ row, index }) => ({ id: String(row.id), index })),
      );
      this.statements.push(
        queries.insertRows(
          table,
          those.map(({ row }) => row),
        ),
      );
    }
  }

  #add({ guards, statements }: Pending, index: number): void {
    const before = this.entries[index - 1]?.guards ?? [];
    guards.forEach((guard, i) => {
      if (!before.includes(guard)) this.#push(queries.holds(guard), index, i);
    });
    for (const statement of statements(this.placed[index]!, this.place.at))
      this.#push(statement, index, undefined);
  }

  #push(statement: Statement, index: number, guard: number | undefined): void {
    this.#owners.set(this.statements.length, { index, guard });
    this.statements.push(statement);
  }

  /** Undefined if the database does not say which row it was. */
  #whoseRowFailed(rows: readonly { id: string; index: number }[], error: DbError): Failure | undefined {
    const owner = rows.length === 1 ? rows[0] : rows.findLast(({ id }) => id === error.details?.id);
    return owner && { what: "entry", index: owner.index, error };
  }

  /** Undefined if it was none of its statements. */
  whatFailed(error: DbError): Failure | undefined {
    const at = error.statement?.index;
    if (at === undefined) return undefined;
    const owner = this.#owners.get(at);
    if (owner) return { what: "entry", index: owner.index, error: errorOf(error, owner.guard) };
    const rows = this.#rowOwners.get(at);
    if (rows) return this.#whoseRowFailed(rows, error);
    const thrown = error.details?.thrown;
    if (thrown === queries.THROWN.otherBatch) return { what: "other batch" };
    if (thrown === queries.THROWN.stale) return { what: "stale" };
    if (!this.hasEvents || at !== INSERT) return undefined;
    if (error.code === "db.already_exists") return { what: "place taken" };
    if (error.code !== "db.unique") return undefined;
    return { what: error.details?.index === "byEventId" ? "duplicate" : "run moved" };
  }
}

/** Which statement of a batch with events inserts them. */
const INSERT = 1;

function errorOf(error: DbError, guard: number | undefined): unknown {
  if (guard === undefined || error.code !== "db.thrown") return error;
  const thrown = error.details?.thrown;
  const said = thrown === queries.THROWN.guard ? "it answered nothing" : `it threw: ${thrown}`;
  return new EventBusError({
    code: "event_bus.guard_failed",
    message: `guard ${guard + 1} of the entry does not hold (${said}), so nothing of the entry was committed`,
    cause: error,
    details: { guard, ...(thrown === queries.THROWN.guard ? {} : { thrown }) },
  });
}

function placeAll(
  entries: readonly Pending[],
  { head, at, runs, hashes }: Place,
): { rows: EventRow[]; placed: Placed[][] } {
  const rows: EventRow[] = [];
  const moved = new Map<string, LastOfRun>();
  const placeOne = (draft: Draft): Placed => {
    const position = head.position + rows.length + 1;
    const row: EventRow = { id: queries.eventId(position), ...draft, at };
    rows.push(row);
    if (draft.run === undefined) return { position };
    const before = moved.get(draft.run) ?? runs.last(draft.run);
    row.n = before.n + 1;
    if (hashes) row.hash = hashOfEvent(row, before.hash);
    moved.set(draft.run, queries.lastOf(row)!);
    return { position, n: row.n };
  };
  return { rows, placed: entries.map(({ drafts }) => drafts.map(placeOne)) };
}
