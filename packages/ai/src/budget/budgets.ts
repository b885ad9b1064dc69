// Budgets. Owns: what a run and all that it has started may use of models: tokens, money, turns and time.
// B1. Before a model is asked, what that may cost at most is held, in a transaction of its own; what does not fit is not asked.
// B2. What was really used is written with the turn's result. Until then, and where that never comes, what was held counts whole:
//     a crash uses up more than it did, and never less.
// B3. Only who holds something writes the budget's row, under its revision, and sums up what was settled meanwhile: whoever
//     settles writes a row of its own, and meets nobody.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Bounds, Meter, Metered, Turn, Usage } from "@sentient/agent-core";
import { backoff, DbError, systemClock, type Clock, type Database } from "@sentient/db-pool";
import { migrate, readMigrations } from "@sentient/schema";
import { z } from "zod";
import { AiError } from "../errors.ts";
import { migrationsIn } from "../places.ts";
import { costOf, type ModelPrice } from "../price.ts";
import * as queries from "./queries.ts";
import { Limits, type Amounts, type Budget, type Hold } from "./tables.ts";

/** What tokens cost at most, wherever they come from. */
export type Price = Omit<ModelPrice, "cached">;

export interface MeterOptions extends Limits {
  /** What tokens cost at most, for limits of money. */
  price?: Price;
  /** Tokens of output that are held for a turn that does not say it: 4,096 if left out. The model is held to them. */
  maxOutput?: number;
  /** Tokens of input at most: a byte each if left out, as no token is shorter. */
  estimate?: (turn: Turn) => number;
}

export interface BudgetStatus {
  limits: Limits;
  used: Amounts;
  /** What is held for turns that are under way, or were cut off. */
  held: Amounts;
}

const Options = Limits.extend({
  price: z.object({ input: z.number().min(0), output: z.number().min(0) }).optional(),
  maxOutput: z.int().min(1).default(4_096),
  estimate: z.custom<(turn: Turn) => number>((value) => typeof value === "function").optional(),
}).strict();
type Checked = z.output<typeof Options>;

const HISTORY = "ai_budget";
const NOTHING: Amounts = { tokens: 0, cost: 0, calls: 0 };
const MOST_TRIES = 200;
/** Sums of money are not exact. */
const ROUNDING = 1 + 1e-9;

export class Budgets {
  readonly #db: Database;
  /** Of each tree: who holds something here does so after the one before. */
  readonly #turns = new Map<string, Promise<unknown>>();

  readonly #clock: Clock;

  /** @internal */
  constructor(db: Database, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /**
   * Counts what a conversation costs. The first limits that are said in a tree of runs are those of the tree: whoever belongs to
   * it shares them, in whatever process, and a meter without limits counts into them.
   *
   * @throws `ai.bad_option`; inside a conversation, `ai.budget_exceeded`, which is not tried again
   * @example await converse(ctx, { model, prompt, meter: budgets.meter({ tokens: 100_000, calls: 50 }) });
   */
  meter(options: MeterOptions = {}): Meter {
    const checked = checkedOptions(options);
    return async (metered, ask) => {
      const held = await this.#hold(metered, checked);
      if (!held) return ask();
      try {
        const said = await ask(held.bounds);
        metered.step.write(queries.settleHold(held.id, amountsOf(said.usage, checked.price)));
        return said;
      } catch (error) {
        if (isUncharged(error)) await this.#db.query(queries.settleHold(held.id, { ...NOTHING, calls: 1 }));
        throw error;
      }
    };
  }

  /** What a tree of runs may use and has used; undefined if it has no budget. @param root its first run */
  async of(root: string): Promise<BudgetStatus | undefined> {
    const { budget, holds } = await this.#read(root);
    if (!budget) return undefined;
    const settled = holds.filter(({ isSettled }) => isSettled).map(({ amounts }) => amounts);
    const held = holds.filter(({ isSettled }) => !isSettled).map(({ amounts }) => amounts);
    return { limits: budget.limits, used: sumOf(budget.used, ...settled), held: sumOf(...held) };
  }

  /**
   * Sets what a tree of runs may use from now on, for a person who gives it more, or less.
   *
   * @throws `ai.bad_option`
   * @example await budgets.set(root, { tokens: 200_000 });
   */
  async set(root: string, limits: Limits): Promise<void> {
    const { success, data, error } = Limits.strict().safeParse(limits);
    if (!success) throw badLimits(z.prettifyError(error));
    await this.#db.query(queries.openBudget(root, data, (await this.#read(root)).now));
    await this.#db.query(queries.saveLimits(root, data));
  }

  /** As of the database's time, unless another counts. */
  async #read(root: string) {
    const read = await this.#db.query(queries.readBudget(root));
    return this.#clock === systemClock ? read : { ...read, now: new Date(this.#clock.now()) };
  }

  /** With the limits that somebody of the tree says first; undefined while nobody has. */
  async #opened(root: string, { tokens, cost, calls, time }: Checked) {
    const read = await this.#read(root);
    const limits = defined({ tokens, cost, calls, time });
    if (read.budget || Object.keys(limits).length === 0) return read;
    await this.#db.query(queries.openBudget(root, limits, read.now));
    return this.#read(root);
  }

  /** One after the other in this process; others are met under the revision. */
  async #hold(metered: Metered, options: Checked) {
    const { root } = metered.run;
    const before = this.#turns.get(root);
    const mine = (before ?? Promise.resolve()).then(() => this.#holdNow(metered, options));
    const settled = mine.catch(() => {});
    this.#turns.set(root, settled);
    void settled.then(() => this.#turns.get(root) === settled && this.#turns.delete(root));
    return mine;
  }

  /** B1. @returns undefined for a tree without limits */
  async #holdNow({ run: { root }, step, turn }: Metered, options: Checked): Promise<Held | undefined> {
    const id: Hold["id"] = [root as never, step.idempotencyKey, randomUUID()];
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const { budget, holds, now } = await this.#opened(root, options);
      if (!budget) return undefined;
      const wanted = wantedFor(turn, budget, options);
      const held: Held = { id, bounds: boundsOf(budget, wanted, now) };
      if (holds.some((hold) => keyOf(hold)[2] === id[2])) return held; // its answer was lost
      const over = holds.filter((hold) => hold.isSettled || keyOf(hold)[1] === id[1]); // B2: an earlier try of the same
      const used = sumOf(budget.used, ...over.map(({ amounts }) => amounts));
      const others = holds.filter((hold) => !over.includes(hold)).map(({ amounts }) => amounts);
      requireFits(root, budget, sumOf(used, ...others), wanted.amounts, now);
      try {
        await this.#db.transaction([
          queries.saveUsed(root, budget.revision, used),
          ...(over.length > 0 ? [queries.removeHolds(over.map((hold) => hold.id))] : []),
          queries.createHold(id, wanted.amounts, now),
        ]);
        return held;
      } catch (error) {
        if (!isMoved(error)) throw error;
        await sleep(backoff(tries, { first: 2, max: 100 }));
      }
    }
    throw new AiError({
      code: "ai.model_failed",
      message: `the budget of ${root} changed ${MOST_TRIES} times while something was to be held of it; the model was not asked`,
      retryable: true,
    });
  }
}

interface Held {
  id: Hold["id"];
  bounds: Bounds;
}

const keyOf = ({ id }: queries.HoldRow) => id.id as unknown as Hold["id"];

/**
 * Budgets of trees of runs.
 *
 * @param db the database of the runtime
 * @param options.clock whose time counts instead of the database's; for tests
 * @throws what `migrate` throws
 * @example const budgets = await createBudgets(db);
 */
export async function createBudgets(
  db: Database,
  { clock = systemClock }: { clock?: Clock } = {},
): Promise<Budgets> {
  await migrate(db, { migrations: await readMigrations(migrationsIn("surql-budget/")), history: HISTORY });
  return new Budgets(db, clock);
}

interface Wanted {
  amounts: Amounts;
  maxOutput: number;
}

/** What a turn may use at most. */
function wantedFor(turn: Turn, { limits }: Pick<Budget, "limits">, options: Checked): Wanted {
  const { price, estimate = bytesOf, maxOutput: most } = options;
  if (limits.cost !== undefined && !price)
    throw badLimits("a limit of money needs a price; say what a million tokens cost");
  const input = Math.ceil(estimate(turn));
  const output = turn.maxOutput ?? most;
  return { amounts: amountsOf({ inputTokens: input, outputTokens: output }, price), maxOutput: output };
}

/** No token is shorter than a byte. */
function bytesOf({ instructions = "", messages, tools, output }: Turn): number {
  return Buffer.byteLength(JSON.stringify([instructions, messages, tools, output ?? null]));
}

function amountsOf(usage: Usage, price: Price | undefined): Amounts {
  const { inputTokens, outputTokens, cost = price ? costOf(usage, price) : 0 } = usage;
  return { tokens: inputTokens + outputTokens, cost, calls: 1 };
}

function boundsOf({ limits, openedAt }: Omit<Budget, "id">, { maxOutput }: Wanted, now: Date): Bounds {
  if (limits.time === undefined) return { maxOutput };
  const left = openedAt.getTime() + limits.time - now.getTime();
  return { maxOutput, signal: AbortSignal.timeout(Math.min(Math.max(1, left), 2 ** 31 - 1)) };
}

/** @throws `ai.budget_exceeded` */
function requireFits(
  root: string,
  budget: Omit<Budget, "id">,
  taken: Amounts,
  wanted: Amounts,
  now: Date,
): void {
  const { limits, openedAt } = budget;
  for (const what of ["tokens", "cost", "calls"] as const) {
    const most = limits[what];
    if (most !== undefined && taken[what] + wanted[what] > most * ROUNDING)
      throw exceededError(
        root,
        what,
        `${taken[what]} of ${most} are used or held, and this may take ${wanted[what]}`,
      );
  }
  if (limits.time !== undefined && now.getTime() >= openedAt.getTime() + limits.time)
    throw exceededError(root, "time", `${limits.time} ms have passed`);
}

function exceededError(root: string, what: keyof Limits, why: string): AiError {
  return new AiError({
    code: "ai.budget_exceeded",
    message: `the budget of ${root} for ${what} does not allow another turn: ${why}; the model was not asked. Raise it, or ask for less`,
    retryable: false,
    details: { root, what },
  });
}

function badLimits(why: string): AiError {
  return new AiError({ code: "ai.bad_option", message: `a budget: ${why}` });
}

function checkedOptions(options: MeterOptions): Checked {
  const parsed = Options.safeParse(options);
  if (!parsed.success) throw badLimits(z.prettifyError(parsed.error));
  if (parsed.data.cost !== undefined && !parsed.data.price)
    throw badLimits("a limit of money needs a price; say what a million tokens cost");
  return parsed.data;
}

/** The provider has refused to work for it. */
function isUncharged(error: unknown): boolean {
  const { status } = ((error as { details?: unknown }).details ?? {}) as { status?: unknown };
  return typeof status === "number" && status >= 400;
}

function isMoved(error: unknown): boolean {
  if (!(error instanceof DbError)) return false;
  return (
    error.details?.thrown === queries.STALE || error.code === "db.conflict" || error.outcome === "unknown"
  );
}

function sumOf(...all: readonly Amounts[]): Amounts {
  return all.reduce(
    (sum, { tokens, cost, calls }) => ({
      tokens: sum.tokens + tokens,
      cost: sum.cost + cost,
      calls: sum.calls + calls,
    }),
    NOTHING,
  );
}

function defined(limits: Record<string, number | undefined>): Limits {
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
}
