// Testing. Owns: finding the tests of a project, and having Node run them, in TypeScript and without a setup.

import { glob } from "node:fs/promises";
import { relative, resolve } from "node:path";
import type { TestsStream } from "node:test";
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

interface Outcome {
  name: string;
  file: string;
  ok: boolean;
  skipped: boolean;
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
    const outcomes = outcomesOf(tests);
    for await (const text of tests.compose(new spec())) if (!json) process.stdout.write(String(text));
    const failed = outcomes.filter(({ ok }) => !ok).length;
    const said = { passed: outcomes.length - failed, failed, tests: outcomes };
    if (json) return { json: said, lines: [], ...(failed > 0 ? { status: EXIT.failed } : {}) };
    if (failed > 0) process.exitCode = EXIT.failed;
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

/** Grows as they end. */
function outcomesOf(tests: TestsStream): Outcome[] {
  const outcomes: Outcome[] = [];
  tests.on("test:pass", ({ name, file = name, details, skip }) => {
    if (details.type === "suite") return;
    outcomes.push({
      name,
      file: relative(".", file),
      ok: true,
      skipped: skip !== undefined,
      ms: details.duration_ms,
    });
  });
  tests.on("test:fail", ({ name, file = name, details, skip }) => {
    if (details.type === "suite") return;
    const { message } = (details.error.cause as Error | undefined) ?? details.error;
    const outcome = { name, file: relative(".", file), ok: false, skipped: skip !== undefined };
    outcomes.push({ ...outcome, ms: details.duration_ms, error: message });
  });
  return outcomes;
}
