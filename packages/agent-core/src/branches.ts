// Branches. Owns: parts of a run that go on beside each other. Each has names of its own, so that it does not matter in which
// order they come to them.
// B1. Who is decided against is ended: what it waits for is not waited for, what it has asked is withdrawn, and the runs it has
//     called are cancelled.
// B2. What was decided is remembered: who came first in a race, and which failure it was that ended all. When that is replayed
//     each branch goes as far as it went before, so that what it is to undo is known, and is then ended as before.

import { type Failure, type Json, type StepKey } from "@sentient/schema";
import type { Step } from "@sentient/state";
import { cancelChildren } from "./cancel.ts";
import type { Branch, Context } from "./context.ts";
import { AgentError, RememberedError } from "./errors.ts";
import { asJson } from "./json.ts";
import { branchOf, isWithin, type Scope } from "./keys.ts";
import type { Pass } from "./pass.ts";
import type { Place } from "./place.ts";
import { unlessGone } from "./waits.ts";

/** Makes what a branch sees. */
export type Open = (place: Place, scope: Scope) => Context<never>;

interface Opened<T> {
  label: string;
  place: Place;
  end: () => void;
  result: Promise<T>;
}

export interface Fork {
  pass: Pass;
  place: Place;
  key: StepKey;
  open: Open;
}

type Labelled<T> = readonly (readonly [label: string | number, branch: Branch<T>])[];

function begin<T>({ place, open }: Fork, scope: Scope, label: string | number, branch: Branch<T>): Opened<T> {
  const over = new AbortController();
  const own: Place = {
    ...place,
    path: scope.path,
    signal: AbortSignal.any([place.signal, over.signal]),
    time: { ...place.time },
  };
  const result = (async () => branch(open(own, scope)))();
  result.catch(() => {}); // told to whoever decides
  return {
    label: String(label),
    place: own,
    end: () => over.abort(new Error("another branch has decided")),
    result,
  };
}

function beginAll<T>(fork: Fork, branches: Labelled<T>): Opened<T>[] {
  const scopes = branches.map(([label]) => branchOf(fork.key, label)); // refused before any of them begins
  return branches.map(([label, branch], i) => begin(fork, scopes[i]!, label, branch));
}

/** The answers of all; or the first failure, which ends the others. */
export function all<T>(fork: Fork, branches: Labelled<T>): Promise<T[]> {
  const opened = beginAll(fork, branches);
  const end = () => opened.forEach((branch) => branch.end());
  return joined(fork, Promise.all(opened.map(({ place, result }) => seen(fork, place, result))), end);
}

/** The same, so many at once. */
export function map<Item, T>(
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
      const branch = begin(fork, branchOf(fork.key, i), i, (ctx) => each(ctx, items[i]!, i));
      opened.add(branch);
      results[i] = await seen(fork, branch.place, branch.result);
      opened.delete(branch);
    }
  };
  const lanes = Array.from({ length: Math.min(concurrency, items.length) }, lane);
  return joined(
    fork,
    Promise.all(lanes).then(() => results),
    () => {
      next = items.length;
      for (const { end } of opened) end();
    },
  );
}

/** Who waits for a branch has its time. */
async function seen<T>({ place }: Fork, { time }: Place, result: Promise<T>): Promise<T> {
  const value = await result;
  if (time.now > place.time.now) place.time.now = time.now;
  return value;
}

/** What branches give together; or the first failure, which is remembered. */
async function joined<T>(fork: Fork, results: Promise<T>, end: () => void): Promise<T> {
  const { pass } = fork;
  const leave = pass.activity.fork();
  results.catch(() => {});
  try {
    const before = await decidedBefore(fork, "all");
    if (!before) return await results;
    throw new RememberedError((before as Extract<Step, { status: "failed" }>).error);
  } catch (error) {
    end();
    if (pass.fate.isCancelled) throw error;
    const failure = pass.failureOf(error);
    await decide(fork, { name: "all", status: "failed", error: failure });
    throw new RememberedError(failure);
  } finally {
    leave();
  }
}

type Decided = { winner: string; value: Json } | { winner: string; error: Failure };

/** @throws `agent.bad_option` without a branch */
export async function race(
  fork: Fork,
  branches: readonly (readonly [string, Branch<unknown>])[],
): Promise<{ winner: string; value: unknown }> {
  if (branches.length === 0) throw noBranchError(fork.key);
  const { pass } = fork;
  const leave = pass.activity.fork();
  const opened = beginAll(fork, branches);
  try {
    const before = await decidedBefore(fork, "race");
    const outcome = before
      ? ((before as Extract<Step, { status: "completed" }>).result as unknown as Decided)
      : await firstOf(fork, opened);
    for (const { label, end } of opened) if (before || label !== outcome.winner) end();
    await decide(
      fork,
      { name: "race", status: "completed", result: outcome as unknown as Json },
      outcome.winner,
    );
    if ("error" in outcome) throw new RememberedError(outcome.error);
    return outcome;
  } finally {
    leave();
  }
}

function firstOf({ pass }: Fork, opened: readonly Opened<unknown>[]): Promise<Decided> {
  return Promise.race(
    opened.map(async ({ label: winner, result }): Promise<Decided> => {
      try {
        const value = asJson(await result, `the answer of the branch ${winner}`);
        return { value, winner }; // in the order in which it will be read again
      } catch (error) {
        if (pass.fate.isCancelled) throw error;
        return { winner, error: pass.failureOf(error) };
      }
    }),
  );
}

/** B2. What was decided, in its turn. */
async function decidedBefore({ pass, place, key }: Fork, name: string): Promise<Step | undefined> {
  return pass.memory.has(key) ? pass.perform(place, () => pass.recall(key, { name })) : undefined;
}

type Outcome = { name: string } & (
  | { status: "completed"; result: Json }
  | { status: "failed"; error: Failure }
);

/** Remembers what was decided, unless that is so already. */
async function decide(fork: Fork, outcome: Outcome, winner?: string): Promise<void> {
  const { pass, place, key } = fork;
  pass.memory.skipWithin(key);
  if (!pass.memory.isBegun(key))
    await pass.perform(place, async () => {
      await pass.fresh(place, key);
      await cleanUp(fork, winner);
      await pass.commit({ steps: [{ key, ...outcome }] });
    });
  pass.passTime(place, key);
}

/** B1. */
async function cleanUp({ pass, key }: Fork, winner?: string): Promise<void> {
  const { id } = pass.lease.run;
  const isLost = (at: string | undefined) =>
    at !== undefined && isWithin(at, key) && !(winner !== undefined && at.startsWith(`${key}.${winner}/`));
  while (pass.hasAsked && !(await withdraw(pass, isLost)));
  await pass.consult(() => cancelChildren(pass.tools.state, id, isLost, "another branch has decided"));
}

/** @returns false if somebody has answered one of them meanwhile */
async function withdraw(pass: Pass, isLost: (key: string) => boolean): Promise<boolean> {
  const page = { run: pass.lease.run.id, status: "open", limit: 1_000 } as const;
  const { questions } = await pass.consult(() => pass.tools.state.questions.list(page));
  const withdraws = questions.map((question) => question.key).filter(isLost);
  return withdraws.length === 0 || unlessGone(() => pass.commit({ withdraws }));
}

function noBranchError(key: string): AgentError {
  return new AgentError({
    code: "agent.bad_option",
    message: `the race ${key} has no branch, so nobody can win it`,
  });
}
