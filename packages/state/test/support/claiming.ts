import type { Statement } from "@sentient/db-pool";
import type { Entry, EventBus } from "@sentient/event-bus";
import { sabotage } from "@sentient/testkit";
import { expect } from "vitest";
import type { State } from "../../src/index.ts";
import type { Lease } from "../../src/lease.ts";
import type { StartOptions } from "../../src/start.ts";

export const serving = (...names: string[]) => names.map((name) => ({ name, versions: ["1"] }));

/** Starts so many runs, one after the other in the log. @returns their ids */
export async function startMany(
  state: State,
  count: number,
  options: Omit<StartOptions, "name"> & { name?: string } = {},
): Promise<string[]> {
  const started = Array.from({ length: count }, () => state.start({ name: "a", ...options }));
  return (await Promise.all(started)).map(({ run }) => run.id);
}

/** Claims what it can get, of agents called a. */
export async function take(
  state: State,
  max = 1,
  worker = "w-1",
  more: { inDoubt?: number } = {},
): Promise<Lease[]> {
  return state.claim({ worker, serves: serving("a"), max, ...more });
}

export const idsOf = (leases: readonly Lease[]): string[] => leases.map(({ run }) => run.id);

const LEAVES = new Set([
  "run.released",
  "run.waiting",
  "run.paused",
  "run.parked",
  "run.completed",
  "run.failed",
  "run.cancelled",
]);

/** How many runs of a kind ran at once at most, by what the log tells. */
export async function mostAtOnce(bus: EventBus, isOne: (run: string) => boolean): Promise<number> {
  const running = new Set<string>();
  let most = 0;
  let after = 0;
  for (;;) {
    const { events, next } = await bus.history({ after, limit: 1_000 });
    for (const { type, run } of events) {
      if (run === undefined || !isOne(run)) continue;
      if (type === "run.started") running.add(run);
      if (LEAVES.has(type)) running.delete(run);
      most = Math.max(most, running.size);
    }
    if (next === undefined) return most;
    after = next;
  }
}

/** Whether an entry is a claim. */
export function isClaim({ events = [] }: Entry): boolean {
  return events[0]?.type === "run.started";
}

/** The statements of an entry with something else in their text, whatever it was made of. */
export function reworded({ statements = [], ...entry }: Entry, from: string, to: string): Entry {
  const change = (statement: Statement): Statement =>
    new Proxy(statement, {
      get(target, name) {
        if (name === "render")
          return (bindings: Record<string, unknown>, used?: number) => {
            const { text, ...rest } = target.render(bindings, used);
            return { ...rest, text: text.replaceAll(from, to) };
          };
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? (value as () => unknown).bind(target) : value;
      },
    });
  const all = typeof statements === "function" ? statements : () => statements;
  return { ...entry, statements: (placed, at) => all(placed, at).map(change) };
}

/** What a check finds once its protection is off, and no other failure. */
export async function control(name: string, run: () => unknown): Promise<void> {
  expect(await sabotage(name, run)).toMatchObject({ name: "AssertionError" });
}
