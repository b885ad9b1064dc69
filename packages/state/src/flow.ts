// Limits. Owns: what a queue or an agent may do at most. What holds to it is the claim (claim.ts, K4).
// F1. A claim that is committed after a limit was set keeps to it. Runs that were claimed before there was one do not count
//     against it.
// F2. A rate is a bucket of starts, which holds `count` and fills up in `per` milliseconds: in any time T there are at most
//     `count + T × count / per` starts. Every claim is a start, also that of a run which goes on.
// F3. What code says of an agent is remembered beside its limit, in a row that no claim looks at: code changes what it has said
//     itself, and nothing that somebody has set instead.

import type { Statement } from "@sentient/db-pool";
import { Name, type FlowLimit } from "@sentient/schema";
import { z } from "zod";
import type { Context } from "./changing.ts";
import { limitSaid, startsLeft, type FlowLimitRow } from "./claim-queries.ts";
import { checked, notFoundError } from "./errors.ts";
import * as queries from "./flow-queries.ts";
import { retried } from "./retried.ts";
import { defined } from "./telling.ts";

const Key = Name.refine(
  (key) => /^(queue|agent):[A-Za-z0-9]/.test(key),
  "queue:<name> or agent:<name>; a limit by a key of one's own comes with the run",
);

const Concurrency = z.int().min(1).max(100_000).optional();

const Options = z
  .strictObject({
    concurrency: Concurrency,
    rate: z
      .strictObject({
        count: z.int().min(1).max(1_000_000),
        per: z
          .int()
          .min(1)
          .max(31 * 24 * 3_600_000),
      })
      .optional(),
  })
  .refine(({ concurrency, rate }) => concurrency ?? rate, "a concurrency, or a rate, or both");

export interface LimitOptions {
  /** How many of its runs may run at once, at most 100,000. */
  concurrency?: number;
  /** How many of its runs may start in so many milliseconds, and how many at once. */
  rate?: { count: number; per: number };
}

/** What a queue or an agent may do at most, and what of it is left. */
export interface Limit extends LimitOptions {
  key: string;
  /** The runs that count against its concurrency. */
  holders: string[];
  /** How many may start now by its rate. */
  startsLeft?: number;
  updatedAt: Date;
}

/** Begins the keys of what code says, which are followed by the name of an agent. */
const CODE = "code:";

/** What queues and agents may do at most. Found at `state.limits`. */
export class Limits {
  readonly #context: Context;

  /** @internal */
  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * Says what a queue or an agent may do at most; what is left out is not limited. Told again it changes nothing.
   *
   * @param key `queue:<name>` or `agent:<name>`
   * @throws `state.bad_option`
   * @example await state.limits.set("queue:default", { concurrency: 10, rate: { count: 100, per: 60_000 } });
   */
  async set(key: string, options: LimitOptions): Promise<Limit> {
    const name = checked(Key, key, "the key of a limit");
    const wanted = defined(checked(Options, options, `the limit ${key}`));
    const { bus, time } = this.#context;
    return retried(`the limit ${key}`, async () => {
      const [before] = await this.#read([name]);
      if (before && JSON.stringify(limitSaid(before)) === JSON.stringify(limitSaid(wanted))) return before;
      await bus.log.append({
        events: [{ type: "limit.changed", data: { key, ...wanted } }],
        statements: (_, placedAt) => {
          const row: Omit<FlowLimit, "id"> = { ...wanted, updatedAt: time.of(placedAt) };
          return [queries.saveLimit(key, row, before ? limitSaid(before) : null, time.now)];
        },
      });
      return this.get(key);
    });
  }

  /** @throws `state.not_found` */
  async get(key: string): Promise<Limit> {
    const [limit] = await this.#read([key]);
    if (!limit) throw notFoundError("limit", key);
    return limit;
  }

  /** All that were set, by their keys. @example const limits = await state.limits.list(); */
  list(): Promise<Limit[]> {
    return this.#read(null);
  }

  /**
   * Lets a queue or an agent do what it can.
   *
   * @returns whether there was a limit
   * @example await state.limits.remove("queue:default");
   */
  async remove(key: string): Promise<boolean> {
    return retried(`the limit ${key}`, async () => {
      const [before] = await this.#read([key]);
      if (!before) return false;
      await this.#context.bus.log.append({
        events: [{ type: "limit.changed", data: { key } }],
        statements: [queries.removeLimit(key)],
      });
      return true;
    });
  }

  /**
   * Says how many runs of an agent its code wants at once; with undefined, that it says nothing any more. That holds unless
   * somebody has `set` another number. What `remove` has taken away is there again once code says it the next time.
   *
   * @param agent its name
   * @throws `state.bad_option`
   * @example await state.limits.declare("mail", 5);
   */
  async declare(agent: string, concurrency: number | undefined): Promise<void> {
    const key = `agent:${agent}`;
    checked(Concurrency, concurrency, `the limit ${key}`);
    if (concurrency !== undefined) checked(Key, key, "the key of a limit");
    await retried(`the limit ${key}`, () => this.#declare(key, `${CODE}${agent}`, concurrency));
  }

  /** F3. */
  async #declare(key: string, memo: string, concurrency: number | undefined): Promise<void> {
    const { db, bus, time } = this.#context;
    const { rows } = await db.query(queries.readLimits([key, memo], time.now));
    const [limit, declared] = [key, memo].map((each) => rows.find(({ id }) => id.id === each));
    const isSame = limit?.concurrency === concurrency;
    if (isSame && declared?.concurrency === concurrency) return;
    const isOwn = limit?.concurrency === undefined || limit.concurrency === declared?.concurrency;
    if (!isOwn && (concurrency !== undefined || !declared)) return;
    const wanted = defined({ concurrency, rate: limit?.rate });
    await bus.log.append({
      events: isOwn && !isSame ? [{ type: "limit.changed", data: { key, ...wanted } }] : [],
      statements: (_, placedAt) => {
        const updatedAt = time.of(placedAt);
        const said = { ...defined({ concurrency }), updatedAt };
        return [
          ...(isOwn ? this.#saved(key, { ...wanted, updatedAt }, limit) : []),
          ...this.#saved(memo, said, declared),
        ];
      },
    });
  }

  /** A limit, if it says still what was seen; one that limits nothing is none. */
  #saved(key: string, row: Omit<FlowLimit, "id">, before: FlowLimitRow | undefined): Statement[] {
    const seen = before ? limitSaid(before) : null;
    if (row.concurrency !== undefined || row.rate)
      return [queries.saveLimit(key, row, seen, this.#context.time.now)];
    return seen ? [queries.removeLimit(key, seen)] : [];
  }

  async #read(keys: readonly string[] | null): Promise<Limit[]> {
    const { db, time } = this.#context;
    const { now, rows, holders } = await db.query(queries.readLimits(keys, time.now));
    return rows.flatMap((row, i) => {
      const { id, concurrency, rate, updatedAt } = row;
      if (id.id.startsWith(CODE)) return [];
      return {
        key: id.id,
        ...defined({ concurrency, rate }),
        holders: holders[i]!,
        ...(rate ? { startsLeft: Math.floor(startsLeft(row, rate, now)) } : {}),
        updatedAt,
      };
    });
  }
}
