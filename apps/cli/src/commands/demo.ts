import { Argument, Option } from "commander";
import { relative } from "node:path";
import { usage } from "../cli-error.ts";
import { defineCommand, type Answer } from "../command.ts";
import { demo, type DemoResult } from "../demo/demo.ts";
import { subjectOf } from "../demo/subject.ts";
import { colour, count, duration, printable } from "../print.ts";

interface Flags {
  yes?: true;
  crash?: true;
  out?: string;
  data: string;
  lease: number;
  pace: number;
  json?: true;
}

/** A run of the demo with --crash goes on so soon after the kill, in milliseconds. */
const LEASE_MS = 2_000;
/** So long a step takes at least with --crash, that there is a middle to be killed in. */
const PACE_MS = 150;

export const demoCommand = defineCommand<Flags>({
  name: "demo",
  summary: "answer a question from a folder of files, by several agents",
  description:
    "Answers a question from a folder of text, Markdown and code: an indexer, a planner, readers beside each other, a writer and a " +
    "reviewer, as durable runs. The answer is quoted from the files, each sentence with the line where it stands; no language model " +
    "and no key is needed. With SENTIENT_MODEL one takes part: of an API that speaks as OpenAI's does, at OPENAI_BASE_URL with " +
    "OPENAI_API_KEY, or of another provider of the AI SDK that is installed, as in @ai-sdk/anthropic:claude-haiku-4-5. End it when you " +
    "like: the same command goes on where it was.",
  args: [
    new Argument("[folder]", "the files (default: this repository)"),
    new Argument("[question]", "what to find out"),
  ],
  options: [
    new Option("-y, --yes", "write the report without asking"),
    new Option("--crash", "kill the worker process in the middle, and let another go on"),
    new Option("-o, --out <file>", "the report (default: .sentient/reports/<question>.md)"),
    new Option("--data <dir>", "where the database of the demo is").default(".sentient/demo"),
    new Option("--lease <ms>", "with --crash: after how long others take over")
      .argParser(milliseconds)
      .default(LEASE_MS),
    new Option("--pace <ms>", "with --crash: how long a step takes at least")
      .argParser(milliseconds)
      .default(PACE_MS),
  ],
  offline: true,
  examples: [
    ["sentient demo", "this repository's own documents"],
    ['sentient demo ./docs "how are backups made?" --yes', "your files, your question"],
    ["sentient demo --crash --yes", "kills the worker with SIGKILL on the way"],
  ],
  run: async (args, { yes = false, crash = false, out, data, lease, pace }) => {
    const subject = subjectOf(args, out);
    const result = await demo(subject, { url: `rocksdb://${data}`, yes, crash, lease, pace });
    const isSound = !result.crash || result.crash.twice.length === 0;
    return { json: result, lines: summary(result), ...(isSound ? {} : { status: 1 }) } satisfies Answer;
  },
});

function milliseconds(text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 0 && number <= 3_600_000) return number;
  throw usage(`${JSON.stringify(text)} is no number of milliseconds`);
}

function row(name: string, text: string): string {
  return `  ${colour("dim", name.padEnd(10))} ${text}`;
}

function summary(result: DemoResult): string[] {
  const { output, question, took, firstEvent, events, steps, run, resumed, phases, crash } = result;
  const { indexed, citations, removed, tasks, report, model } = output;
  return [
    "",
    colour("bold", printable(question)),
    row(
      "files",
      `${count(indexed.files, "file")}, ${count(indexed.passages, "passage")}: ${indexed.read} read, ${indexed.unchanged} unchanged`,
    ),
    row("readers", `${count(tasks, "question")}, each by a reader of its own`),
    ...(model === undefined ? [] : [row("model", printable(model))]),
    row(
      "citations",
      `${citations} looked up, ${citations - removed} true${removed > 0 ? `, ${removed} taken out` : ""}`,
    ),
    row(
      "run",
      `${run}${resumed ? ", gone on with" : ""}: ${count(steps, "step")}, ${count(events, "event")}`,
    ),
    row("time", `first event after ${duration(firstEvent)}, all in ${duration(took)}`),
    row("of that", phases.map(({ name, ms }) => `${name} ${duration(ms)}`).join(" · ")),
    ...(crash ? crashLines(crash) : []),
    row(
      "report",
      report === undefined
        ? "not written, as you said"
        : colour("green", printable(relative(process.cwd(), report))),
    ),
  ];
}

function crashLines({
  pid,
  signal,
  successor,
  successorUp,
  takenOver,
  takeOver,
  lease,
  steps,
  again,
  twice,
}: NonNullable<DemoResult["crash"]>): string[] {
  return [
    row("killed", `process ${pid} by ${signal}; process ${successor} took over ${count(takenOver, "run")}`),
    row(
      "take-over",
      `${duration(takeOver)} after the kill (its lease: ${duration(lease)}; the next process was up after ${duration(successorUp)})`,
    ),
    row(
      "effects",
      `${twice.length} steps done twice: of ${steps} that do something, ${again} ${again === 1 ? "was" : "were"} cut off and begun again, none that was remembered`,
    ),
  ];
}
