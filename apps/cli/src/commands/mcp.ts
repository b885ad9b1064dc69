// Serving MCP clients. Its stdout is the protocol's alone, so it says nothing there itself.

import { randomBytes } from "node:crypto";
import { createSentient } from "@sentient/agent-core";
import { folderOf, serveBeside } from "@sentient/agent-core/config";
import type { Permission } from "@sentient/ai/mcp";
import { InvalidArgumentError, Option } from "commander";
import { defineCommand, type CommonFlags } from "../command.ts";
import { untilInterrupted } from "../interrupted.ts";
import { configFrom, definitionsFrom, openConfigured } from "../open.ts";
import { collect, wholeNumber } from "../options.ts";
import { jsonLine, note, out } from "../print.ts";
import { aborted } from "./serve.ts";

const PERMISSIONS: readonly Permission[] = ["read", "write", "answer"];

interface Flags extends CommonFlags {
  allow: Permission[];
  agents?: string[];
  http?: number;
}

export const mcpCommand = defineCommand<Flags>({
  name: "mcp",
  summary: "serve runs, events, questions and agents to MCP clients",
  description:
    "An MCP server, for assistants and other programs that speak the Model Context Protocol: they look at runs, events, questions and agents, and with --allow write they start and steer runs. It speaks on stdin and stdout, as clients expect that start it, until they leave; with --http on the loopback address, to whoever has the token. What it does is told under the name of the client, as mcp:<client>. Workers elsewhere advance the runs; or this process does, where it owns the database and --agents (or sentient.config.ts) says where the code is.",
  options: [
    new Option(
      "--allow <what>",
      "read, write (start, pause, resume, cancel, signal), answer (questions, and so approvals); several with commas",
    )
      .argParser(permissions)
      .default(["read"] as Permission[], "read"),
    new Option(
      "--agents <module>",
      "a module with agents that this process may run itself; may be given again",
    ).argParser(collect),
    new Option("--http <port>", "by HTTP on 127.0.0.1, at /mcp (0 for any port that is free)").argParser(
      wholeNumber,
    ),
  ],
  examples: [
    ["sentient mcp", "for a client that starts it, to look"],
    ["sentient mcp --allow read,write --http 4841", "by HTTP, to start and steer too"],
  ],
  run: async (_, flags) => {
    using stop = untilInterrupted();
    await using stack = new AsyncDisposableStack();
    const sentient = await runtimeFor(flags, stack, stop.signal);
    const { serveMcpOnHttp, serveMcpOnStdio } = await import("@sentient/ai/mcp"); // slow to import
    const { allow, http: port, json } = flags;
    if (port === undefined) {
      const served = stack.use(serveMcpOnStdio(sentient, { allow }));
      const gone = new AbortController();
      void served.closed.then(() => gone.abort());
      await aborted(AbortSignal.any([stop.signal, gone.signal]));
      return;
    }
    const token = process.env.SENTIENT_MCP_TOKEN || randomBytes(32).toString("hex");
    const { url } = stack.use(await serveMcpOnHttp(sentient, { allow, token, port }));
    out(json ? jsonLine({ url, token, allow, pid: process.pid }) : url);
    if (!json) note(`clients say Authorization: Bearer ${token}; it is served until you end this (Ctrl-C)`);
    await aborted(stop.signal);
  },
});

/** @throws `InvalidArgumentError` */
function permissions(text: string): Permission[] {
  const given = collect(text) as Permission[];
  const unknown = given.find((each) => !PERMISSIONS.includes(each));
  if (given.length > 0 && unknown === undefined) return given;
  throw new InvalidArgumentError(`Say one or several of ${PERMISSIONS.join(", ")}.`);
}

/** Who owns the folder has it served to the other commands of this machine. */
async function runtimeFor(flags: Flags, stack: AsyncDisposableStack, signal: AbortSignal) {
  const loaded = await configFrom(flags, flags.agents ? { agents: flags.agents } : {});
  const { agents } = loaded.config;
  const mayMake = flags.allow.includes("write") || (agents !== undefined && agents.length > 0);
  const db = stack.use(await openConfigured(loaded.config, { mayMake, lasting: true, signal }));
  const served = await serveBeside(db, {});
  if (served) stack.use(served);
  const definitions = await definitionsFrom(loaded, db);
  const advances = folderOf(db.url) !== undefined && definitions.length > 0;
  const sentient = stack.use(await createSentient({ database: db, agents: definitions, worker: false }));
  if (advances) await sentient.worker().start();
  return sentient;
}
