// What others may do here. Owns: the tools that `createMcpServer` serves, each with what it needs.
// V1. Who looks changes nothing; who may start and steer may not answer: else an agent with these tools could approve what it asks for.
// V2. Whatever is done says who did it: `mcp:` and the name of the client.

import type { Sentient } from "@sentient/agent-core";
import { RUN_STATUSES, type Json } from "@sentient/schema";
import type { Run } from "@sentient/state";
import { z } from "zod";
import { plain, shortened, shortenedItems } from "./shortened.ts";

/** What a client may do: look, start and steer runs, answer what they ask people. */
export type Permission = "read" | "write" | "answer";

export interface Asked {
  sentient: Sentient;
  /** V2. */
  by: string;
  signal: AbortSignal;
}

export interface ServedTool<Input extends z.ZodObject = z.ZodObject> {
  name: string;
  description: string;
  needs: Permission;
  destroys?: boolean;
  input: Input;
  run: (args: z.output<Input>, asked: Asked) => Promise<Json>;
}

/** Characters of JSON in an answer, more or less. */
const MOST = 48 * 1024;
const PAGE = 20;
const MOST_PAGE = 100;
/** How long a call waits for a run: clients give up on a call after a minute. */
const WAIT_MS = 20_000;
const MOST_WAIT_MS = 50_000;

function served<Input extends z.ZodObject>(tool: ServedTool<Input>): ServedTool {
  return tool;
}

const run = z.string().describe("id of a run");
const key = z.string().describe("of a question, as questions_list has it");
const limit = z.int().min(1).max(MOST_PAGE).default(PAGE);
const reason = z.string().max(1_024).optional().describe("why, for who looks at it later");

const looking = [
  served({
    name: "runs_list",
    description: "Lists runs, the newest first, without their input and output.",
    needs: "read",
    input: z.object({
      status: z.array(z.enum(RUN_STATUSES)).min(1).optional(),
      name: z.string().optional().describe("of an agent or a workflow"),
      tag: z.string().optional(),
      queue: z.string().optional(),
      root: z.string().optional().describe("a run: it and all that it has started"),
      before: z.int().min(1).optional().describe("the next page: what the page before calls next"),
      limit,
    }),
    run: async (options, { sentient }) => {
      const { runs, next } = await sentient.list(said(options));
      return { runs: shortenedItems(runs, MOST), ...(next === undefined ? {} : { next }) };
    },
  }),
  served({
    name: "run_show",
    description: "Shows a run: where it is and why, its input and output, its steps, the last of its events.",
    needs: "read",
    input: z.object({ run }),
    run: ({ run: id }, { sentient }) => shownRun(sentient, id),
  }),
  served({
    name: "run_result",
    description: "Waits for a run to be over, for a while, and says what it gave or how far it is.",
    needs: "read",
    input: z.object({ run, timeoutMs: z.int().min(0).max(MOST_WAIT_MS).default(WAIT_MS) }),
    run: async ({ run: id, timeoutMs }, { sentient, signal }) => {
      const timeout = Math.max(1, timeoutMs);
      await sentient
        .handle(id)
        .result({ timeout, signal })
        .catch(() => {}); // how it ended is read of it
      return outcomeOf(await sentient.get(id));
    },
  }),
  served({
    name: "events_history",
    description: "A page of the log of all that happens, the latest first.",
    needs: "read",
    input: z.object({
      run: z.string().optional().describe("those of one run"),
      types: z.array(z.string()).min(1).optional().describe("such as run.failed or step.*"),
      before: z.int().min(1).optional().describe("the next page: what the page before calls next"),
      limit,
    }),
    run: async (options, { sentient }) => {
      const { events, next } = await sentient.events.history({ ...said(options), order: "desc" });
      return { events: shortenedItems(events, MOST), ...(next === undefined ? {} : { next }) };
    },
  }),
  served({
    name: "questions_list",
    description: "Lists what runs ask people, in the order in which it was asked.",
    needs: "read",
    input: z.object({
      run: z.string().optional(),
      assignee: z.string().optional(),
      status: z.enum(["open", "answered", "expired", "withdrawn"]).default("open"),
      after: z.int().min(0).optional().describe("the next page: what the page before calls next"),
      limit,
    }),
    run: async (options, { sentient }) => {
      const { questions, next } = await sentient.questions.list(said(options));
      return { questions: shortenedItems(questions, MOST), ...(next === undefined ? {} : { next }) };
    },
  }),
  served({
    name: "question_show",
    description:
      "Shows a question whole: all that is asked, and its schema, the JSON Schema that an answer has to fit.",
    needs: "read",
    input: z.object({ run, key }),
    run: async ({ run: id, key: of }, { sentient }) =>
      shortened(plain(await sentient.questions.get(id, of)), MOST),
  }),
  served({
    name: "agents_list",
    description: "Lists agents and workflows: what they can do, what they take and give, as JSON Schema.",
    needs: "read",
    input: z.object({
      capability: z.string().optional(),
      queue: z.string().optional(),
      after: z.string().optional().describe("the next page: what the page before calls next"),
      limit,
    }),
    run: async (options, { sentient }) => {
      const { agents, next } = await sentient.agents.list(said(options));
      return { agents: shortenedItems(agents, MOST), ...(next === undefined ? {} : { next }) };
    },
  }),
];

const acting = [
  served({
    name: "run_start",
    description:
      "Starts a run of an agent or a workflow, and answers with its id. Say a key, and however often it is said it is one run.",
    needs: "write",
    input: z.object({
      name: z.string().describe("of the agent or the workflow, as agents_list has it"),
      input: z.unknown().describe("what it takes"),
      key: z.string().optional(),
      tags: z.array(z.string()).optional(),
      queue: z.string().optional(),
    }),
    run: async ({ name, input = null, ...options }, { sentient }) => {
      const { id } = await sentient.start(name, input as Json, said(options));
      return { run: id };
    },
  }),
  served({
    name: "run_cancel",
    description: "Cancels a run and all that it has started.",
    needs: "write",
    destroys: true,
    input: z.object({ run, reason }),
    run: async ({ run: id, ...options }, { sentient, by }) =>
      outcomeOf(await sentient.cancel(id, { by, ...said(options) })),
  }),
  served({
    name: "run_pause",
    description: "Pauses a run before its next step, until it is resumed.",
    needs: "write",
    input: z.object({ run, reason }),
    run: async ({ run: id, ...options }, { sentient, by }) =>
      outcomeOf(await sentient.pause(id, { by, ...said(options) })),
  }),
  served({
    name: "run_resume",
    description: "Has a run go on that was paused, or that could not go on without help.",
    needs: "write",
    input: z.object({ run, reason }),
    run: async ({ run: id, ...options }, { sentient, by }) =>
      outcomeOf(await sentient.resume(id, { by, ...said(options) })),
  }),
  served({
    name: "run_signal",
    description: "Says something to a run, which it takes when it comes to it.",
    needs: "write",
    input: z.object({
      run,
      name: z.string().describe("of the signal"),
      data: z.unknown(),
      id: z.string().optional().describe("said twice under one id, it was said once"),
    }),
    run: async ({ run: id, name, data = null, id: once }, { sentient, by }) => {
      const options = { source: by, ...said({ id: once }) };
      return shortened(plain(await sentient.signal(id, name, data as Json, options)), MOST);
    },
  }),
  served({
    name: "question_answer",
    description:
      "Answers a question of a run, once. The answer is JSON that fits the schema of the question, which question_show has.",
    needs: "answer",
    input: z.object({ run, key, answer: z.unknown() }),
    run: async ({ run: id, key: of, answer = null }, { sentient, by }) =>
      shortened(plain(await sentient.answer(id, of, answer as Json, { by })), MOST),
  }),
];

export const servedTools: readonly ServedTool[] = [...looking, ...acting];

/** What is known of a run, shortened. */
export async function shownRun(sentient: Sentient, id: string): Promise<Json> {
  const found = await sentient.get(id);
  const [why, journal, { events }] = await Promise.all([
    sentient.explain(id),
    sentient.state.journal(id).catch(withoutDetails),
    sentient.history(id, { order: "desc", limit: PAGE }),
  ]);
  const steps = [...journal.values()].toSorted((one, other) => one.n - other.n).slice(-MOST_PAGE);
  return {
    run: shortened(plain(found), MOST / 2),
    why: shortened(plain(why), MOST / 8),
    steps: shortenedItems(steps, MOST / 4),
    events: shortenedItems(events, MOST / 4),
  };
}

/** Of a run whose details were removed nothing is left of them. */
function withoutDetails(error: unknown): Awaited<ReturnType<Sentient["state"]["journal"]>> {
  if ((error as { code?: unknown }).code === "state.details_removed") return new Map();
  throw error;
}

function outcomeOf(found: Run): Json {
  const { id, status } = found;
  const gave = found.status === "completed" ? { output: shortened(found.output, MOST) } : {};
  const failed = found.status === "failed" ? { error: shortened(plain(found.error), MOST / 2) } : {};
  const parked = found.status === "parked" ? { problem: shortened(plain(found.problem), MOST / 2) } : {};
  return { run: id, status, isOver: "endedAt" in found, ...gave, ...failed, ...parked };
}

/** Without what was not said. */
function said<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}
