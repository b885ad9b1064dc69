// Telling. Owns: what a run tells of itself, once, however often it is replayed.

import type { Json, StepKey } from "@sentient/schema";
import type { RunLog } from "./context.ts";
import { asJson } from "./json.ts";
import type { Pass, Place } from "./pass.ts";

export async function emitEvent(
  pass: Pass,
  place: Place,
  key: StepKey,
  type: string,
  data: Json,
): Promise<void> {
  if (pass.recorded(key)) return;
  await pass.fresh(place, key);
  await pass.commit({
    steps: [{ key, name: "emit", status: "completed" }],
    events: [{ type, data: asJson(data, `the data of the event ${type}`) }],
  });
}

export async function makeCheckpoint(
  pass: Pass,
  place: Place,
  key: StepKey,
  name: string,
  metadata: Json | undefined,
): Promise<void> {
  if (pass.recorded(key)) return;
  await pass.fresh(place, key);
  await pass.commit({
    steps: [{ key, name: "checkpoint", status: "completed" }],
    checkpoint: {
      name,
      ...(metadata === undefined ? {} : { metadata: asJson(metadata, "the metadata of a checkpoint") }),
    },
  });
}

/** Whether the run comes here for the first time, or has come here with this code. */
export async function patchAt(pass: Pass, place: Place, key: StepKey): Promise<boolean> {
  if (pass.recorded(key)) return true;
  await pass.allIsRead();
  if (pass.isReplaying) return false;
  await pass.fresh(place, key);
  await pass.commit({ steps: [{ key, name: "patch", status: "completed" }] });
  return true;
}

const LEVELS = ["debug", "info", "warn", "error"] as const;

export function logOf(pass: Pass): RunLog {
  const { id, name } = pass.lease.run;
  const at = (level: (typeof LEVELS)[number]) => (message: string, data?: Json) => {
    if (pass.isReplaying) return;
    pass.tools.logger[level]({ run: id, name, ...(data === undefined ? {} : { data }) }, message);
    pass.tell(`log.${level}`, {
      message,
      ...(data === undefined ? {} : { data: asJson(data, "what is logged") }),
    });
  };
  return Object.freeze(Object.fromEntries(LEVELS.map((level) => [level, at(level)]))) as unknown as RunLog;
}
