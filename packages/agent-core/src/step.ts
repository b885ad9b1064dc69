// Step. Owns: doing one thing once, as far as can be: its attempts, its time, and what is remembered of it.
// S1. What is remembered is the answer, and what a step answers the first time is what it will be the next time: JSON.
// S2. An attempt that fails is remembered with when the next one comes; that one may be in another process.
// S3. What is to be begun once has begun on disk before it does, and is not begun again.
// S4. A step's own rows and events are committed with its result; those of an attempt that fails are not.
// S5. What undoes something never fails for good: each time that somebody has the run go on it is tried once more.

import type { Statement } from "@sentient/db-pool";
import { canonicalJson, failureOf, hashOf, type Failure, type Json, type StepKey } from "@sentient/schema";
import type { Change, Step } from "@sentient/state";
import { z } from "zod";
import type { StepContext, StepOptions } from "./context.ts";
import { AgentError, checked, outcomeUnknownError, RememberedError } from "./errors.ts";
import { OVER, unlessAborted } from "./aborted.ts";
import { asJson } from "./json.ts";
import { progressOf } from "./telling.ts";
import type { Pass } from "./pass.ts";
import type { Place } from "./place.ts";
import { delayAfter, RetryPolicy, type CheckedPolicy } from "./retry.ts";

const Options = z.strictObject({
  retry: RetryPolicy.optional(),
  timeout: z
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .optional(),
  input: z.unknown().optional(),
  idempotencyKey: z.string().min(1).max(1_024).optional(),
  once: z.boolean().default(false),
});

const ONCE: CheckedPolicy = RetryPolicy.parse({ attempts: 1 });

/** How long a step may take until it is told that it has begun, in milliseconds. */
const LONG_MS = 1_000;

export interface Work {
  key: StepKey;
  name: string;
  work: (step: StepContext) => unknown;
  options: StepOptions;
}

export async function performStep(
  pass: Pass,
  place: Place,
  { key, name, work, options }: Work,
): Promise<unknown> {
  const {
    input,
    timeout,
    idempotencyKey = `${pass.lease.run.id}/${key}`,
    once: isOnce,
    ...rest
  } = checked(Options, options, `the step ${name}`);
  const inputHash =
    input === undefined
      ? {}
      : { inputHash: hashOf(canonicalJson(asJson(input, `the input of the step ${name}`))) };
  const before = await pass.recall(key, { name, ...inputHash });
  if (before?.status === "completed") return before.result;
  if (before?.status === "failed") throw new RememberedError(before.error);
  await pass.fresh(place, key);
  const once = isOnce && !place.isUndo; // S5
  const policy = once ? ONCE : (rest.retry ?? pass.definition.retry);
  const step: Attempting = { pass, place, key, name, work, timeout, idempotencyKey, policy, inputHash };
  if (once) await beginOnce(step, before);
  return attempt(step, once ? undefined : before);
}

/** S3. */
async function beginOnce(
  { pass, key, name, inputHash }: Attempting,
  before: Step | undefined,
): Promise<void> {
  if (!before) return pass.commit({ steps: [{ key, name, ...inputHash, status: "started" }] });
  const failure = failureOf(outcomeUnknownError(name, pass.lease.run.id));
  await pass.commit({ steps: [{ key, name, ...inputHash, status: "failed", error: failure }] });
  throw new RememberedError(failure);
}

interface Attempting {
  pass: Pass;
  place: Place;
  key: StepKey;
  name: string;
  work: Work["work"];
  timeout: number | undefined;
  idempotencyKey: string;
  policy: CheckedPolicy;
  inputHash: { inputHash?: string };
}

async function attempt(step: Attempting, before: Step | undefined): Promise<unknown> {
  const { pass, place, key, policy } = step;
  let retryAt = before?.status === "retrying" ? before.retryAt : undefined;
  for (let attempts = (before?.attempts ?? 1) + (retryAt ? 1 : 0); ; attempts++) {
    if (retryAt) await untilRetry(pass, place, key, retryAt);
    await pass.fresh(place, key);
    const startedAt = new Date(pass.time);
    try {
      const { value, along } = await tryOnce(step, attempts);
      const result = asJson(value, `the result of the step ${key}`);
      await remember(step, { status: "completed", result }, attempts, startedAt, along);
      return result;
    } catch (error) {
      if (place.signal.aborted) throw error; // of its run or its branch: it has not failed
      const failure = pass.failureOf(error);
      pass.state?.keepSound();
      const delay = delayAfter(policy, attempts, error);
      if (delay === undefined) {
        if (place.isUndo) await rememberRetry(step, failure, attempts, startedAt, new Date(pass.time)); // S5
        else await remember(step, { status: "failed", error: failure }, attempts, startedAt);
        throw new RememberedError(failure);
      }
      retryAt = new Date(pass.time + delay);
      await rememberRetry(step, failure, attempts, startedAt, retryAt);
    }
  }
}

type Outcome = { status: "completed"; result: Json } | { status: "failed"; error: Failure };

function remember(
  { pass, key, name, inputHash }: Attempting,
  outcome: Outcome,
  attempts: number,
  startedAt: Date,
  along: Along = {},
) {
  return pass.commit({ steps: [{ key, name, attempts, startedAt, ...inputHash, ...outcome }], ...along });
}

/** S2. */
function rememberRetry(
  { pass, key, name, inputHash }: Attempting,
  failure: Failure,
  attempts: number,
  startedAt: Date,
  retryAt: Date,
): Promise<void> {
  const error = { ...failure, retryable: true };
  return pass.commit({
    steps: [{ key, name, attempts, startedAt, ...inputHash, status: "retrying", error, retryAt }],
  });
}

function untilRetry(pass: Pass, place: Place, key: StepKey, at: Date): Promise<true> {
  return pass.until<true>(place, { for: "retry", at: key, until: at }, () =>
    Promise.resolve(pass.time >= at.getTime() ? true : undefined),
  );
}

/** S4. */
type Along = Pick<Change, "events" | "statements">;

async function tryOnce(step: Attempting, attempt: number): Promise<{ value: unknown; along: Along }> {
  const { pass, place, key, name, timeout, work, idempotencyKey } = step;
  const over = new AbortController();
  const stream = pass.stream.of(key, attempt);
  const along = { events: [] as { type: string; data: Json }[], statements: [] as Statement[] };
  const context: StepContext = Object.freeze({
    idempotencyKey,
    attempt,
    signal: AbortSignal.any([place.signal, over.signal]),
    chunk: (data: Json) => stream.write(asJson(data, `a chunk of the step ${key}`)),
    progress: (done: number, total?: number, note?: string) =>
      pass.outbox.progress(undefined, progressOf(done, total, note)),
    emit: (type: string, data: Json = null) =>
      void along.events.push({ type, data: asJson(data, `the data of the event ${type}`) }),
    write: (...statements: readonly Statement[]) => void along.statements.push(...statements),
  });
  const long = tellOfLong(step, attempt);
  const cancelTimeout =
    timeout === undefined
      ? () => {}
      : pass.tools.clock.after(timeout, () => over.abort(timeoutError(name, timeout)));
  try {
    const value = await unlessAborted(
      pass.inStep.run(key, () =>
        pass.tools.attempted(
          { run: pass.lease.run.id, key, name, attempt, signal: context.signal },
          async () => work(context),
        ),
      ),
      context.signal,
    );
    stream.end();
    const { events, statements } = along;
    return { value, along: { events, ...(statements.length > 0 ? { statements } : {}) } };
  } finally {
    cancelTimeout();
    over.abort(OVER);
    await long.end(); // or its result would come before it was begun
  }
}

/** So that people see what takes long. A short one is told of once it is over. */
function tellOfLong({ pass, key, name, inputHash }: Attempting, attempts: number) {
  const { tools } = pass;
  let told: Promise<void> | undefined;
  const tell = () => {
    if (pass.fate.halted) return;
    told = pass.commit({ steps: [{ key, name, attempts, ...inputHash, status: "started" }] }).catch(() => {});
  };
  const isKnown = attempts > 1;
  const cancel = isKnown ? () => {} : tools.clock.after(LONG_MS, tell);
  return {
    end: () => {
      cancel();
      return told;
    },
  };
}

function timeoutError(name: string, timeout: number): AgentError {
  return new AgentError({
    code: "agent.step_timeout",
    message: `an attempt of the step ${name} took longer than ${timeout} ms`,
    retryable: true,
    details: { timeout },
  });
}
