import { Argument } from "commander";
import { defineCommand, defineGroup } from "../../command.ts";
import { openSentient } from "../../open.ts";
import { wholeNumber } from "../../options.ts";
import { count, note, printable, table } from "../../print.ts";
import { cut, facts } from "../../show.ts";
import type { ConsumerStatus } from "@sentient/event-bus";

const consumerArgument = () => new Argument("<consumer>", "its name");

const listConsumers = defineCommand({
  name: "list",
  summary: "list durable followers of the log, and how far each is",
  description: "Lists the durable followers of the log, how far each is, and what it could not handle.",
  examples: [["sentient consumers list", "all of them"]],
  run: async (_, flags) => {
    await using opened = await openSentient(flags);
    const { consumers } = opened.sentient.events;
    const all = await Promise.all((await consumers.list()).map((name) => consumers.status(name)));
    if (all.length === 0 && !flags.json) note("there is no consumer");
    const rows = all.map(({ name, position, lag, handled, dead }) => [
      name,
      ...[position, lag, handled, dead].map(String),
    ]);
    return {
      json: { consumers: all },
      lines: rows.length === 0 ? [] : table(["CONSUMER", "POSITION", "LAG", "HANDLED", "DEAD"], rows),
    };
  },
});

const consumerStatus = defineCommand({
  name: "status",
  summary: "show a consumer and its dead letters",
  description: "Shows how far a consumer is, who works on it, and the events that it could not handle.",
  args: [consumerArgument()],
  examples: [["sentient consumers status mailer", "where it is"]],
  run: async ([name], flags) => {
    await using opened = await openSentient(flags);
    const { consumers } = opened.sentient.events;
    const [status, letters] = await Promise.all([
      consumers.status(name!),
      consumers.deadLetters(name!, { limit: 100 }),
    ]);
    const rows = letters.map(({ position, event, attempts, status: state, reason }) => [
      String(position),
      printable(event.type),
      String(attempts),
      state,
      cut(reason.message),
    ]);
    return {
      json: { ...status, deadLetters: letters },
      lines: [
        ...statusLines(status),
        ...(rows.length === 0 ? [] : ["", ...table(["POSITION", "EVENT", "TRIED", "STATUS", "WHY"], rows)]),
      ],
    };
  },
});

function statusLines({
  name,
  filter,
  position,
  lag,
  handled,
  rate,
  dead,
  queued,
  partitions,
}: ConsumerStatus): string[] {
  const workers = [...new Set(partitions.flatMap(({ worker }) => worker ?? []))];
  return facts([
    ["consumer", name],
    ["hears", printable(JSON.stringify(filter))],
    ["position", `${position}, ${lag} behind the end of the log`],
    ["handled", `${count(handled, "event")}, ${rate.toFixed(1)} a second of late`],
    ["dead", `${count(dead, "letter")}, ${queued} about to be tried again`],
    ["worked on by", workers.map(printable).join(" ") || "nobody"],
  ]);
}

const redriveConsumer = defineCommand({
  name: "redrive",
  summary: "have dead letters tried again",
  description:
    "Has the events that a consumer could not handle tried again: all, or those at some positions.",
  args: [consumerArgument(), new Argument("[positions...]", "which; all if left out").argParser(numbers)],
  examples: [["sentient consumers redrive mailer 17 23", "these two"]],
  run: async ([name, ...positions], flags) => {
    await using opened = await openSentient(flags);
    const chosen = positions.filter((each) => each !== undefined).map(Number);
    const queued = await opened.sentient.events.consumers.redrive(
      name!,
      chosen.length > 0 ? chosen : undefined,
    );
    return { json: { consumer: name, queued }, lines: [`${count(queued, "letter")} will be tried again`] };
  },
});

function numbers(text: string, before: number[] = []): number[] {
  return [...before, wholeNumber(text)];
}

export const consumersCommand = defineGroup("consumers", "durable followers of the log", [
  listConsumers,
  consumerStatus,
  redriveConsumer,
]);
