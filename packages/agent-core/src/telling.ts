// Telling. Owns: what a run tells of itself, once, however often it is replayed.

import type { Json, StepKey } from "@sentient/schema";
import type { Change } from "@sentient/state";
import { z } from "zod";
import type { RunLog } from "./context.ts";
import { checked } from "./errors.ts";
import { forTheFirstTime, requireNotFailed } from "./first-time.ts";
import { asJson } from "./json.ts";
import type { Pass } from "./pass.ts";
import type { Place } from "./place.ts";

export async function emitEvent(
  pass: Pass,
  place: Place,
  key: StepKey,
  type: string,
  data: Json,
): Promise<void> {
  const step = { key, name: "emit" };
  const before = await pass.recall(key, step);
  requireNotFailed(before);
  if (before) return;
  await forTheFirstTime(pass, place, step, () =>
    pass.commit({
      steps: [{ ...step, status: "completed" }],
      events: [{ type, data: asJson(data, `the data of the event ${type}`) }],
    }),
  );
}

export async function makeCheckpoint(
  pass: Pass,
  place: Place,
  key: StepKey,
  name: string,
  metadata: Json | undefined,
): Promise<void> {
  const step = { key, name: "checkpoint" };
  const before = await pass.recall(key, step);
  requireNotFailed(before);
  if (before) return;
  await forTheFirstTime(pass, place, step, () => {
    const about =
      metadata === undefined ? {} : { metadata: asJson(metadata, "the metadata of a checkpoint") };
    return pass.commit({ steps: [{ ...step, status: "completed" }], checkpoint: { name, ...about } });
  });
}

/** Whether the run comes here for the first time, or has come here with this code. */
export async function patchAt(pass: Pass, place: Place, key: StepKey): Promise<boolean> {
  if (await pass.recall(key, { name: "patch" })) return true;
  if (pass.memory.isReadingWithin(place.path)) {
    await pass.memory.settled();
    if (pass.memory.isReadingWithin(place.path)) return false;
  }
  await pass.fresh(place, key);
  await pass.commit({ steps: [{ key, name: "patch", status: "completed" }] });
  return true;
}

const Progress = z.strictObject({
  done: z.number(),
  total: z.number().optional(),
  note: z.string().max(1_024).optional(),
});

/** @throws `agent.bad_option` */
export function progressOf(done: number, total?: number, note?: string): NonNullable<Change["progress"]> {
  const { total: of, note: said } = checked(Progress, { done, total, note }, "progress");
  return { done, ...(of === undefined ? {} : { total: of }), ...(said === undefined ? {} : { note: said }) };
}

const LEVELS = ["debug", "info", "warn", "error"] as const;

export function logOf(pass: Pass, place: Place): RunLog {
  const { id, name } = pass.lease.run;
  const at = (level: (typeof LEVELS)[number]) => (message: string, data?: Json) => {
    const told = data === undefined ? {} : { data: asJson(data, "what is logged") };
    if (pass.outbox.tell(place.path, `log.${level}`, { message, ...told }))
      pass.tools.logger[level]({ run: id, name, ...told }, message);
  };
  return Object.freeze(Object.fromEntries(LEVELS.map((level) => [level, at(level)]))) as unknown as RunLog;
}
