// Whether the log tells one story of each run, in one order, and whoever followed it has heard just that.

import type { Event } from "@sentient/schema";
import type { Finding } from "./findings.ts";

const END = /^run\.(completed|failed|cancelled)$/;
/** Only while a worker holds the run. */
const OF_HOLDER =
  /^(step\..*|run\.(waiting|completed|failed)|checkpoint\.created|question\.asked|nap\.over)$/;
export const LETS_GO = /^run\.(waiting|released|paused|parked|completed|failed|cancelled)$/;

export const dataOf = ({ data }: Event): Record<string, unknown> => data as Record<string, unknown>;

/** @param heard what whoever followed the log was told */
export function* checkLog(events: readonly Event[], heard: readonly Event[]): Generator<Finding> {
  yield* checkPositions("the log", events);
  yield* checkPositions("who followed it", heard);
  if (heard.length < events.length)
    yield { wrong: "lost", text: `who followed the log heard ${heard.length} of ${events.length} events` };
  for (const [i, event] of heard.entries())
    if (JSON.stringify(event) !== JSON.stringify(events[i]))
      yield { wrong: "reordered", text: `who followed the log heard another event at ${event.position}` };
  yield* checkCauses(events);
  for (const [run, mine] of Map.groupBy(events, ({ run }) => run)) if (run) yield* checkStory(run, mine);
}

function* checkPositions(what: string, events: readonly Event[]): Generator<Finding> {
  let last = 0;
  let at = 0;
  for (const event of events) {
    const { position } = event;
    if (position > last + 1)
      yield { wrong: "lost", text: `${what}: nothing at ${last + 1}, before ${position}` };
    if (position === last) yield { wrong: "doubled", text: `${what}: ${position} comes twice` };
    if (position < last) yield { wrong: "reordered", text: `${what}: ${position} comes after ${last}` };
    if (event.at.getTime() < at)
      yield { wrong: "reordered", text: `${what}: ${position} is older than the one before it` };
    last = position;
    at = event.at.getTime();
  }
}

/** An event comes after the one that it follows from. */
function* checkCauses(events: readonly Event[]): Generator<Finding> {
  const places = new Map<string, number>(events.map(({ eventId, position }) => [eventId, position]));
  for (const { causation, position, type } of events) {
    if (causation === undefined) continue;
    const cause = places.get(causation);
    if (cause === undefined)
      yield { wrong: "lost", text: `${causation}, the cause of ${type} at ${position}` };
    else if (cause >= position)
      yield { wrong: "reordered", text: `${type} at ${position} is before its cause at ${cause}` };
  }
}

/** One run: numbered without gaps, held by one at a time, one result for each step, and one end, which is the last. */
function* checkStory(run: string, events: readonly Event[]): Generator<Finding> {
  const once = new Set<string>();
  let isHeld = false;
  let isOver = false;
  let isCancelled = false;
  let token = 0;
  for (const [i, event] of events.entries()) {
    const { type, n } = event;
    const at = `${run}, its event ${n}, ${type}`;
    if (n !== i + 1)
      yield { wrong: n! > i + 1 ? "lost" : "doubled", text: `${at}: it is the ${i + 1}th of its run` };
    if (isOver && !type.startsWith("run.removed"))
      yield { wrong: END.test(type) ? "doubled" : "reordered", text: `${at}: the run was over` };
    if (OF_HOLDER.test(type) && !isHeld) yield { wrong: "reordered", text: `${at}: nobody held the run` };
    const key = onceOf(event);
    if (key !== undefined && once.has(key)) yield { wrong: "doubled", text: `${at}: ${key} is told again` };
    if (key !== undefined) once.add(key);
    if (isCancelled && type === "run.completed")
      yield { wrong: "reordered", text: `${at}: it was to be cancelled` };
    if (type === "cancel.requested") isCancelled = true;
    if (type === "run.started") {
      const next = dataOf(event).token as number;
      if (next <= token) yield { wrong: "doubled", text: `${at}: the token ${next} was given before` };
      token = next;
    }
    if (END.test(type)) isOver = true;
    isHeld = type === "run.started" || (isHeld && !LETS_GO.test(type));
  }
}

/** Of what a run tells of once. */
function onceOf(event: Event): string | undefined {
  const data = dataOf(event);
  switch (event.type) {
    case "step.completed":
      return `the result of ${data.key}`;
    case "step.failed":
      return data.retryAt === undefined
        ? `the result of ${data.key}`
        : `attempt ${data.attempt} at ${data.key}`;
    case "question.asked":
    case "question.answered":
      return `${event.type} ${data.key}`;
    case "checkpoint.created":
      return `the checkpoint ${data.name}`;
    case "nap.over":
      return `nap.over ${JSON.stringify(event.data)}`;
    case "signal.received":
      return `the signal ${event.eventId}`;
    default:
      return undefined;
  }
}
