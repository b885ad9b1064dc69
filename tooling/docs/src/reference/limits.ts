import { limits, type Limit } from "@sentient/schema";
import { code, page, table } from "../markdown.ts";

/** The compiler asks for each. */
const ABOUT: Readonly<Record<Limit, string>> = {
  payloadBytes: "bytes of an input, an output, a step's result, a state",
  eventBytes: "bytes of an event's data, a signal, the metadata of a checkpoint",
  chunkBytes: "bytes of one piece of a stream",
  errorBytes: "bytes of the text of an error that is kept; the rest is cut off",
  depth: "levels of nesting in JSON",
  keys: "keys of one object in JSON",
  batch: "events in one append",
  page: "rows in one page",
  attempts: "claims of a run without progress, before it is parked",
  steps: "steps of a run, before it is parked",
  historyBytes:
    "bytes of what a run remembers, before it has to go on as a new one; a warning comes at a quarter",
  queued: "runs that wait in the queues of one database",
};

export function limitsPage(): string {
  return page(
    "Limits",
    "How large things may be. What is larger is refused with `schema.limit`, before anything is written; more runs than may wait with `state.queue_full`. `configureLimits` of `@sentient/schema` lowers them for a process, and raises them if you say `{ raise: true }`: these are what was tested.",
    table(
      ["Limit", "Is", "What of"],
      Object.entries(limits).map(([name, most]) => [
        code(name),
        most.toLocaleString("en"),
        ABOUT[name as Limit],
      ]),
    ),
    "How much may run at once is [another matter](../guides/limits.md).",
  );
}
