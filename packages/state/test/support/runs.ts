// Runs under test: how they are started, held, and what is left of them.

import { inspect } from "node:util";
import { SentientError } from "@sentient/db-pool";
import type { EventBus } from "@sentient/event-bus";
import type { Event, Json } from "@sentient/schema";
import { onTestFinished, vi } from "vitest";
import type { Change } from "../../src/change.ts";
import type { ClaimOptions } from "../../src/claim.ts";
import type { State } from "../../src/index.ts";
import type { Lease } from "../../src/lease.ts";
import type { StartOptions } from "../../src/start.ts";

export const range = (length: number, first = 0): number[] => Array.from({ length }, (_, i) => first + i);

/** What the workers of these tests can run. */
export const serves: ClaimOptions["serves"] = [{ name: "research", versions: ["1"] }];

/** The error of this family that `work` fails with; anything else, success among it, fails the test. */
export async function failureOf(
  work: () => unknown,
): Promise<SentientError & { details?: Record<string, unknown> }> {
  let answer: unknown;
  try {
    answer = await work();
  } catch (error) {
    if (error instanceof SentientError) return error;
    throw error;
  }
  throw new Error(`it did not fail but answered ${inspect(answer)}`);
}

export const codeOf = async (work: () => unknown): Promise<string> => (await failureOf(work)).code;

/** Starts a run of `research`. */
export async function started(state: State, options: Partial<StartOptions> = {}): Promise<string> {
  return (await state.start({ name: "research", ...options })).run.id;
}

/** Whatever one worker gets. */
export function claimed(state: State, worker = "w1", options: Partial<ClaimOptions> = {}): Promise<Lease[]> {
  return state.claim({ worker, serves, ...options });
}

/** The lease of the one run there is to be had. */
export async function held(state: State, worker = "w1", options: Partial<ClaimOptions> = {}): Promise<Lease> {
  const [lease, ...others] = await claimed(state, worker, { max: 10, ...options });
  if (!lease || others.length > 0)
    throw new Error(`there were ${others.length + (lease ? 1 : 0)} runs to claim`);
  return lease;
}

/** A run of `research`, and a lease of it. */
export async function running(state: State, options: Partial<StartOptions> = {}): Promise<Lease> {
  await started(state, options);
  return held(state);
}

export const failure = { name: "Error", message: "it did not work", retryable: true };

type Step = NonNullable<Change["steps"]>[number];

/** Takes away what appends of the log expect of their runs, as long as the test lasts. */
export function expectNothing({ log }: EventBus): void {
  const prototype = Object.getPrototypeOf(log) as EventBus["log"];
  // oxlint-disable-next-line typescript/unbound-method -- it is called with the one it is of
  const { append } = prototype;
  const spy = vi.spyOn(prototype, "append");
  spy.mockImplementation(function (this: EventBus["log"], { expected: _, ...entry }, options) {
    return append.call(this, entry, options);
  });
  onTestFinished(() => spy.mockRestore());
}

/** A step that is done. */
export const done = (key: string, result: Json = key): Step => ({
  key,
  name: key,
  status: "completed",
  result,
});

export async function eventsOf(bus: EventBus, run: string): Promise<Event[]> {
  return (await bus.history({ run, limit: 1_000 })).events;
}

/** The types of a run's events. */
export async function storyOf(bus: EventBus, run: string): Promise<string[]> {
  return (await eventsOf(bus, run)).map(({ type }) => type);
}

/** The same bus, whose log appends in another way. */
export function withAppend(bus: EventBus, append: EventBus["log"]["append"]): EventBus {
  return new Proxy(bus, {
    get(target, key) {
      if (key === "log") return { append };
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}
