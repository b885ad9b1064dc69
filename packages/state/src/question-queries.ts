// Statements about questions.

import { surql, type PreciseDate } from "@sentient/db-pool";
import { questionId, questionsOf } from "./queries.ts";

export interface QuestionNow {
  row: unknown;
  now: PreciseDate;
  /** Whether its deadline has passed. */
  late: boolean;
}

export const readQuestion = (run: string, key: string, now: Date | null) => surql<QuestionNow>`{
  LET $now = ${now} ?? time::now();
  LET $row = (SELECT * FROM ONLY ${questionId(run, key)});
  RETURN { row: $row, now: $now, late: $row.deadline != NONE AND $row.deadline <= $now }
}`;

// Of what a page leaves out, each row may hold 256 KiB.

export const readQuestionsOf = (run: string, status: string, assignee: string | null) => surql<unknown[]>`
  SELECT * OMIT schema, onTimeout, answer FROM ${questionsOf(run)}
    WHERE status = ${status} AND (${assignee} = NULL OR assignee = ${assignee})`;

/** Beginning with a position, as the engine takes more-than for no-less-than where an index goes on behind it. */
export const readQuestions = (status: string, from: number, limit: number) => surql<unknown[]>`
  SELECT * OMIT schema, onTimeout, answer FROM question WHERE status = ${status} AND position >= ${from} LIMIT ${limit}`;

export const readQuestionsFor = (assignee: string, status: string, from: number, limit: number) => surql<
  unknown[]
>`
  SELECT * OMIT schema, onTimeout, answer FROM question
    WHERE assignee = ${assignee} AND status = ${status} AND position >= ${from} LIMIT ${limit}`;
