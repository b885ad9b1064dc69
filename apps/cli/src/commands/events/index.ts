import { defineGroup } from "../../command.ts";
import { eventHistory } from "./history.ts";
import { replayEvents } from "./replay.ts";
import { tailEvents } from "./tail.ts";
import { traceEvent } from "./trace.ts";

export const eventsCommand = defineGroup("events", "read, follow and replay the log", [
  tailEvents,
  eventHistory,
  replayEvents,
  traceEvent,
]);
