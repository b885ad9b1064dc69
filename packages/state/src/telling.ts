// What the log is told of a run: never what it takes or gives, which may be large or nobody's business.

import type { NewEvent } from "@sentient/event-bus";
import type { CheckedChange } from "./change.ts";
import type { RunEvent } from "./run-machine.ts";
import type { Run, RunOf } from "./run.ts";

/** An event about a run, as it is told. */
export function tell(run: Run, event: RunEvent): NewEvent {
  return { ...about(run), type: event.type, data: dataOf(run, event) };
}

export function about(run: Run): NewEvent & { run: string } {
  return {
    type: "",
    run: run.id,
    target: run.name,
    ...(run.kind === "workflow" ? { workflow: run.name } : {}),
    ...(run.correlation === undefined ? {} : { correlation: run.correlation }),
  };
}

function dataOf(run: Run, event: RunEvent): unknown {
  switch (event.type) {
    case "run.started":
      return { worker: event.lease.worker, token: event.lease.token, attempt: event.attempt };
    case "run.waiting": {
      const times = event.waitingFor.flatMap(({ until }) => until?.getTime() ?? []);
      const wakeAt = times.length === 0 ? null : new Date(Math.min(...times)).toISOString();
      return { for: event.waitingFor.map((wait) => JSON.parse(JSON.stringify(wait)) as object), wakeAt };
    }
    case "run.completed":
      return { steps: run.steps };
    default: {
      const { type: _, at: __, output: ___, ...data } = event as RunEvent & { output?: unknown };
      return data;
    }
  }
}

/** The events of a commit. There is one at least: it is the fence. */
export function eventsOf(run: RunOf<"running">, change: CheckedChange): NewEvent[] {
  const event = (type: string, data: unknown): NewEvent => ({ ...about(run), type, data });
  const { steps = [], asks = [], expires = [], withdraws = [], events = [] } = change;
  const ofChange = [
    ...steps.map((step) => tellStep(run, step)),
    ...(change.checkpoint ? [event("checkpoint.created", { name: change.checkpoint.name })] : []),
    ...asks.map(({ key, text }) => event("question.asked", { key, text })),
    ...expires.map((key) => event("question.expired", { key })),
    ...withdraws.map((key) => event("question.withdrawn", { key })),
    ...(change.progress ? [event("progress.reported", change.progress)] : []),
  ];
  const own = events.map((each) => ({ ...about(run), ...each }));
  const ending = change.end ? [tell(run, endingOf(run, change.end, new Date(0)))] : [];
  // One that has an id of its own may have been told before, and is end left out.
  const isFirstNew = ofChange.length > 0 || own[0]?.eventId === undefined;
  const told = [...(isFirstNew ? ofChange : [event("state.changed", {})]), ...own, ...ending];
  return told.length > 0 ? told : [event("state.changed", {})];
}

/** What becomes of a run at the end of a lease. */
export function endingOf(run: RunOf<"running">, end: NonNullable<CheckedChange["end"]>, at: Date): RunEvent {
  if ("wait" in end) return { type: "run.waiting", at, waitingFor: end.wait };
  if ("complete" in end) return { type: "run.completed", at, output: end.complete };
  if ("fail" in end) return { type: "run.failed", at, error: end.fail };
  if ("cancel" in end) return { type: "run.cancelled", at, ...defined(end.cancel) };
  if ("pause" in end) {
    const { asked: _, ...said } = end.pause;
    return { type: "run.paused", at, ...defined(said) };
  }
  if ("park" in end) return { type: "run.parked", at, ...end.park };
  return { type: "run.released", at, worker: run.lease.worker, reason: "handed_over" };
}

/** Without what is undefined, which stands for nothing. */
export function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as never;
}

function tellStep(run: Run, step: NonNullable<CheckedChange["steps"]>[number]): NewEvent {
  const { key, name, attempts, status } = step;
  switch (status) {
    case "completed":
      return { ...about(run), type: "step.completed", data: { key, name, attempts } };
    case "started":
      return { ...about(run), type: "step.started", data: { key, name, attempt: attempts } };
    case "failed":
      return {
        ...about(run),
        type: "step.failed",
        data: { key, name, attempt: attempts, error: step.error },
      };
    case "retrying":
      return {
        ...about(run),
        type: "step.failed",
        data: { key, name, attempt: attempts, error: step.error, retryAt: step.retryAt.toISOString() },
      };
  }
}
