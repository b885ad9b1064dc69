import { surql, type Database } from "@sentient/db-pool";
import { expect } from "vitest";
import type { EventRow } from "../../src/queries.ts";

/** An event as the database has it. */
export type Stored = Omit<EventRow, "id"> & { position: number };

/** The whole log, in the order of positions. */
export async function storedIn(db: Database): Promise<Stored[]> {
  const rows = await db.query(surql<EventRow[]>`SELECT * FROM event`);
  return rows
    .map(({ id, ...row }) => ({ ...row, position: id.id as number }))
    .sort((a, b) => a.position - b.position);
}

/** Positions are 1, 2, 3 … up to the head, and so is every run's n; no time falls. */
export async function expectInOrder(db: Database): Promise<Stored[]> {
  const stored = await storedIn(db);
  const head = await db.query(surql<number>`SELECT VALUE position FROM ONLY log:head`);
  expect(head, "the head").toBe(stored.length);
  expect(stored.map(({ position }) => position)).toEqual(stored.map((_, i) => i + 1));
  for (const [run, events] of Map.groupBy(stored, (event) => event.run)) {
    if (run === undefined) continue;
    expect(
      events.map(({ n }) => n),
      `n of ${run}`,
    ).toEqual(events.map((_, i) => i + 1));
  }
  const times = stored.map(({ at }) => at.getTime());
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  return stored;
}

/** What an event told, without its place. */
export const dataOf = ({ data }: { data: string }): unknown => JSON.parse(data);
