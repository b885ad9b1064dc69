// Questions. Owns: what a run asks people, and what they answer. Does not own: asking, which is part of a commit (commit.ts).
// H1. A question is answered once, before its deadline and as long as its run is not over; the answer wakes the run in that
//     transaction. Everybody else is told who was first, and when.
// H2. The very same answer by the same person is answered as before: their first reply was lost.
// H3. An answer fits the JSON Schema of its question.

import {
  hashOf,
  questionTable,
  requireWithin,
  RunId,
  StepKey,
  type Json,
  type Question as StoredQuestion,
} from "@sentient/schema";
import { z } from "zod";
import { readAnswerSchema } from "./answer-schema.ts";
import { recordOf } from "./audit.ts";
import { changeRun, requireRun, type Context } from "./changing.ts";
import { busyError, thrownBy } from "./commit.ts";
import { checked, checkedRun, issuesOf, notFoundError, StateError } from "./errors.ts";
import { Person, textOf } from "./options.ts";
import { answerQuestion, THROWN } from "./queries.ts";
import * as queries from "./question-queries.ts";
import { wakeUps } from "./waking.ts";

type Without<T, K extends string> = T extends unknown ? Omit<T, K> : never;

/** Something a run asks a person, as a union by its status. */
export type Question = { run: string; key: string } & Without<StoredQuestion, "id">;
type QuestionOf<Status extends Question["status"]> = Extract<Question, { status: Status }>;

/** Without what may be large, which `get` has: schema, answer, and the answer at the deadline. */
export type ListedQuestion = Without<Question, "schema" | "onTimeout" | "answer">;

const AnswerOptions = z.strictObject({ by: Person });

const ListOptions = z.strictObject({
  run: RunId.optional(),
  assignee: z.string().max(256).optional(),
  status: z.enum(["open", "answered", "expired", "withdrawn"]).default("open"),
  after: z.int().min(0).default(0),
  limit: z.int().min(1).default(100),
});

export interface QuestionListOptions {
  run?: string;
  /** Of whom it is asked. */
  assignee?: string;
  /** `open` if left out. */
  status?: Question["status"];
  /** Those that were asked after this position. */
  after?: number;
  /** In a page: 100 if left out, at most `limits.page`. */
  limit?: number;
}

export interface QuestionPage {
  questions: ListedQuestion[];
  /** For the next page, `after` it; missing when there is no more. */
  next?: number;
}

/** What runs ask people. */
export class Questions {
  readonly #context: Context;

  /** @internal */
  constructor(context: Context) {
    this.#context = context;
  }

  /** @throws `state.not_found` @example const { status } = await state.questions.get(run.id, "main/approve#1"); */
  async get(run: string, key: string): Promise<Question> {
    return (await find(run, key, this.#context)).question;
  }

  /**
   * A page of questions, in the order in which they were asked.
   *
   * @throws `state.bad_option`, `schema.limit`
   * @example const { questions, next } = await state.questions.list({ assignee: "ada" });
   */
  async list(options: QuestionListOptions = {}): Promise<QuestionPage> {
    const { run, assignee, status, after, limit } = checked(ListOptions, options, "questions");
    requireWithin("page", limit, "a page");
    const { db } = this.#context;
    const [from, most] = [after + 1, limit + 1];
    const rows =
      run === undefined
        ? await db.query(
            assignee === undefined
              ? queries.readQuestions(status, from, most)
              : queries.readQuestionsFor(assignee, status, from, most),
          )
        : await db.query(queries.readQuestionsOf(run, status, assignee ?? null));
    const found = rows
      .map(listed)
      .filter(({ position }) => position >= from)
      .sort((one, other) => one.position - other.position);
    const page = found.slice(0, limit);
    return found.length > limit ? { questions: page, next: page.at(-1)!.position } : { questions: page };
  }

  /**
   * Answers a question.
   *
   * @throws `state.not_open` with `details: { status, by, at }` once it was answered, expired or was withdrawn;
   * `state.invalid_answer`, `state.not_found`, `state.bad_option`, `schema.limit`
   * @example await state.answer(run.id, "main/approve#1", true, { by: "ada" });
   */
  async answer(run: string, key: string, value: Json, options: { by: string }): Promise<Question> {
    const { by } = checked(AnswerOptions, options, "an answer");
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      try {
        return await attempt({ run, key, value, by }, this.#context);
      } catch (error) {
        if (thrownBy(error) !== THROWN.notOpen) throw error; // else somebody was first; who, the next look says
      }
    }
    throw busyError(run);
  }
}

const MOST_TRIES = 100;

interface Answer {
  run: string;
  key: string;
  value: Json;
  by: string;
}

/** H1. */
async function attempt({ run: id, key, value, by }: Answer, context: Context): Promise<Question> {
  let answered: Question | undefined;
  await changeRun(
    id,
    async ({ run }) => {
      const { question, late } = await find(id, key, context);
      answered = question;
      if (isSameAnswer(question, value, by)) return undefined; // H2.
      if (question.status !== "open" || late) throw notOpenError(question);
      const answer = requireValid(question, value);
      const text = textOf(answer, "the answer");
      return {
        events: [
          { event: { type: "question.answered" }, told: { data: { key, by }, source: by } },
          ...wakeUps(run, (wait) => wait.for === "question" && wait.at === key),
        ],
        statements: (_, at) => {
          answered = { ...question, status: "answered", answer, answeredBy: by, answeredAt: at };
          return [
            answerQuestion(id, key, questionTable.serialise(storedOf(answered)), context.time.now),
            recordOf({ what: "question.answered", by, data: { run: id, key, hash: hashOf(text) } }, at),
          ];
        },
      };
    },
    context,
  );
  return answered!;
}

function isSameAnswer(question: Question, value: Json, by: string): boolean {
  if (question.status !== "answered" || question.answeredBy !== by) return false;
  const { schema, answer } = question;
  const read = schema === undefined ? undefined : readAnswerSchema(schema).safeParse(value);
  return textOf((read?.success ? read.data : value) as Json, "the answer") === textOf(answer, "the answer");
}

/** H3. @returns the answer with the defaults of its schema */
function requireValid({ run, key, schema }: Question, value: Json): Json {
  const read = schema === undefined ? undefined : readAnswerSchema(schema).safeParse(value);
  if (read && !read.success) {
    const issues = issuesOf(read.error);
    throw new StateError({
      code: "state.invalid_answer",
      message: `the question ${key} of the run ${run} takes another answer: ${issues.join("; ")}`,
      details: { run, key, issues },
    });
  }
  const answer = (read ? read.data : value) as Json;
  requireWithin("eventBytes", Buffer.byteLength(textOf(answer, "the answer")), "the answer");
  return answer;
}

/** @throws `state.not_found` */
async function find(
  run: string,
  key: string,
  { db, time }: Context,
): Promise<{ question: Question; late: boolean }> {
  checkedRun(run);
  checked(StepKey, key, "the key of a question");
  const { row, late } = await db.query(queries.readQuestion(run, key, time.now));
  if (row !== undefined) return { question: questionOf(questionTable.parse(row)), late };
  await requireRun(run, { db });
  throw notFoundError("question", `${key} of the run ${run}`, { run, key });
}

function notOpenError(question: Question): StateError {
  const { run, key, status } = question;
  const [what, details] = whyNotOpen(question);
  return new StateError({
    code: "state.not_open",
    message: `the question ${key} of the run ${run} ${what}; this answer was not taken`,
    details: { run, key, status, ...details },
  });
}

function whyNotOpen(question: Question): [string, Record<string, unknown>] {
  switch (question.status) {
    case "answered": {
      const { answeredBy: by, answeredAt: at } = question;
      return [`was answered by ${by} at ${at.toISOString()}`, { by, at }];
    }
    case "withdrawn":
      return [
        `was withdrawn at ${question.withdrawnAt.toISOString()}: nobody needs it answered`,
        { at: question.withdrawnAt },
      ];
    case "expired":
    case "open": {
      const { deadline } = question;
      return [`had to be answered until ${deadline?.toISOString()}`, { deadline }];
    }
  }
}

function questionOf({ id: [run, key], ...rest }: StoredQuestion): Question {
  return { run, key, ...rest };
}

function storedOf({ run, key, ...rest }: QuestionOf<"answered">): StoredQuestion {
  return { id: [run as RunId, key as StepKey], ...rest };
}

function listed(row: unknown): ListedQuestion {
  const isAnswered = (row as { status: string }).status === "answered";
  const question = questionTable.parse({ ...(row as object), ...(isAnswered ? { answer: "null" } : {}) });
  const { answer: _, ...rest } = questionOf(question) as QuestionOf<"answered">;
  return rest;
}
