// Verify. Owns: whether the events of a run are those that were told, by the hash that each carries of all before it.
// V1. Rows are asked, not events: what was hashed is what is stored.
// V2. What was trimmed is vouched for by what trimming has left of it: the n and the hash of the last event.

import { Event, Hash } from "@sentient/schema";
import { z } from "zod";
import { badOption, EventBusError } from "./errors.ts";
import { hashOfEvent } from "./hash-chain.ts";
import { PageSize } from "./page-size.ts";
import * as queries from "./queries.ts";
import type { ChainPage, EventRow } from "./queries.ts";
import { bytesOf } from "./reader.ts";
import type { Store } from "./store.ts";

export interface VerifyOptions {
  /** What the last event of the run must carry, as it was noted when the run had ended. */
  hash?: string;
}

export type Verified =
  | {
      ok: true;
      /** How many events were looked at. */
      events: number;
      /** The n of the first of them: those before it were trimmed. */
      from: number;
      /** Of the last event. Noted elsewhere, it tells later whether the end was cut off, or all of it written anew. */
      hash: Hash;
    }
  | ({ ok: false } & Damage);

export interface Damage {
  /** Of the first damaged event, if it is there. */
  position?: number;
  /** Which event of the run it is, or would be. */
  n: number;
  /**
   * `changed`: it, or the hash it carries, is not what was told. `missing`: it is not there. `unhashed`: it carries no
   * hash. `disordered`: it stands where it cannot have been appended.
   */
  damage: "changed" | "missing" | "unhashed" | "disordered";
  message: string;
}

/** The event before the one that is looked at. */
interface Last {
  n: number;
  position: number;
  hash: Hash | undefined;
}

/** @throws `event_bus.not_found`, `event_bus.bad_option` */
export async function verify(db: Store, run: string, options: VerifyOptions = {}): Promise<Verified> {
  const { hash: expected } = checkOptions(run, options);
  let last: Last = { n: 0, position: 0, hash: undefined };
  let from: number | undefined;
  let events = 0;
  const size = new PageSize();
  for (let isWhole = false; !isWhole;) {
    const after = from === undefined ? undefined : last.n;
    const page = await size.read(async (limit) => {
      const read = await db.query(queries.readChain(run, after, limit));
      return { ...read, bytes: bytesOf(read.rows), more: read.rows.length === limit };
    });
    const { tail, rows } = page;
    if (tail && tail.n > last.n) last = { n: tail.n, position: 0, hash: tail.hash }; // trimmed, maybe just now
    from ??= last.n + 1;
    for (const row of rows) {
      const damage = damageOf(row, last, page);
      if (damage) return { ok: false, ...damage };
      last = { n: row.n!, position: row.id.id as number, hash: row.hash as Hash };
      events++;
    }
    isWhole = !page.more;
  }
  if (last.n === 0 && expected === undefined) throw notFoundError(run);
  if (expected !== undefined && last.hash !== expected) return { ok: false, ...cutOff(last) };
  if (last.hash === undefined) return { ok: false, ...unhashed(last.n) };
  return { ok: true, events, from: from!, hash: last.hash };
}

/** What is wrong with a row that comes after `last`. */
function damageOf(row: EventRow, last: Last, { head, floor }: ChainPage): Damage | undefined {
  const n = last.n + 1;
  const position = row.id.id as number;
  const it = `the event at position ${position}`;
  const found = (damage: Damage["damage"], message: string): Damage => ({ position, n, damage, message });
  if (Number.isInteger(row.n) && row.n! > n)
    return { n, damage: "missing", message: `event ${n} is missing: ${it} comes next, as number ${row.n}` };
  if (row.n !== n) return found("disordered", `${it} says that it is number ${row.n}, where ${n} comes next`);
  if (position <= (floor?.position ?? 0) || position > (head?.position ?? 0))
    return found("disordered", `${it} lies outside of the log`);
  if (position <= last.position)
    return found("disordered", `${it} comes in its run after the one at position ${last.position}`);
  if (row.hash === undefined) return { position, ...unhashed(n) };
  if (isAsHashed(row, last.hash)) return undefined;
  return found("changed", `${it}, or one before it, is not what its hash was made of`);
}

/** What was written by hand may hold what cannot even be hashed. */
function isAsHashed(row: EventRow, before: Hash | undefined): boolean {
  try {
    return hashOfEvent(row, before) === row.hash;
  } catch {
    return false;
  }
}

function unhashed(n: number): Damage {
  return {
    n,
    damage: "unhashed",
    message: `event ${n} carries no hash; it was not appended by a bus with { hashes: true }`,
  };
}

function cutOff({ n, hash }: Last): Damage {
  const end = hash === undefined ? `event ${n}` : `event ${n} and the hash ${hash}`;
  return {
    n: n + 1,
    damage: "missing",
    message: `the run ends with ${end}, and not as expected: its end was cut off, went on, or was written anew`,
  };
}

function notFoundError(run: string): EventBusError {
  return new EventBusError({
    code: "event_bus.not_found",
    message: `the run ${run} has no events in this log, and had none that were trimmed`,
    details: { run },
  });
}

const Options = z.strictObject({ run: Event.shape.run.unwrap(), hash: Hash.optional() });

function checkOptions(run: string, options: VerifyOptions) {
  const checked = Options.safeParse({ ...options, run });
  if (!checked.success) throw badOption(checked.error);
  return checked.data;
}
