// Branches. Owns: parts of a run that go on beside each other. Each has names of its own, so that it does not matter in which
// order they come to them.
// B1. Who is decided against is ended: what it waits for is not waited for, what it has asked is withdrawn, and the runs it has
//     called are cancelled.
// B2. A race is decided once: what was decided is remembered, and its branches are not run again.

import type { Json, StepKey } from "@sentient/schema";
import { failureOf, type Failure } from "@sentient/schema";
import { cancelChildren } from "./cancel.ts";
import type { Branch, Context } from "./context.ts";
import { RememberedError } from "./errors.ts";
import { asJson } from "./json.ts";
import { branchOf, isWithin, type Scope } from "./keys.ts";
import type { Pass, Place } from "./pass.ts";

/** Makes what a branch sees. */
export type Open = (place: Place, scope: Scope) => Context<never>;

interface Opened<T> {
  label: string | number;
  end: () => void;
  result: Promise<T>;
}

export interface Fork {
  pass: Pass;
  place: Place;
  key: StepKey;
  open: Open;
}

function begin<T>({ place, key, open }: Fork, label: string | number, branch: Branch<T>): Opened<T> {
  const over = new AbortController();
  const own: Place = { ...place, signal: AbortSignal.any([place.signal, over.signal]) };
  const result = (async () => branch(open(own, branchOf(key, label))))();
  result.catch(() => {}); // told to whoever decides
  return { label, end: () => over.abort(new Error("another branch has decided")), result };
}

/** The answers of all; or the first failure, which ends the others. */
export async function all<T>(
  fork: Fork,
  branches: readonly (readonly [string | number, Branch<T>])[],
): Promise<T[]> {
  const opened = branches.map(([label, branch]) => begin(fork, label, branch));
  try {
    return await Promise.all(opened.map(({ result }) => result));
  } catch (error) {
    for (const { end } of opened) end();
    await cleanUp(fork);
    throw error;
  }
}

/** The same, so many at once. */
export async function map<Item, T>(
  fork: Fork,
  items: readonly Item[],
  each: (ctx: Context<never>, item: Item, index: number) => Promise<T>,
  concurrency: number,
): Promise<T[]> {
  const results: T[] = [];
  const opened = new Set<Opened<T>>();
  let next = 0;
  const lane = async () => {
    for (let i = next++; i < items.length; i = next++) {
      const branch = begin(fork, i, (ctx) => each(ctx, items[i]!, i));
      opened.add(branch);
      results[i] = await branch.result;
      opened.delete(branch);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, lane));
    return results;
  } catch (error) {
    next = items.length;
    for (const { end } of opened) end();
    await cleanUp(fork);
    throw error;
  }
}

type Decided = { winner: string; value: Json } | { winner: string; error: Failure };

export async function race(
  fork: Fork,
  branches: readonly (readonly [string, Branch<unknown>])[],
): Promise<{ winner: string; value: unknown }> {
  const { pass, key, place } = fork;
  const before = pass.recorded(key);
  const decided = before?.status === "completed" ? (before.result as unknown as Decided) : undefined;
  if (decided) pass.skipWithin(key); // B2.
  const outcome = decided ?? (await decide(fork, branches));
  if (!decided) {
    await pass.fresh(place, key);
    await cleanUp(fork, outcome.winner);
    await pass.commit({
      steps: [{ key, name: "race", status: "completed", result: outcome as unknown as Json }],
    });
  }
  if ("error" in outcome) throw new RememberedError(outcome.error);
  return outcome;
}

async function decide(
  fork: Fork,
  branches: readonly (readonly [string, Branch<unknown>])[],
): Promise<Decided> {
  const opened = branches.map(([label, branch]) => begin(fork, label, branch));
  const outcome = await Promise.race(
    opened.map(async ({ label, result }): Promise<Decided> => {
      const winner = String(label);
      try {
        return { winner, value: asJson(await result, `the answer of the branch ${winner}`) };
      } catch (error) {
        if (fork.pass.isCancelled) throw error;
        return { winner, error: failureOf(error) };
      }
    }),
  );
  for (const { label, end } of opened) if (label !== outcome.winner) end();
  return outcome;
}

/** B1. */
async function cleanUp({ pass, key }: Fork, winner?: string): Promise<void> {
  const { state } = pass.tools;
  const { id } = pass.lease.run;
  const isLost = (at: string | undefined) =>
    at !== undefined && isWithin(at, key) && !(winner !== undefined && at.startsWith(`${key}.${winner}/`));
  if (pass.hasAsked) {
    const { questions } = await state.questions.list({ run: id, status: "open", limit: 1_000 });
    const withdraws = questions.map((question) => question.key as StepKey).filter(isLost);
    if (withdraws.length > 0) await pass.commit({ withdraws });
  }
  await cancelChildren(state, id, isLost, "another branch has decided");
}
