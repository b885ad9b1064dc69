// Running. Works wherever runs are advanced: by a worker elsewhere, or here, if this process owns the database and has the code.

import { createSentient, type Definition, type RunHandle, type Sentient } from "@sentient/agent-core";
import { SentientError, type Database } from "@sentient/db-pool";
import type { Chunk } from "@sentient/state";
import { Argument, Option } from "commander";
import { CliError } from "../cli-error.ts";
import { defineCommand, type Answer } from "../command.ts";
import { untilInterrupted } from "../interrupted.ts";
import { configFrom, definitionsFrom, openConfigured } from "../open.ts";
import { collect, defined, jsonFrom, wholeNumber } from "../options.ts";
import { jsonLine, note, out } from "../print.ts";
import { folderOf, serveBeside } from "@sentient/agent-core/config";
import { eventLine, jsonLines } from "../show.ts";

interface Flags {
  input?: string;
  agents?: string[];
  key?: string;
  tag?: string[];
  queue?: string;
  priority?: number;
  follow?: true;
  detach?: true;
  timeout?: number;
  json?: true;
}

export const runCommand = defineCommand<Flags>({
  name: "run",
  summary: "run an agent or a workflow, and print what it gives",
  description:
    "Starts a run, waits for it, and prints what it gives. Workers elsewhere advance it; or this process does, where it owns the database and --agents (or sentient.config.ts) says where the code is. End the command when you like: the run goes on.",
  args: [new Argument("<name>", "of the agent or the workflow")],
  options: [
    new Option("-i, --input <json>", "what it takes; @file or - for stdin (default: null)"),
    new Option(
      "--agents <module>",
      "a module with agents that this process may run itself; may be given again",
    ).argParser(collect),
    new Option("-f, --follow", "show what happens and what it streams, as it comes"),
    new Option("-d, --detach", "do not wait: print the id of the run").conflicts(["follow", "timeout"]),
    new Option("--timeout <ms>", "wait no longer than that").argParser(wholeNumber),
    new Option("--key <key>", "whoever says the same key means the same run"),
    new Option("--tag <tag>", "to find it again; may be given again").argParser(collect),
    new Option("--queue <queue>", "where it waits for a worker"),
    new Option("--priority <number>", "-1000 to 1000; higher goes first").argParser(Number),
  ],
  examples: [
    [`sentient run hello --input '{"to":"Ada"}'`, "waits, and prints the output"],
    ["sentient run report --input @order.json --follow", "shows each step"],
    ["sentient run report --detach", "prints the id, and leaves"],
  ],
  run: async ([name], flags) => {
    const input = flags.input === undefined ? null : await jsonFrom(flags.input, "--input");
    const loaded = await configFrom(flags, flags.agents ? { agents: flags.agents } : {});
    await using stack = new AsyncDisposableStack();
    const db = stack.use(await openConfigured(loaded.config, { mayMake: true }));
    const { sentient, advances } = await runtimeOn(db, await definitionsFrom(loaded, db), flags, stack);
    const { key, tag, queue, priority } = flags;
    const handle = await sentient.start(name!, input, defined({ key, tags: tag, queue, priority }));
    if (flags.detach) return { json: { run: handle.id }, lines: [handle.id] };
    if (!advances) await warnIfNobodyServes(sentient, db, name!);
    return await (flags.follow ? follow(handle, flags) : waitFor(handle, flags)); // before it is closed
  },
});

/** Who owns the folder has it served to the other commands of this machine for as long as the run takes. */
async function runtimeOn(
  db: Database,
  definitions: readonly Definition[],
  { detach }: Flags,
  stack: AsyncDisposableStack,
) {
  const advances = isOwned(db) && definitions.length > 0 && !detach;
  const served = detach ? undefined : await serveBeside(db, { brief: true });
  if (served) stack.use(served);
  const sentient = await createSentient({
    database: db,
    agents: definitions,
    ...(advances ? {} : { worker: false }),
  });
  return { sentient: stack.use(sentient), advances };
}

function isOwned(db: Database): boolean {
  return folderOf(db.url) !== undefined;
}

async function warnIfNobodyServes(sentient: Sentient, db: Database, name: string): Promise<void> {
  const workers = await sentient.state.workers.list();
  if (workers.some(({ serves }) => serves.some((each) => each.startsWith(`${name}@`)))) return;
  note(
    isOwned(db)
      ? `no worker serves ${name} now, and none can while this has the folder: end this (Ctrl-C; the run stays in its queue), and begin sentient dev or sentient-worker; or say --agents`
      : `no worker serves ${name} now: the run waits in its queue until one does (sentient dev, sentient-worker)`,
  );
}

async function waitFor(handle: RunHandle, { timeout }: Flags): Promise<Answer> {
  using stop = untilInterrupted();
  const output = await handle
    .result({ signal: stop.signal, ...defined({ timeout }) })
    .catch((error: unknown) => Promise.reject(stop.signal.aborted ? leftError(handle.id) : error));
  return { json: { run: handle.id, output }, lines: jsonLines(output) };
}

/** What happens goes to stderr, and what it gives to stdout; with --json all of it is there, a document a line. */
async function follow(handle: RunHandle, flags: Flags): Promise<Answer | undefined> {
  using stop = untilInterrupted();
  const late = new AbortController();
  const result = handle.result({ signal: stop.signal, ...defined({ timeout: flags.timeout }) });
  result.catch((error: unknown) => isLate(error) && late.abort());
  for await (const item of handle.stream({ signal: AbortSignal.any([stop.signal, late.signal]) })) {
    if (flags.json) out(jsonLine(item));
    else if (item.type === "event") note(eventLine(item.event));
    else note(chunkLine(item.chunk));
    if (item.type === "event" && item.event.type === "run.parked") break;
  }
  if (stop.signal.aborted) throw leftError(handle.id);
  const output = await result;
  if (!flags.json) return { json: output, lines: jsonLines(output) };
  out(jsonLine({ type: "result", run: handle.id, output }));
  return undefined;
}

function isLate(error: unknown): boolean {
  return error instanceof SentientError && error.code === "agent.result_timeout";
}

function chunkLine(chunk: Chunk): string {
  return `  ${chunk.kind === "data" ? JSON.stringify(chunk.data) : chunk.kind}`;
}

function leftError(run: string): CliError {
  return new CliError({
    code: "cli.interrupted",
    message: `nobody waits for the run ${run} any more; it goes on, and sentient runs show ${run} says how far it is`,
  });
}
