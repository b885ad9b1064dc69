// Whether nothing was lost and nothing doubled, by the log, the journals and what was noted outside the database.

import type { EventBus } from "@sentient/event-bus";
import type { Event } from "@sentient/schema";
import { expect } from "vitest";
import { allEvents } from "./all-events.ts";
import type { House } from "./house.ts";

export { allEvents };

export const range = (length: number, first = 0): number[] => Array.from({ length }, (_, i) => first + i);

export async function typesOf(bus: EventBus, run: string): Promise<string[]> {
  const { events } = await bus.history({ run, limit: 1_000 });
  return events.map(({ type }) => type);
}

const dataOf = ({ data }: Event) => data as Record<string, unknown>;

/** Events of one run: numbered without gaps, one result for each step, and one end, which is the last. */
export function expectOneStory(events: readonly Event[]): void {
  expect(events.map(({ n }) => n)).toEqual(range(events.length, 1));
  const results = events.filter(
    ({ type, data }) =>
      type === "step.completed" || (type === "step.failed" && !(data as { retryAt?: string }).retryAt),
  );
  const keys = results.map((event) => dataOf(event).key);
  expect(keys.length).toBe(new Set(keys).size);
  const ends = events.filter(({ type }) => /^run\.(completed|failed|cancelled)$/.test(type));
  expect(ends).toEqual(events.slice(-1));
}

/** Runs that are looked at together. */
const AT_ONCE = 50;

/** Each run of `count` is complete, with one result for each of its steps, of whoever held it then. */
export async function expectCounted(at: House, ids: readonly string[], steps: number): Promise<Event[]> {
  const events = await allEvents(at.sentient.events);
  const byRun = Map.groupBy(events, ({ run }) => run);
  const sum = (steps * (steps - 1)) / 2;
  const expectThis = async (id: string) => {
    const mine = byRun.get(id as Event["run"]) ?? [];
    expectOneStory(mine);
    expect(await at.sentient.get(id)).toMatchObject({ status: "completed", output: sum, steps });
    expect(await at.sentient.stateAt(id)).toEqual({ sum });
    const journal = await at.sentient.state.journal(id);
    expect([...journal.keys()].toSorted()).toEqual(
      range(steps)
        .map((i) => `main/s${i}#1`)
        .toSorted(),
    );
    const starts = mine.filter(({ type }) => type === "run.started");
    for (const { n, token } of journal.values())
      expect(token).toBe(dataOf(starts.findLast((started) => started.n! < n)!).token);
  };
  for (let i = 0; i < ids.length; i += AT_ONCE) await Promise.all(ids.slice(i, i + AT_ONCE).map(expectThis));
  return events;
}

/** How long runs had nobody: from the death of a worker until another got its lease, on the database's clock. */
export function takeOvers(events: readonly Event[], deaths: ReadonlyMap<string, Date>): number[] {
  const waits: number[] = [];
  const last = new Map<string, string>();
  for (const event of events) {
    const { type, run, at } = event;
    if (/^run\.(completed|failed|cancelled|waiting)$/.test(type)) last.delete(run!);
    if (type !== "run.started") continue;
    const death = deaths.get(last.get(run!) ?? "");
    if (death) waits.push(at.getTime() - death.getTime());
    last.set(run!, dataOf(event).worker as string);
  }
  return waits;
}
