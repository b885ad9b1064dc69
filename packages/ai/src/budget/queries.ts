// Every SurrealQL text about budgets.

import { BoundIncluded, RecordId, RecordIdRange, surql } from "@sentient/db-pool";
import type { Amounts, Budget, Hold, Limits } from "./tables.ts";

export const STALE = "ai.stale";

const budgetId = (root: string): RecordId<"ai_budget"> => new RecordId("ai_budget", root);
const holdId = ([root, use, at]: readonly [string, string, string]): RecordId<"ai_hold"> =>
  new RecordId("ai_hold", [root, use, at]);
/** Sorts behind every text. */
const LAST = "\u{10FFFF}";
const holdsOf = (root: string): RecordIdRange =>
  new RecordIdRange(
    "ai_hold",
    new BoundIncluded([root, "", ""] as never),
    new BoundIncluded([root, LAST, LAST] as never),
  );

type Row<T extends { id: unknown }> = Omit<T, "id">;
export interface HoldRow extends Row<Hold> {
  id: RecordId;
}

export const openBudget = (root: string, limits: Limits, openedAt: Date) => surql`
  INSERT IGNORE INTO ai_budget ${{
    id: budgetId(root),
    limits,
    used: { tokens: 0, cost: 0, calls: 0 },
    revision: 1,
    openedAt,
  }} RETURN NONE`;

export const readBudget = (root: string) => surql<{
  budget: Row<Budget> | undefined;
  holds: HoldRow[];
  now: Date;
}>`{
  { budget: (SELECT * FROM ONLY ${budgetId(root)}), holds: (SELECT * FROM ${holdsOf(root)}), now: time::now() }
}`;

/** Under the revision; what was summed up goes, and what is held comes, in the same transaction. */
export const saveUsed = (root: string, revision: number, used: Amounts) => surql`
  (UPDATE ONLY ${budgetId(root)} SET used = ${used}, revision = ${revision + 1}
    WHERE revision = ${revision} RETURN VALUE revision) ?? { THROW ${STALE} }`;

export const removeHolds = (ids: readonly RecordId[]) => surql`DELETE ${[...ids]} RETURN NONE`;

export const createHold = (id: Hold["id"], amounts: Amounts, at: Date) =>
  surql`CREATE ${holdId(id)} CONTENT ${{ amounts, isSettled: false, at }} RETURN NONE`;

export const settleHold = (id: Hold["id"], amounts: Amounts) =>
  surql`UPDATE ${holdId(id)} SET amounts = ${amounts}, isSettled = true RETURN NONE`;

export const saveLimits = (root: string, limits: Limits) => surql<number[]>`
  UPDATE ${budgetId(root)} SET limits = ${limits}, revision += 1 RETURN VALUE revision`;
