// Agents. Owns: who does which part of the research. Each takes and gives JSON, and each step of theirs is remembered.
// A1. A step that is done again leaves what it left before: files are put whole, under their own names.

import { setTimeout as sleep } from "node:timers/promises";
import { defineAgent, NonRetryable, type Definition, type Model } from "@sentient/agent-core";
import { z } from "zod";
import { draftOf, keyOf, type Draft } from "./answer.ts";
import { listCorpus, readText, type CorpusFile } from "./corpus.ts";
import type { Ledger } from "./ledger.ts";
import { Library, type ReadFile } from "./library.ts";
import { cut } from "./passages.ts";
import type { NamedModel } from "./model.ts";
import { plan, type Plan } from "./planning.ts";
import { findingsIn, type Finding } from "./reading.ts";
import { whyWrong, without, type Removed } from "./review.ts";
import { choose, compose, split } from "./thinking.ts";
import type { Database } from "@sentient/db-pool";

export interface Surroundings {
  db: Database;
  /** Takes part in the runs that were started with it. */
  model?: NamedModel | undefined;
  /** Told what steps do. */
  ledger?: Ledger;
  /** How long a step takes at least, in milliseconds, where people are to see it. */
  pace?: number;
  /** Called within each step, by its key, before it has done anything. */
  within?: (step: string) => Promise<void>;
}

/** What a step sees that names it. */
interface Named {
  idempotencyKey: string;
}

/** Work that the ledger knows of. */
export type Act = <T>(work: () => Promise<T>) => (step: Named) => Promise<T>;

export function actOn({ ledger, pace = 0, within }: Surroundings): Act {
  return (work) =>
    async ({ idempotencyKey }) => {
      ledger?.note("began", idempotencyKey);
      await within?.(idempotencyKey);
      const [result] = await Promise.all([work(), pace > 0 ? sleep(pace) : undefined]);
      ledger?.note("done", idempotencyKey);
      return result;
    };
}

/** The same of the turns of a model. */
function noted(model: Model, { ledger, within }: Surroundings): Model {
  return async function* (turn, signal) {
    const key = turn.idempotencyKey!;
    ledger?.note("began", key);
    await within?.(key);
    for await (const event of model(turn, signal)) {
      if (event.type === "end") ledger?.note("done", key);
      yield event;
    }
  };
}

const Folder = z.string().min(1);
const Code = z.enum(["whole", "headers"]);
const Place = z.object({ folder: Folder, code: Code });
const Weights = z.record(z.string(), z.number());
const Finding = z.object({
  file: z.string(),
  from: z.int(),
  to: z.int(),
  heading: z.string(),
  quote: z.string(),
  score: z.number(),
});
const Task = z.object({
  title: z.string(),
  words: z.string(),
  weights: Weights,
  under: z.string().optional(),
});
const Section = z.object({ title: z.string(), findings: z.array(Finding) });
const Said = z.object({ text: z.string(), cites: z.array(z.string()) });
const Draft = z.object({
  question: z.string(),
  said: z.array(Said).optional(),
  sections: z.array(Section),
  unknown: z.array(z.string()),
});
/** Which model takes part: the run goes on with that one. */
export const ModelName = z.string().min(1).max(200).optional();
const Removed = z.object({ file: z.string(), from: z.int(), quote: z.string(), why: z.string() });

export const Indexed = z.object({
  files: z.int(),
  passages: z.int(),
  read: z.int(),
  unchanged: z.int(),
  forgotten: z.int(),
  leftOut: z.int(),
});
const Reviewed = z.object({
  draft: Draft,
  checked: z.int(),
  removed: z.array(Removed),
  unfounded: z.int(),
});

/** Files that are read in one step. */
const BATCH = 16;
/** Passages that a reader looks at. */
const READ_PASSAGES = 16;
/** Sentences that a model chooses from. */
const CANDIDATES = 30;

export type ResearchAgents = ReturnType<typeof researchAgents>;

export function researchAgents(surroundings: Surroundings) {
  const act = actOn(surroundings);
  const libraryOf = (folder: string) => new Library(surroundings.db, folder);
  const modelOf = (name: string | undefined) => {
    const model = requireModel(name, surroundings.model);
    return model && noted(model, surroundings);
  };
  return {
    indexer: indexer(act, libraryOf),
    planner: defineAgent({
      name: "planner",
      description: "finds the smaller questions in a question",
      input: z.object({ folder: Folder, question: z.string(), model: ModelName }),
      output: z.object({ tasks: z.array(Task), unknown: z.array(z.string()) }),
      run: async (ctx, { folder, question, model: name }) => {
        const model = modelOf(name);
        const parts = model && (await split(ctx, model, question));
        return ctx.step<Plan>(
          "plan",
          act(() => plan(question, libraryOf(folder), parts)),
        );
      },
    }),
    reader: defineAgent({
      name: "reader",
      description: "searches, and picks out the sentences that answer one question",
      input: z.object({ folder: Folder, task: Task, model: ModelName }),
      output: Section,
      run: async (ctx, { folder, task, model: name }) => {
        const model = modelOf(name);
        const library = libraryOf(folder);
        const passages = await ctx.step(
          "search",
          act(() => library.search(task.words, READ_PASSAGES, task.under)),
        );
        const findings = await ctx.step(
          "pick",
          act(() => findingsIn(passages, task.weights, library, model && CANDIDATES)),
        );
        if (!model) return { title: task.title, findings };
        return { title: task.title, findings: await choose(ctx, model, task.title, findings) };
      },
    }),
    writer: defineAgent({
      name: "writer",
      description: "makes one answer of what the readers found",
      input: z.object({
        question: z.string(),
        read: z.array(Section),
        unknown: z.array(z.string()),
        model: ModelName,
      }),
      output: Draft,
      run: async (ctx, { question, read, unknown, model: name }) => {
        const model = modelOf(name);
        const draft = await ctx.step(
          "draft",
          act(async () => draftOf(question, read, unknown)),
        );
        if (!model) return draft;
        return { ...draft, said: await compose(ctx, model, draft) };
      },
    }),
    reviewer: reviewer(act),
  };
}

function indexer(act: Act, libraryOf: (folder: string) => Library) {
  return defineAgent({
    name: "indexer",
    description: "reads what has changed in a folder into a full-text index",
    input: Place,
    output: Indexed,
    run: async (ctx, { folder, code }) => {
      const library = libraryOf(folder);
      const look = await ctx.step(
        "look",
        act(async () => {
          const [corpus, known] = await Promise.all([listCorpus(folder, code), library.hashes()]);
          const changed = corpus.files.filter(({ file, hash }) => known.get(file) !== hash);
          const there = new Set(corpus.files.map(({ file }) => file));
          const gone = [...known.keys()].filter((file) => !there.has(file));
          return { changed, gone, files: there.size, leftOut: corpus.leftOut };
        }),
      );
      const batches = Array.from({ length: Math.ceil(look.changed.length / BATCH) }, (_, at) =>
        look.changed.slice(at * BATCH, (at + 1) * BATCH),
      );
      let read = 0;
      await ctx.map(
        batches,
        async (branch, batch) => {
          await branch.step(
            "read",
            act(async () => library.put(await cutAll(folder, code, batch))),
          );
          read += batch.length;
          ctx.progress(read, look.changed.length);
        },
        { name: "files", concurrency: 2 },
      );
      const passages = await ctx.step(
        "tidy",
        act(async () => {
          await library.forget(look.gone);
          return library.size();
        }),
      );
      const unchanged = look.files - look.changed.length;
      const { files, leftOut } = look;
      return { files, passages, read, unchanged, forgotten: look.gone.length, leftOut };
    },
  });
}

async function cutAll(
  folder: string,
  code: z.output<typeof Code>,
  files: readonly CorpusFile[],
): Promise<ReadFile[]> {
  return Promise.all(
    files.map(async ({ file, hash }) => {
      const text = await readText(folder, file);
      return { file, hash, cuts: text === undefined ? [] : cut(file, text, code) };
    }),
  );
}

function reviewer(act: Act) {
  return defineAgent({
    name: "reviewer",
    description: "looks every citation up in its file, and takes out those that are wrong",
    input: z.object({ folder: Folder, draft: Draft }),
    output: Reviewed,
    run: async (ctx, { folder, draft }) => {
      const cited = new Map(
        draft.sections.flatMap(({ findings }) => findings.map((each) => [keyOf(each), each])),
      );
      const files = [...new Set([...cited.values()].map(({ file }) => file))];
      const wrong = await ctx.map(
        files,
        async (branch, file) =>
          branch.step(
            "check",
            act(() =>
              checkFile(
                folder,
                [...cited.values()].filter((each) => each.file === file),
              ),
            ),
          ),
        { name: "files", concurrency: 4 },
      );
      const removed = wrong.flat();
      const kept = without(draft, removed);
      const unfounded = (draft.said?.length ?? 0) - (kept.said?.length ?? 0);
      return { draft: kept, checked: cited.size, removed, unfounded };
    },
  });
}

async function checkFile(folder: string, findings: readonly Finding[]): Promise<Removed[]> {
  const removed: Removed[] = [];
  for (const finding of findings) {
    const why = await whyWrong(folder, finding);
    const { file, from, quote } = finding;
    if (why !== undefined) removed.push({ file, from, quote, why });
  }
  return removed;
}

/** @throws `NonRetryable` if the run was started with another, or this process has none */
function requireModel(name: string | undefined, model: NamedModel | undefined): Model | undefined {
  if (name === undefined || name === model?.name) return name === undefined ? undefined : model?.model;
  throw new NonRetryable(
    `the run was started with the model ${name}, and SENTIENT_MODEL is ${model?.name ?? "not set"} here; set it to that, or ask anew`,
  );
}

export function allAgents(agents: ResearchAgents): Definition[] {
  return Object.values(agents) as Definition[];
}
