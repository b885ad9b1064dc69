// A part of the log again: printed, handed to a module, or to a consumer that is put back.

import type { Event } from "@sentient/schema";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Option } from "commander";
import { CliError, usage } from "../../cli-error.ts";
import { defineCommand } from "../../command.ts";
import { untilInterrupted } from "../../interrupted.ts";
import { openSentient } from "../../open.ts";
import { defined, wholeNumber } from "../../options.ts";
import { count, jsonLine, note, out } from "../../print.ts";
import { eventLine } from "../../show.ts";
import { filterOf, filterOptions, type FilterFlags } from "./filter.ts";

interface Flags extends FilterFlags {
  from?: number;
  to?: number;
  consumer?: string;
  handler?: string;
}

type Handler = (event: Event) => unknown;

export const replayEvents = defineCommand<Flags>({
  name: "replay",
  summary: "go through a part of the log again",
  description:
    "Prints the events of a range in order, or calls the function that a module exports by default for each of them, one after the other, and ends with the first that it throws at. With --consumer a consumer is put back instead, and handles everything from there on again, wherever it runs.",
  options: [
    new Option("--from <position>", "the first (default: the earliest there is)").argParser(wholeNumber),
    new Option("--to <position>", "the last (default: the last there is now)").argParser(wholeNumber),
    ...filterOptions(),
    new Option("--handler <module>", "what exports a function by default, to be called for each").conflicts(
      "consumer",
    ),
    new Option("--consumer <name>", "which is put back to --from").conflicts([
      "to",
      "type",
      "run",
      "correlation",
      "target",
    ]),
  ],
  examples: [
    ["sentient events replay --from 100 --to 200", "prints them"],
    ["sentient events replay -t order.* --handler ./rebuild.ts", "calls a function for each"],
    ["sentient events replay --consumer mailer --from 100", "has a consumer handle them again"],
  ],
  run: async (_, { consumer, handler: module, from, to, ...flags }) => {
    if (consumer !== undefined && from === undefined)
      throw usage("--consumer needs --from: the position of the first event that it handles again");
    const handle = module === undefined ? undefined : await handlerIn(module);
    await using opened = await openSentient(flags);
    const { events } = opened.sentient;
    if (consumer !== undefined) {
      await events.replay(consumer, { from: from! });
      const status = await events.consumers.status(consumer);
      return {
        json: status,
        lines: [`${consumer} goes on with ${from}, ${count(status.lag, "event")} behind`],
      };
    }
    using stop = untilInterrupted();
    const print = (event: Event) => out(flags.json ? jsonLine(event) : eventLine(event));
    const range = { ...filterOf(flags), ...defined({ from, to }), signal: stop.signal };
    const replayed = await events.replay(handle ?? print, range);
    if (handle) return { json: { replayed }, lines: [`${count(replayed, "event")} replayed`] };
    if (replayed === 0 && !flags.json) note("no event meets that");
    return undefined;
  },
});

/** @throws `cli.usage` */
async function handlerIn(module: string): Promise<Handler> {
  const path = resolve(module);
  const { default: handler } = (await import(pathToFileURL(path).href).catch((cause: unknown) => {
    throw usage(`${module} cannot be read: ${(cause as Error).message}`);
  })) as { default?: unknown };
  if (typeof handler !== "function")
    throw usage(`${module} exports no function by default: write export default async (event) => { … }`);
  return handled(handler as Handler, module);
}

/** What the function throws is its own, and told with the event. */
function handled(handler: Handler, module: string): Handler {
  return async (event) => {
    try {
      await handler(event);
    } catch (cause) {
      throw new CliError({
        code: "cli.handler_failed",
        message: `${module} has thrown at the event ${event.position}: ${(cause as Error | undefined)?.message ?? String(cause)}; go on with --from ${event.position}`,
        cause,
      });
    }
  };
}
