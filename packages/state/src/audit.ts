// Audit. Owns: who was let do what that somebody may ask for later, and who was not.
// A1. A record is made in the transaction of what it tells of, where that is one: then neither is there without the other.
// A2. Records are never changed. Each holds the hash of itself and of all before it, so a change is found; that the end was cut
//     off, or all of it written anew, is found by who has noted a hash elsewhere.
// Does not own: what happened to runs, which is in the log.

import type { Statement } from "@sentient/db-pool";
import {
  AuditRecord as AuditRow,
  auditTable,
  canonicalJson,
  hashOf,
  limits,
  requireWithin,
  type Json,
} from "@sentient/schema";
import { z } from "zod";
import * as queries from "./audit-queries.ts";
import type { Context } from "./changing.ts";
import { checked } from "./errors.ts";
import { By, JsonValue, textOf } from "./options.ts";

export type AuditRecord = AuditRow;

const What = AuditRow.shape.what;
const Entry = z.strictObject({ what: What, by: By, data: JsonValue.default({}) });

export interface AuditEntry {
  /** `noun.past`, as in `auth.failed`. */
  what: string;
  /** Who did it, or tried to. */
  by?: string;
  /** JSON; no secret. */
  data?: Json;
}

/** A1. For the statements of an append. */
export function recordOf(entry: AuditEntry, at: Date): Statement {
  const { what, by, data } = checked(Entry, entry, "a record of the audit");
  const text = textOf(data, "the data of a record");
  requireWithin("eventBytes", Buffer.byteLength(text), "the data of a record");
  return queries.add({ what, by, at, data: text }, textToHash({ what, by, at, data }));
}

/** What is hashed of a record, behind the hash of the one before and its number. */
function textToHash({ what, by, at, data }: Pick<AuditRow, "what" | "by" | "at" | "data">): string {
  return JSON.stringify([what, by, at.toISOString(), canonicalJson(data)]);
}

const ListOptions = z.strictObject({
  what: What.optional(),
  by: z.string().min(1).max(256).optional(),
  before: z.int().min(1).optional(),
  limit: z.int().min(1).default(100),
});

export interface AuditListOptions {
  what?: string;
  by?: string;
  /** Those before the record of this number. */
  before?: number;
  /** In a page: 100 if left out, at most `limits.page`. */
  limit?: number;
}

export interface AuditPage {
  /** The latest first. */
  records: AuditRecord[];
  /** For the next page, `before` it; missing when there is no more. */
  next?: number;
}

const VerifyOptions = z
  .strictObject({ n: z.int().min(1), hash: AuditRow.shape.hash })
  .partial()
  .refine(({ n, hash }) => (n === undefined) === (hash === undefined), "say n and hash, or neither");

export type AuditVerified =
  | {
      ok: true;
      /** How many records there are, and the hash of the last: note them where others cannot write. */
      records: number;
      hash?: string;
    }
  | {
      ok: false;
      /** The first record that is not as it was made. */
      n: number;
      damage: "changed" | "missing";
      message: string;
    };

/** Records that are looked through for a page, and checked at a time. */
const LOOKED_THROUGH = 10_000;
const WINDOW = 500;

/** Who was let do what. Found at `state.audit`. */
export class Audit {
  readonly #context: Context;

  /** @internal */
  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * Tells of something that changes nothing of its own, such as somebody who was not let in.
   *
   * @throws `state.bad_option`, `schema.limit`; what `bus.log.append` throws
   * @example await state.audit.record({ what: "auth.failed", by: "10.0.0.7", data: { code: "api.not_authenticated" } });
   */
  async record(entry: AuditEntry): Promise<void> {
    const { bus, time } = this.#context;
    checked(Entry, entry, "a record of the audit");
    await bus.log.append({ statements: (_, placedAt) => [recordOf(entry, time.of(placedAt))] });
  }

  /**
   * A page of records, the latest first.
   *
   * @throws `state.bad_option`, `schema.limit`
   * @example const { records } = await state.audit.list({ what: "auth.failed", limit: 20 });
   */
  async list(options: AuditListOptions = {}): Promise<AuditPage> {
    const { what, by, before, limit } = checked(ListOptions, options, "a list of the audit");
    requireWithin("page", limit, "a page");
    const { n: end } = await this.#head();
    let last = Math.min(end, (before ?? Infinity) - 1);
    const lowest = Math.max(0, last - LOOKED_THROUGH);
    const records: AuditRecord[] = [];
    while (last > lowest && records.length <= limit) {
      const first = Math.max(lowest + 1, last - limits.page + 1);
      const rows = await this.#context.db.query(queries.read(first, last));
      const found = rows.map((row) => auditTable.parse(row)).toReversed();
      records.push(
        ...found.filter(
          (each) => (what === undefined || each.what === what) && (by === undefined || each.by === by),
        ),
      );
      last = first - 1;
    }
    const page = records.slice(0, limit);
    const next = records.length > limit ? page.at(-1)!.n : last > 0 ? last + 1 : undefined;
    return { records: page, ...(next === undefined ? {} : { next }) };
  }

  /**
   * Whether all records are as they were made.
   *
   * @param options the number and the hash of a record as they were noted elsewhere: whether it is still that one
   * @throws `state.bad_option`
   * @example const checked = await state.audit.verify(noted); if (!checked.ok) console.error(checked.message);
   */
  async verify(options: { n?: number; hash?: string } = {}): Promise<AuditVerified> {
    const noted = checked(VerifyOptions, options, "what was noted of the audit");
    const head = await this.#head();
    let before = "";
    let n = 0;
    while (n < head.n) {
      const rows = await this.#context.db.query(queries.read(n + 1, Math.min(head.n, n + WINDOW)));
      if (rows.length === 0) return damaged(n + 1, "missing");
      for (const row of rows) {
        const parsed = readable(row);
        n++;
        if (!parsed) return damaged(n, "changed");
        if (parsed.n !== n) return damaged(n, "missing");
        if (parsed.hash !== hashOf(`${before}\n${n}\n${textToHash(parsed)}`)) return damaged(n, "changed");
        if (noted.n === n && noted.hash !== parsed.hash) return damaged(n, "changed");
        before = parsed.hash;
      }
    }
    if (before !== head.hash) return damaged(n, "changed");
    if (noted.n !== undefined && noted.n > n) return damaged(n + 1, "missing");
    return { ok: true, records: n, ...(n === 0 ? {} : { hash: before }) };
  }

  async #head(): Promise<{ n: number; hash: string }> {
    return (await this.#context.db.query(queries.readHead())) ?? { n: 0, hash: "" };
  }
}

function readable(row: unknown): AuditRecord | undefined {
  try {
    return auditTable.parse(row);
  } catch {
    return undefined; // it is no record of the audit any more
  }
}

function damaged(n: number, damage: "changed" | "missing"): AuditVerified {
  const message =
    damage === "missing"
      ? `the record ${n} of the audit is not there any more`
      : `the record ${n} of the audit is not what was written`;
  return { ok: false, n, damage, message };
}
