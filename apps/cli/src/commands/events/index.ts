import { defineGroup } from "../../command.ts";
import { eventHistory } from "./history.ts";
import { tailEvents } from "./tail.ts";
import { traceEvent } from "./trace.ts";

export const eventsCommand = defineGroup("events", "read and follow the log", [
  tailEvents,
  eventHistory,
  traceEvent,
]);
