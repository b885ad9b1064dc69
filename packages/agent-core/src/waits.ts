// Waits. Owns: what a run waits for that comes by itself or from people: time, signals, answers.
// W1. Until when it waits is remembered when it begins to, so that taking it up again does not begin anew.
// W2. What was taken is remembered with the taking: a signal or an answer counts once.

import type { Json, StepKey } from "@sentient/schema";
import { StateError } from "@sentient/state";
import { z } from "zod";
import type { Answer, AskOptions, WaitOptions } from "./context.ts";
import { AgentError, checked, NonRetryable, saidOf } from "./errors.ts";
import { forTheFirstTime, requireNotFailed } from "./first-time.ts";
import { asJson } from "./json.ts";
import type { Pass } from "./pass.ts";
import type { Place } from "./place.ts";

const Milliseconds = z
  .number()
  .min(0)
  .max(100 * 365 * 86_400_000);

/** W1. */
export async function sleepUntil(pass: Pass, place: Place, key: StepKey, time: number | Date): Promise<void> {
  const before = await pass.recall(key, { name: "sleep" });
  const until =
    before?.status === "completed"
      ? new Date(before.result as string)
      : await begin(pass, place, key, timeOf(pass, time), "sleep");
  if (pass.time < until.getTime())
    await pass.until(place, { for: "timer", at: key, until }, () =>
      Promise.resolve(pass.time >= until.getTime() ? true : undefined),
    );
  if (until > place.time.now) place.time.now = until;
}

async function begin(pass: Pass, place: Place, key: StepKey, until: Date, name: string): Promise<Date> {
  await pass.fresh(place, key);
  await pass.commit({ steps: [{ key, name, status: "completed", result: until.toISOString() }] });
  return until;
}

function timeOf(pass: Pass, time: number | Date): Date {
  return time instanceof Date
    ? time
    : new Date(pass.time + checked(Milliseconds, time, "a time to wait, in milliseconds"));
}

const WaitSettings = z.strictObject({
  schema: z.instanceof(z.ZodType).optional(),
  timeout: Milliseconds.optional(),
});

/** The data of a signal; undefined if none came in time. */
export async function waitForSignal(
  pass: Pass,
  place: Place,
  { key, deadlineKey, name }: { key: StepKey; deadlineKey: StepKey; name: string },
  options: WaitOptions,
): Promise<unknown> {
  const { schema = pass.definition.schemas.signals[name], timeout } = checked(
    WaitSettings,
    options,
    `the wait for ${name}`,
  );
  const until = timeout === undefined ? undefined : await deadlineOf(pass, place, deadlineKey, timeout);
  const before = await pass.recall(key, { name: "waitFor" });
  requireNotFailed(before);
  const taken =
    before?.status === "completed"
      ? (before.result as unknown as Taken)
      : await forTheFirstTime(pass, place, { key, name: "waitFor" }, () =>
          takeSignal(pass, place, key, name, until),
        );
  if ("timedOut" in taken) return undefined;
  if (!schema) return taken.data;
  const parsed = schema.safeParse(taken.data);
  if (parsed.success) return parsed.data;
  throw new AgentError({
    code: "agent.invalid_signal",
    message: `the signal ${name} of the run ${pass.lease.run.id} does not fit: ${saidOf(parsed.error)}`,
    details: { signal: name },
  });
}

type Taken = { data: Json } | { timedOut: true };

/** W1. */
async function deadlineOf(pass: Pass, place: Place, key: StepKey, timeout: number): Promise<Date> {
  const before = await pass.recall(key, { name: "deadline" });
  if (before?.status === "completed") return new Date(before.result as string);
  return begin(pass, place, key, timeOf(pass, timeout), "deadline");
}

/** W2. */
async function takeSignal(
  pass: Pass,
  place: Place,
  key: StepKey,
  name: string,
  until: Date | undefined,
): Promise<Taken> {
  const { state } = pass.tools;
  const take = async (): Promise<Taken | undefined> => {
    if (place.signal.aborted) return undefined; // the signal is for somebody else
    const signal = await pass.consult(() => state.nextSignal(pass.lease, name));
    if (signal) {
      const taken = { data: signal.data };
      await pass.commit({
        takes: [{ n: signal.n, key }],
        steps: [{ key, name: "waitFor", status: "completed", result: taken }],
      });
      return taken;
    }
    if (!until || pass.time < until.getTime()) return undefined;
    const timedOut: Taken = { timedOut: true };
    await pass.commit({ steps: [{ key, name: "waitFor", status: "completed", result: timedOut }] });
    return timedOut;
  };
  const look = () => pass.activity.inTurn(take, () => pass.memory.settled());
  const wait = { for: "signal", at: key, name, ...(until ? { until } : {}) } as never;
  return (await look()) ?? pass.until(place, wait, look);
}

/** @returns whether it was committed; not if what it was to take is not there any more */
export async function unlessGone(commit: () => Promise<void>): Promise<boolean> {
  try {
    await commit();
    return true;
  } catch (error) {
    if (error instanceof StateError && error.code === "state.not_open") return false;
    throw error;
  }
}

const AskSettings = z.strictObject({
  text: z.string().min(1).max(16_384).optional(),
  schema: z.instanceof(z.ZodType).optional(),
  assignee: z.string().max(256).optional(),
  deadline: z.union([z.date(), Milliseconds]).optional(),
  onTimeout: z.unknown().optional(),
});

/** @throws `agent.question_expired` at the deadline of a question that has no answer for it */
export async function askPerson(
  pass: Pass,
  place: Place,
  key: StepKey,
  name: string,
  options: AskOptions,
): Promise<Answer<unknown>> {
  const settings = checked(AskSettings, options, `the question ${name}`);
  const before = await pass.recall(key, { name: "ask" });
  requireNotFailed(before);
  const answer =
    before?.status === "completed"
      ? (before.result as unknown as Answer<Json>)
      : await forTheFirstTime(pass, place, { key, name: "ask" }, () =>
          asked(pass, place, { key, name }, settings),
        );
  if ("expired" in answer) throw expiredError(pass, key);
  const parsed = settings.schema?.safeParse(answer.value);
  if (parsed?.success === false) throw invalidAnswerError(pass, key, parsed.error);
  return parsed ? { ...answer, value: parsed.data } : answer;
}

type Closed = Answer<Json> | { expired: true; value: null };

async function asked(
  pass: Pass,
  place: Place,
  { key, name }: { key: StepKey; name: string },
  { text = name, schema, assignee, deadline, onTimeout }: z.output<typeof AskSettings>,
): Promise<Closed> {
  const { state } = pass.tools;
  const { id } = pass.lease.run;
  const known = pass.hasAsked
    ? await unlessMissing(() => pass.consult(() => state.questions.get(id, key)))
    : undefined;
  const until = known ? known.deadline : deadline === undefined ? undefined : timeOf(pass, deadline);
  if (!known)
    await pass.commit({
      asks: [
        {
          key,
          text,
          ...(schema ? { schema: answerSchema(schema, name) } : {}),
          ...(assignee === undefined ? {} : { assignee }),
          ...(until ? { deadline: until } : {}),
          ...(onTimeout === undefined
            ? {}
            : { onTimeout: asJson(onTimeout, `the answer to ${name} at its deadline`) }),
        },
      ],
    });
  const remember = async (answer: Closed, expires: boolean): Promise<Closed | undefined> => {
    const change = expires ? { expires: [key] } : {};
    const step = { key, name: "ask", status: "completed", result: answer as unknown as Json } as const;
    return (await unlessGone(() => pass.commit({ ...change, steps: [step] }))) ? answer : look();
  };
  const look = async (): Promise<Closed | undefined> => {
    const question = await pass.consult(() => state.questions.get(id, key));
    if (question.status === "answered")
      return remember({ by: question.answeredBy, value: question.answer }, false);
    if (question.status === "withdrawn") throw new NonRetryable(`the question ${key} was withdrawn`);
    const isExpired = question.status === "expired";
    if (!isExpired && (!until || pass.time < until.getTime())) return undefined;
    return remember(
      onTimeout === undefined ? { expired: true, value: null } : { value: asJson(onTimeout, name) },
      !isExpired,
    );
  };
  const wait = { for: "question", at: key, ...(until ? { until } : {}) } as never;
  return (await look()) ?? pass.until(place, wait, look);
}

async function unlessMissing<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof StateError && error.code === "state.not_found") return undefined;
    throw error;
  }
}

/** For whoever answers. What it cannot say, as a refinement, is checked once the answer is there. */
function answerSchema(schema: z.ZodType, name: string): Json {
  try {
    return z.toJSONSchema(schema, { io: "input" }) as Json;
  } catch (cause) {
    throw new AgentError({
      code: "agent.bad_option",
      message: `the question ${name}: its schema cannot be told to whoever answers it: ${(cause as Error).message}`,
      cause,
    });
  }
}

function invalidAnswerError(pass: Pass, key: string, error: z.ZodError): AgentError {
  return new AgentError({
    code: "agent.invalid_answer",
    message: `the answer to the question ${key} of the run ${pass.lease.run.id} does not fit: ${saidOf(error)}`,
    details: { question: key },
  });
}

function expiredError(pass: Pass, key: string): AgentError {
  return new AgentError({
    code: "agent.question_expired",
    message: `nobody has answered the question ${key} of the run ${pass.lease.run.id} by its deadline`,
    details: { question: key },
  });
}
