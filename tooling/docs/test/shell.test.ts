// What the pages say in the shell: each command is one that there is, and takes what it is given.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createSentient } from "@sentient/agent-core";
import { createApp } from "@sentient/api";
import { createProgram } from "@sentient/cli";
import type { Command } from "commander";
import { afterAll, beforeAll, expect, test } from "vitest";
import { blocksOf, markdownFiles, readPage, ROOT } from "../src/pages.ts";
import { commandsOf } from "./support/commands.ts";

const pages = markdownFiles().filter(
  (file) =>
    file.startsWith("docs/") ||
    /^(README|CONTRIBUTING|examples\/README)\.md$/.test(file) ||
    /^apps\/.*README\.md$/.test(file),
);

/** Undefined if it is as it should be. */
type Check = (args: string[], page: string) => string | undefined | Promise<string | undefined>;

const anything: Check = () => undefined;
const CHECKS: Readonly<Record<string, Check>> = {
  sentient: problemOfSentient,
  "sentient-worker": ([...args]) => problemOfFlags("sentient-worker", args, workerFlags()),
  "sentient-api": (args) => (args.length > 0 ? "sentient-api takes no words" : undefined),
  npx: (args, page) =>
    problemOf(
      args.filter((arg, i) => arg !== "-y" && arg !== "-p" && args[i - 1] !== "-p"),
      page,
    ),
  npm: ([what, script]) =>
    what === "run" ? problemOfScript(script) : oneOf(what, ["install", "ci", "pkg", "test"]),
  pnpm: problemOfPnpm,
  node: problemOfNode,
  curl: problemOfCurl,
  ask: problemOfCurl,
  docker: problemOfDocker,
  git: ([what]) => oneOf(what, ["clone", "pull", "diff"]),
  ...Object.fromEntries(
    [
      "cat",
      "cd",
      "cp",
      "date",
      "gzip",
      "jq",
      "kill",
      "mkdir",
      "openssl",
      "rm",
      "sed",
      "sleep",
      "source",
      "tar",
    ].map((name) => [name, anything]),
  ),
};

function oneOf(what: string | undefined, known: readonly string[]): string | undefined {
  return known.includes(what ?? "") ? undefined : `${what} is none of ${known.join(", ")}`;
}

function problemOf([name = "", ...args]: string[], page: string) {
  const check = CHECKS[name];
  return check ? check(args, page) : `nobody knows how to check ${name}`;
}

async function problemOfSentient(args: string[]): Promise<string | undefined> {
  const program = createProgram();
  const quiet = (command: Command) => {
    command.action(() => {}).configureOutput({ writeOut: () => {}, writeErr: () => {} });
    command.commands.forEach(quiet);
  };
  for (const command of program.commands) quiet(command);
  program.configureOutput({ writeOut: () => {}, writeErr: () => {} });
  try {
    await program.parseAsync(args, { from: "user" });
    return undefined;
  } catch (error) {
    const { exitCode, message } = error as { exitCode?: number; message: string };
    return exitCode === 0 ? undefined : message;
  }
}

let known: Set<string> | undefined;
function workerFlags(): Set<string> {
  if (known) return known;
  const main = join(ROOT, "apps/worker/src/main.ts");
  const help = execFileSync(process.execPath, ["--conditions=@sentient/source", main, "--help"], {
    encoding: "utf8",
  });
  return (known = new Set(help.match(/--[a-z-]+/g)));
}

function problemOfFlags(
  name: string,
  args: readonly string[],
  flags: ReadonlySet<string>,
): string | undefined {
  const strange = args.filter((arg) => arg.startsWith("--")).find((arg) => !flags.has(arg.split("=")[0]!));
  return strange && `${name} has no ${strange}`;
}

const scripts = Object.keys((JSON.parse(readPage("package.json")) as { scripts: object }).scripts);

function problemOfScript(script: string | undefined): string | undefined {
  return oneOf(script, [...scripts, "dev", "hello"]); // the last two: of a project made by `sentient init`
}

function problemOfPnpm(args: string[]): string | undefined {
  if (args[0] === "--filter") {
    const folder = ["packages", "apps", "tooling"].find((each) =>
      existsSync(join(ROOT, each, args[1]!.split("/")[1]!)),
    );
    return folder ? undefined : `there is no package ${args[1]}`;
  }
  return args[0] === "run"
    ? problemOfScript(args[1])
    : oneOf(args[0], [...scripts, "install", "add", "pack"]);
}

function problemOfNode(args: string[], page: string): string | undefined {
  if (args[0] === "-e") return undefined;
  const file = args.find((arg) => !arg.startsWith("-"))!;
  const blocks = blocksOf(readPage(page)).map(({ text }) => /^\/\/ (\S+)\n/.exec(text)?.[1]);
  return blocks.includes(file) || existsSync(join(ROOT, file))
    ? undefined
    : `there is no ${file} on this page`;
}

function problemOfDocker(args: string[]): string | undefined {
  const compose = readFileSync(join(ROOT, "docker-compose.yml"), "utf8");
  const [what, ...rest] = args;
  if (what === "compose") {
    const profile = rest[0] === "--profile" ? rest[1] : undefined;
    return profile && !compose.includes(`profiles: [${profile}]`)
      ? `there is no profile ${profile}`
      : undefined;
  }
  const target = rest[rest.indexOf("--target") + 1];
  if (what !== "build") return oneOf(what, ["run", "build"]);
  return readPage("Dockerfile").includes(` AS ${target}`) ? undefined : `there is no target ${target}`;
}

let paths: Record<string, Record<string, unknown>>;
let runtime: Awaited<ReturnType<typeof createSentient>>;

beforeAll(async () => {
  runtime = await createSentient({ url: "mem://", worker: false });
  ({ paths } = createApp(runtime).document() as { paths: typeof paths });
});
afterAll(() => runtime.close());

function problemOfCurl(args: string[]): string | undefined {
  const url = args.find((arg) => arg.startsWith("http"));
  if (!url) return `no URL in ${args.join(" ")}`;
  const method =
    args[args.indexOf("--request") + 1 || args.length] ?? (args.includes("--data") ? "POST" : "GET");
  const parts = new URL(url).pathname.split("/");
  const fits = (path: string) => {
    const wanted = path.split("/");
    return (
      wanted.length === parts.length && wanted.every((part, i) => part.startsWith("{") || part === parts[i])
    );
  };
  const found = Object.keys(paths).filter(fits);
  return found.some((path) => method.toLowerCase() in paths[path]!)
    ? undefined
    : `there is no ${method} ${parts.join("/")}`;
}

/** What is wrong with the commands of a page. */
async function problemsOf(page: string, text: string): Promise<string[]> {
  const files = blocksOf(text).flatMap((block) => /^\/\/ (\S+)\n/.exec(block.text)?.[1] ?? []);
  const problems: string[] = [];
  for (const block of blocksOf(text)) {
    if (!["sh", "bash"].includes(block.language)) continue;
    for (const command of commandsOf(block.text, files)) {
      const problem = await problemOf(command, page);
      if (problem) problems.push(`line ${block.line}: ${command.join(" ")}: ${problem}`);
    }
  }
  return problems;
}

test.for(pages)("%s", { timeout: 60_000 }, async (page) => {
  expect(await problemsOf(page, readPage(page))).toEqual([]);
});

test("commands that are not, and options that they do not have, are found", async () => {
  const wrong = [
    "sentient runs lst",
    "sentient runs list --colour",
    "sentient-worker --agent ./a.ts",
    "npm run nothing",
    'curl "$API/v1/nothing"',
    "frobnicate",
  ];
  expect(await problemsOf("README.md", `\`\`\`sh\n${wrong.join("\n")}\n\`\`\`\n`)).toHaveLength(wrong.length);
});
