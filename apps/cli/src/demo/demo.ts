// The demo. Owns: one research from its start to its summary, in this process or in a worker of its own that is killed.
// M1. What is not over is gone on with: asked again with the same folder and question, it takes up the run of before.
// M2. Nobody is asked where nobody can answer: then the question stays, and how to answer it is said.

import { createInterface } from "node:readline/promises";
import { createSentient, type RunHandle, type Sentient } from "@sentient/agent-core";
import { openDatabase } from "@sentient/db-pool";
import type { Event } from "@sentient/schema";
import type { z } from "zod";
import { CliError } from "../cli-error.ts";
import { allAgents } from "../research/agents.ts";
import { Ledger } from "../research/ledger.ts";
import { Library } from "../research/library.ts";
import { modelFrom } from "../research/model.ts";
import { defineResearch, RESEARCH, type ResearchOutput } from "../research/workflow.ts";
import { colour, printable } from "../print.ts";
import { serveBeside } from "@sentient/agent-core/config";
import { CrashTest, type Crash } from "./crash.ts";
import { Progress } from "./progress.ts";
import { screenFor, type Screen } from "./screen.ts";
import { tagOf, type Subject } from "./subject.ts";

export interface DemoOptions {
  url: string;
  /** Answers the question before the report is written. */
  yes: boolean;
  crash: boolean;
  lease: number;
  pace: number;
}

export interface DemoResult {
  run: string;
  question: string;
  folder: string;
  output: z.output<typeof ResearchOutput>;
  took: number;
  /** From the start of the program to the first event, in milliseconds. */
  firstEvent: number;
  resumed: boolean;
  events: number;
  steps: number;
  phases: { name: string; ms: number }[];
  crash?: Crash;
}

export async function demo(asked: Subject, options: DemoOptions): Promise<DemoResult> {
  const began = Date.now() - Math.round(performance.now()); // when the process did
  const model = await modelFrom(process.env);
  const subject = { ...asked, ...(model ? { model: model.name } : {}) };
  process.stderr.write(
    `${colour("bold", printable(subject.question), process.stderr)}\n${colour("dim", `from ${printable(subject.folder)}`, process.stderr)}\n\n`,
  );
  await using stack = new AsyncDisposableStack();
  const db = stack.use(await openDatabase({ url: options.url }));
  await Library.prepare(db);
  const served = stack.use((await serveBeside(db))!);
  const { agents, research } = defineResearch({ db, model });
  const definitions = { agents: allAgents(agents), workflows: [research] };
  const sentient = stack.use(
    await createSentient({ database: db, ...definitions, ...(options.crash ? { worker: false } : {}) }),
  );
  const { handle, resumed } = await begin(sentient, subject, research, options.crash);
  const progress = new Progress();
  const screen = screenFor(progress, process.stderr);
  stack.defer(() => screen.end());
  const test = options.crash ? crashTest(options, served, handle.id, screen) : undefined;
  if (test) stack.defer(() => test.stop());
  await test?.start();
  const stop = new AbortController();
  stack.defer(() => stop.abort());
  const interrupted = interruption(stack);
  const watching = watch({ sentient, handle, progress, screen, test, options, signal: stop.signal });
  const output = await Promise.race([
    watching.then(() => handle.result({ signal: stop.signal })),
    interrupted,
    ...(test ? [test.failed] : []),
  ]);
  return {
    run: handle.id,
    question: subject.question,
    folder: subject.folder,
    output: output as DemoResult["output"],
    took: Date.now() - began,
    firstEvent: (progress.firstAt ?? Date.now()) - began,
    resumed,
    events: progress.events,
    steps: progress.steps,
    phases: progress.took(),
    ...(test ? { crash: test.result() } : {}),
  };
}

/** M1. */
async function begin(
  sentient: Sentient,
  subject: Subject,
  research: ReturnType<typeof defineResearch>["research"],
  withWorkerOutside: boolean,
): Promise<{ handle: RunHandle; resumed: boolean }> {
  const tag = tagOf(subject);
  const status = ["queued", "running", "waiting"] as const;
  const [before] = (await sentient.list({ name: RESEARCH, tag, status, limit: 1 })).runs;
  if (!before) {
    const correlation = `${tag}-${Date.now()}`;
    return { handle: await sentient.start(research, subject, { tags: [tag], correlation }), resumed: false };
  }
  if (!withWorkerOutside) await sentient.worker().start();
  return { handle: sentient.handle(before.id), resumed: true };
}

function crashTest(
  options: DemoOptions,
  served: { url: string; token: string },
  run: string,
  screen: Screen,
): CrashTest {
  const ledger = new Ledger(`.sentient/ledgers/${run}.jsonl`);
  const { url, token } = served;
  const { pace, lease } = options;
  return new CrashTest({ url, token, ledger: ledger.path, pace, lease }, ledger, (line) => screen.say(line));
}

interface Watch {
  sentient: Sentient;
  handle: RunHandle;
  progress: Progress;
  screen: Screen;
  test: CrashTest | undefined;
  options: DemoOptions;
  signal: AbortSignal;
}

/** Follows the run and those that it has started, until it is over. */
async function watch(watching: Watch): Promise<void> {
  const { sentient, handle, progress, screen, test, signal } = watching;
  const { correlation } = await handle.run();
  for await (const event of sentient.events.follow({ after: 0, correlation: correlation!, signal })) {
    const told = progress.hear(event);
    if (told) screen.told(told);
    test?.hear(event);
    if (event.run !== handle.id) continue;
    if (event.type === "question.asked") await test?.untilKilled();
    if (event.type === "question.asked") await answer(watching, event);
    if (/^run\.(?:completed|failed|cancelled|parked)$/.test(event.type)) return;
  }
}

/** M2. */
async function answer({ sentient, handle, screen, options }: Watch, event: Event): Promise<void> {
  const { key, text } = event.data as { key: string; text: string };
  const { questions } = await sentient.questions.list({ run: handle.id, status: "open" });
  if (!questions.some((question) => question.key === key)) return; // it was answered before
  if (options.yes) return void (await sentient.answer(handle.id, key, true, { by: "--yes" }));
  if (!process.stdin.isTTY) throw nobodyThere(handle.id, key, options.url);
  screen.pause();
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const said = await asking.question(`\n${text} [Y/n] `);
    await sentient.answer(handle.id, key, !/^\s*n/i.test(said), { by: process.env.USER ?? "you" });
  } finally {
    asking.close();
    screen.resume();
  }
}

function nobodyThere(run: string, key: string, url: string): CliError {
  return new CliError({
    code: "cli.waits",
    message:
      `the run ${run} asks whether the report may be written, and there is no terminal to ask at; the question stays:\n` +
      `sentient questions answer ${run} ${key} true --url ${url}\n` +
      "then the same demo again, which goes on with it; or say --yes",
  });
}

function interruption(stack: AsyncDisposableStack): Promise<never> {
  return new Promise((_, reject) => {
    const end = () =>
      reject(
        new CliError({
          code: "cli.interrupted",
          message: "interrupted; nothing is lost: the same command goes on where it was",
        }),
      );
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.once(signal, end);
      stack.defer(() => void process.removeListener(signal, end));
    }
  });
}
