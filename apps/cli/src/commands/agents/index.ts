import type { Agent } from "@sentient/state";
import { Argument, Option } from "commander";
import { defineCommand, defineGroup } from "../../command.ts";
import { openSentient } from "../../open.ts";
import { byOption, defined, limitOption } from "../../options.ts";
import { note, printable, table } from "../../print.ts";
import { facts, jsonLines } from "../../show.ts";

const agentArgument = () => new Argument("<agent>", "its name");

function agentsTable(agents: readonly Agent[]): string[] {
  const rows = agents.map(({ name, version, running, queued, queue, capabilities, ...agent }) => [
    name,
    version,
    statusOf(agent),
    String(running),
    String(queued),
    queue,
    capabilities.join(" "),
    printable(agent.description ?? ""),
  ]);
  return table(["AGENT", "VERSION", "STATUS", "RUNNING", "QUEUED", "QUEUE", "CAN", "DESCRIPTION"], rows);
}

function statusOf({ status, workers }: Pick<Agent, "status" | "workers">): string {
  return status === "idle" && workers === 0 ? "no worker" : status;
}

const listAgents = defineCommand<{ capability?: string; queue?: string; limit: number }>({
  name: "list",
  summary: "list agents and workflows, and what they do at the moment",
  description: "Lists the agents and workflows that workers have told of, each version for itself.",
  options: [
    new Option("--capability <name>", "those that can do this"),
    new Option("--queue <queue>", "of one queue"),
    limitOption("agents", 100),
  ],
  examples: [["sentient agents list", "all of them"]],
  run: async (_, flags) => {
    await using opened = await openSentient(flags);
    const { capability, queue, limit } = flags;
    const page = await opened.sentient.agents.list({ limit, ...defined({ capability, queue }) });
    if (page.agents.length === 0 && !flags.json) note("no worker has told of an agent yet");
    return { json: page, lines: page.agents.length === 0 ? [] : agentsTable(page.agents) };
  },
});

const showAgent = defineCommand({
  name: "show",
  summary: "show an agent: its versions, what it takes and gives",
  description: "Shows an agent: its versions, what it can do, what it takes and gives.",
  args: [agentArgument()],
  examples: [["sentient agents show research", "all that is known of it"]],
  run: async ([name], flags) => {
    await using opened = await openSentient(flags);
    const versions = await opened.sentient.agents.get(name!);
    const lines = versions.flatMap((agent) => [
      ...facts([
        ["agent", `${agent.name}, version ${agent.version}`],
        ["does", agent.description && printable(agent.description)],
        ["status", `${statusOf(agent)}, ${agent.running} running, ${agent.queued} queued`],
        ["workers", String(agent.workers)],
        ["queue", agent.queue],
        ["can", agent.capabilities.join(" ") || undefined],
      ]),
      ...schemaLines("takes", agent.input),
      ...schemaLines("gives", agent.output),
    ]);
    return { json: versions, lines };
  },
});

function schemaLines(name: string, schema: unknown): string[] {
  return schema === undefined ? [] : [name, ...jsonLines(schema).map((line) => `  ${line}`)];
}

const asking = (name: "pause" | "resume", summary: string, description: string) =>
  defineCommand<{ by: string }>({
    name,
    summary,
    description,
    args: [agentArgument()],
    options: [byOption()],
    examples: [[`sentient agents ${name} research`, summary]],
    run: async ([agent], flags) => {
      await using opened = await openSentient(flags);
      const versions = await opened.sentient.agents[name](agent!, { by: flags.by });
      return { json: versions, lines: agentsTable(versions) };
    },
  });

export const agentsCommand = defineGroup("agents", "who does the work", [
  listAgents,
  showAgent,
  asking(
    "pause",
    "let nobody claim runs of an agent",
    "Nobody claims runs of the agent until it is resumed; those that are held go on.",
  ),
  asking("resume", "have an agent's runs be claimed again", "Runs of the agent are claimed again."),
]);
