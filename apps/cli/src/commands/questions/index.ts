import { Argument, Option } from "commander";
import type { Question } from "@sentient/state";
import { defineCommand, defineGroup } from "../../command.ts";
import { openSentient } from "../../open.ts";
import { byOption, defined, jsonFrom, limitOption, runArgument } from "../../options.ts";
import { note, printable, table } from "../../print.ts";
import { ago, cut, facts, jsonLines } from "../../show.ts";

const STATUSES = ["open", "answered", "expired", "withdrawn"] as const;

interface ListFlags {
  run?: string;
  assignee?: string;
  status: Question["status"];
  limit: number;
}

const listQuestions = defineCommand<ListFlags>({
  name: "list",
  summary: "list what runs ask people",
  description:
    "Lists what runs ask people, in the order in which it was asked; what is open, unless something else is said.",
  options: [
    new Option("--run <run>", "of one run"),
    new Option("--assignee <name>", "of one person"),
    new Option("-s, --status <status>", "which of them").choices(STATUSES).default("open"),
    limitOption("questions", 50),
  ],
  examples: [["sentient questions list", "what waits for an answer"]],
  run: async (_, flags) => {
    await using opened = await openSentient(flags);
    const { run, assignee, status, limit } = flags;
    const page = await opened.sentient.questions.list({ status, limit, ...defined({ run, assignee }) });
    if (page.questions.length === 0 && !flags.json) note("nobody asks anything");
    const rows = page.questions.map(({ run: id, key, askedAt, assignee: whose, text }) => [
      id,
      printable(key),
      ago(askedAt),
      printable(whose ?? ""),
      cut(text),
    ]);
    return {
      json: page,
      lines: rows.length === 0 ? [] : table(["RUN", "KEY", "ASKED", "WHOSE", "QUESTION"], rows),
    };
  },
});

const showQuestion = defineCommand({
  name: "show",
  summary: "show a question whole, and what an answer has to be",
  description: "Shows a question of a run whole, and the JSON Schema that an answer has to fit.",
  args: [runArgument(), new Argument("<key>", "of the question, as list shows it")],
  examples: [["sentient questions show r-1f9c main/approve#1", "before it is answered"]],
  run: async ([run, key], flags) => {
    await using opened = await openSentient(flags);
    const question = await opened.sentient.questions.get(run!, key!);
    const { status, askedAt, assignee, deadline, schema, text } = question;
    const lines = facts([
      ["status", status],
      ["asked", ago(askedAt)],
      ["of", assignee && printable(assignee)],
      ["until", deadline?.toISOString()],
    ]);
    const fits = schema === undefined ? [] : ["", "answer with", ...jsonLines(schema)];
    return { json: question, lines: [...lines, "", ...text.split("\n").map(printable), ...fits] };
  },
});

const answerQuestion = defineCommand<{ by: string }>({
  name: "answer",
  summary: "answer a question, once",
  description:
    "Answers a question of a run, once: whoever comes later is told who was first. The answer is JSON.",
  args: [
    runArgument(),
    new Argument("<key>", "of the question, as list shows it"),
    new Argument("<answer>", "JSON: true, 12, '\"text\"'; @file or - for stdin"),
  ],
  options: [byOption("who answers")],
  examples: [["sentient questions answer r-1f9c main/approve#1 true", "yes"]],
  run: async ([run, key, answer], flags) => {
    const value = await jsonFrom(answer!, "the answer");
    await using opened = await openSentient(flags);
    const question = await opened.sentient.answer(run!, key!, value, { by: flags.by });
    return { json: question, lines: [`${run} has its answer to ${key}`] };
  },
});

export const questionsCommand = defineGroup("questions", "what runs ask people", [
  listQuestions,
  showQuestion,
  answerQuestion,
]);
