import type { Command } from "commander";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { EXIT, exitCodeOf } from "../src/exit-codes.ts";
import { createProgram } from "../src/program.ts";
import { inside } from "./support/inside.ts";

const STATUSES: ReadonlySet<number | null> = new Set(Object.values(EXIT));

/** Every command that does something, by the words that call it. */
function commandsOf(
  command: Command,
  words: readonly string[] = [],
): { words: string[]; command: Command }[] {
  if (command.commands.length === 0) return [{ words: [...words], command }];
  return command.commands
    .filter((each) => !["complete", "completion"].includes(each.name()))
    .flatMap((each) => commandsOf(each, [...words, each.name()]));
}

const all = commandsOf(createProgram());

test("every command says in its help how it is typed, with an example and what its status means", async () => {
  expect(all.length).toBeGreaterThan(30);
  for (const { words } of all) {
    const { stdout, code } = await inside([...words, "--help"]);
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: sentient ${words.join(" ")}`);
    expect(stdout).toMatch(/Examples:\n {2}\$ (?:[A-Z_]+=\S+ )?sentient /);
    expect(stdout).toContain("Exit status:");
    expect(stdout).toContain("--json");
  }
});

test("a word that is not known is answered with the one that was meant", async () => {
  const { code, stdout, stderr } = await inside(["rnus"]);
  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toContain("did you mean runs?");
  expect((await inside(["runs", "lst"])).stderr).toContain("did you mean list?");
  expect((await inside(["runs", "list", "--stauts", "failed"])).stderr).toContain("did you mean --status?");
  expect((await inside(["runs", "list", "--token=hunter2"])).stderr).not.toContain("hunter2");
});

test("without a command the help is what is said, and the status is that of wrong usage", async () => {
  const { code, stderr } = await inside([]);
  expect(code).toBe(2);
  expect(stderr).toContain("Usage: sentient");
});

test("to look makes no database where there is none", async () => {
  const url = "rocksdb:///tmp/sentient-nothing-here";
  for (const words of [
    ["runs", "list"],
    ["doctor"],
    ["events", "tail"],
    ["state", "show", "r-1"],
    ["restore", "no-such-file"],
  ]) {
    const { code, stdout } = await inside([...words, "--url", url, "--json"]);
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: "cli.not_found" } });
  }
});

test("one table says how each error ends", () => {
  expect(exitCodeOf("state.not_found")).toBe(3);
  expect(exitCodeOf("db.locked")).toBe(5);
  expect(exitCodeOf("db.bad_url")).toBe(2);
  expect(exitCodeOf("agent.result_timeout")).toBe(4);
  expect(exitCodeOf("agent.run_cancelled")).toBe(1);
});

/** What does not wait for anybody; none of it finds a database. */
const fuzzed = all
  .filter(({ words }) => !["demo", "dev", "init", "serve", "run", "migrate", "restore"].includes(words[0]!))
  .filter(({ words }) => !/^(?:runs import|schedules put)$/.test(words.join(" ")));
const nasty = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.constantFrom(
    "--",
    "-",
    "--json=1",
    "--limit",
    "-n",
    "-1",
    "1e9",
    "../../etc/passwd",
    "\u001B[2J",
    "__proto__",
    "@/etc/shadow",
    "@",
    "--status",
    "'; DELETE run;",
  ),
);

test("whatever is typed ends with a status that is documented, valid JSON where it was asked for, and no stack", async () => {
  const url = "rocksdb:///tmp/sentient-nothing-here";
  const typed = fc.record({
    command: fc.constantFrom(...fuzzed),
    args: fc.array(nasty, { maxLength: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(typed, async ({ command, args }) => {
      const { code, stdout, stderr } = await inside([...command.words, "--url", url, "--json", ...args]);
      expect(STATUSES.has(code)).toBe(true);
      expect(stderr).not.toMatch(/\n\s+at /);
      expect(stderr).not.toContain("\u001B");
      const isAnother = /^(?:Usage|\d+\.\d+\.\d+\n$)/.test(stdout); // of --help and --version, or -V
      if (!isAnother && stdout !== "") expect(() => JSON.parse(stdout)).not.toThrow();
    }),
    { numRuns: 300 },
  );
});
