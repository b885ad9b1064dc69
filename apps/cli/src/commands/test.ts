// Testing. Owns: finding the tests of a project, having Node run them, in TypeScript and without a setup, and what came of them.
// T1. It ends with 0 only if the runner calls all of it a success: hooks, suites and files that fail are no tests, and fail it too.

import { glob } from "node:fs/promises";
import { relative, resolve } from "node:path";
import type { EventData, TestsStream } from "node:test";
import { inspect } from "node:util";
import { Argument, Option } from "commander";
import { CliError } from "../cli-error.ts";
import { defineCommand } from "../command.ts";
import { EXIT } from "../exit-codes.ts";
import { collect } from "../options.ts";

const TESTS = "**/*.test.{ts,mts,js,mjs}";
const NOT_OURS = ["**/node_modules/**", "**/dist/**", "**/.*/**"];

interface Flags {
  watch?: true;
  name?: string[];
}

type Passed = EventData.TestPass;
type Failed = EventData.TestFail;
type RunnerError = Error & { failureType?: string };

/** Of a test; of a suite, a hook or a file only if it failed by itself, or was skipped as a whole. */
interface Outcome {
  name: string;
  file: string;
  ok: boolean;
  skipped: boolean;
  /** It may fail. */
  todo: boolean;
  ms: number;
  error?: string;
}

export const testCommand = defineCommand<Flags>({
  name: "test",
  summary: "run the tests of your agents",
  description:
    "Runs the tests of your agents: files that end in .test.ts, each in a process of its own, with the test runner of Node, in TypeScript as it is. With createTestSentient of @sentient/agent-core/testing they are run in memory and in virtual time: what sleeps for days takes no time, people and crashes are written into the test. SENTIENT_TEST=1 is set for them.",
  args: [new Argument("[files...]", "files or patterns (default: every *.test.ts of this folder)")],
  options: [
    new Option("--name <pattern>", "only tests whose name matches; may be given again").argParser(collect),
    new Option("--watch", "run them again when a file changes").conflicts("json"),
  ],
  offline: true,
  examples: [
    ["sentient test", "all there are"],
    ["sentient test agents.test.ts --name charged", "some of one file"],
  ],
  run: async (patterns, { watch = false, name, json }) => {
    const files = await filesOf(patterns);
    const [{ run }, { spec }] = await Promise.all([import("node:test"), import("node:test/reporters")]);
    process.env.SENTIENT_TEST = "1";
    const tests = run({ files, watch, concurrency: true, ...(name ? { testNamePatterns: name } : {}) });
    const ended = endOf(tests);
    for await (const text of tests.compose(new spec())) if (!json) process.stdout.write(String(text));
    const { outcomes, isSuccess } = ended;
    if (name && isSuccess && outcomes.length === 0 && !watch) throw noSuchTest(name, files.length);
    if (json) return { json: said(outcomes), lines: [], status: isSuccess ? EXIT.done : EXIT.failed };
    if (!isSuccess) process.exitCode = EXIT.failed;
    return undefined;
  },
});

/** @throws `cli.not_found` */
async function filesOf(patterns: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  const all = glob(patterns.length > 0 ? patterns : [TESTS], { exclude: NOT_OURS });
  for await (const file of all) found.push(file);
  if (found.length > 0) return found.map((file) => resolve(file)).toSorted();
  const asked = patterns.length > 0 ? patterns.join(", ") : TESTS;
  throw new CliError({
    code: "cli.not_found",
    message: `there is no ${asked} in ${process.cwd()}: write one next to your agents, as sentient init does`,
  });
}

function noSuchTest(names: readonly string[], files: number): CliError {
  return new CliError({
    code: "cli.not_found",
    message: `no test in ${files} ${files === 1 ? "file has" : "files has"} a name that matches ${names.join(" or ")}: write a part of its name as it stands there, or leave out --name`,
  });
}

function said(outcomes: readonly Outcome[]) {
  const count = (is: (outcome: Outcome) => boolean) => outcomes.filter(is).length;
  return {
    passed: count(({ ok, skipped, todo }) => ok && !skipped && !todo),
    failed: count(({ ok, todo }) => !ok && !todo),
    skipped: count(({ skipped }) => skipped),
    todo: count(({ todo, skipped }) => todo && !skipped),
    tests: outcomes,
  };
}

/** Grows as they end. */
function endOf(tests: TestsStream): { outcomes: Outcome[]; isSuccess: boolean } {
  const ended = { outcomes: [] as Outcome[], isSuccess: false };
  const written = new Map<string, string>();
  const add = ({ name, file = name, skip, todo, details }: Passed | Failed, failed: Partial<Outcome> = {}) =>
    ended.outcomes.push({
      name: isFile({ name, file }) ? relative(".", file) : name,
      file: relative(".", file),
      ok: true,
      skipped: skip !== undefined,
      todo: todo !== undefined,
      ms: details.duration_ms,
      ...failed,
    });
  tests.on("test:stderr", ({ file, message }) => written.set(file, (written.get(file) ?? "") + message));
  tests.on("test:pass", (passed) => {
    const { details, skip } = passed;
    const isTest = !isFile(passed) && details.type !== "suite"; // a file stands there if none of its tests ran
    if (isTest || skip !== undefined) add(passed);
  });
  tests.on("test:fail", (failed) => {
    const { name, details } = failed;
    const { failureType, cause, message } = details.error as RunnerError;
    if (details.type === "suite" && failureType === "subtestsFailed") return; // they have told it themselves
    const why = isFile(failed) && typeof cause === "string" ? written.get(name)?.trim() : undefined; // its process ended
    add(failed, { ok: false, error: why || (messageOf(cause) ?? message) });
  });
  tests.on("test:summary", ({ file, success }) => {
    if (file === undefined) ended.isSuccess = success; // T1; of all files
  });
  return ended;
}

function isFile({ name, file }: { name: string; file?: string | undefined }): boolean {
  return file === resolve(name);
}

function messageOf(thrown: unknown): string | undefined {
  if (thrown === undefined) return undefined;
  const { message } = Object(thrown) as { message?: unknown };
  if (typeof message === "string") return message;
  return typeof thrown === "string" ? thrown : inspect(thrown);
}
