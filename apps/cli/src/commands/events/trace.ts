import { Argument } from "commander";
import { defineCommand } from "../../command.ts";
import { openSentient } from "../../open.ts";
import { limitOption } from "../../options.ts";

export const traceEvent = defineCommand<{ limit: number }>({
  name: "trace",
  summary: "what led to an event, and what came of it",
  description:
    "Shows what led to an event and what came of it, as a tree, and all events that belong with it.",
  args: [new Argument("<event>", "a position, or the id of an event")],
  options: [limitOption("events", 200)],
  examples: [["sentient events trace 42", "of the event at position 42"]],
  run: async ([asked], flags) => {
    await using opened = await openSentient(flags);
    const event = /^\d+$/.test(asked!) ? Number(asked) : asked!;
    const { text, ...trace } = await opened.sentient.events.trace(event, { limit: flags.limit });
    return { json: trace, lines: text.split("\n") };
  },
});
