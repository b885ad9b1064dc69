// The life of a run. Owns: what an event makes of it.
// Does not own: who may say so and when (commit.ts, claim.ts, control.ts), and writing it down.
//
//                        released, resumed, restored, cancel requested
//            ┌────────────────────────────────────────────────────────────────┐
//            ▼                                                                │
//   ●──▶ queued ──started──▶ running ──waiting──▶ waiting ────────────────────┤
//          │  │                │ │ │                │  │                      │
//          │  └────paused──────┼─┼─┴──────paused────┴──┼──────▶ paused ───────┤
//          └───────parked──────┼─┴────────parked───────┴──────▶ parked ───────┘
//                              ├─completed──▶ completed ●
//                              ├─failed─────▶ failed    ●
//                              └─cancelled──▶ cancelled ●      (from every status above too)
//
// M1. A status that is final is never left, and there is one event that leads there.
// M2. A token rises with every lease that is granted, and with every one that ends.
// M3. Whatever is not in the picture is refused: `state.illegal_transition`.
// M4. What was asked of a run is not forgotten: one that is to be cancelled is not paused and does not wait, and one that is to
//     be paused does not wait. It is queued, and whoever gets it does what was asked.

import type { Failure, Lease, ParkReason, StepKey, Token, Wait, WorkerId } from "@sentient/schema";
import { StateError } from "./errors.ts";
import type { Run, RunOf } from "./run.ts";

/** What happens to a run, whole; the log is told less of it. */
export type RunEvent = { at: Date } & (
  | { type: "run.started"; lease: Lease; attempt: number; steps: number }
  | { type: "run.released"; worker: WorkerId; reason: "handed_over" }
  | { type: "run.released"; worker: WorkerId; reason: "lease_expired"; steps: number }
  | { type: "run.waiting"; waitingFor: Wait[] }
  | { type: "run.resumed"; by?: string; key?: StepKey }
  | { type: "run.paused"; by: string; reason?: string }
  | { type: "run.parked"; reason: ParkReason; problem: Failure }
  | { type: "run.restored"; to: number; n: number; by?: string }
  | { type: "run.completed"; output: RunOf<"completed">["output"] }
  | { type: "run.failed"; error: Failure }
  | { type: "run.cancelled"; by?: string; reason?: string }
  | { type: "pause.requested" | "cancel.requested"; by: string; reason?: string }
  | { type: StillEvent }
);

/** What is told of a run without moving it: rows of their own remember it. */
export const STILL_EVENTS = {
  worker: ["step.started", "step.completed", "step.failed", "progress.reported", "question.asked"],
  anybody: [
    "checkpoint.created",
    "checkpoint.restored",
    "question.answered",
    "question.expired",
    "question.withdrawn",
    "signal.received",
    "state.changed",
  ],
} as const;
type StillEvent = (typeof STILL_EVENTS)["worker" | "anybody"][number];

/** Every type of event that is about a run's life. */
export const RUN_EVENT_TYPES = [
  "run.started",
  "run.released",
  "run.waiting",
  "run.resumed",
  "run.paused",
  "run.parked",
  "run.restored",
  "run.completed",
  "run.failed",
  "run.cancelled",
  "pause.requested",
  "cancel.requested",
  ...STILL_EVENTS.worker,
  ...STILL_EVENTS.anybody,
] as const satisfies readonly RunEvent["type"][];

/** From which statuses an event may come. */
const FROM: Record<RunEvent["type"], readonly Run["status"][]> = {
  "run.started": ["queued", "running", "waiting"],
  "run.released": ["running"],
  "run.waiting": ["running"],
  "run.resumed": ["queued", "running", "waiting", "paused", "parked"],
  "run.paused": ["queued", "running", "waiting"],
  "run.parked": ["queued", "running", "waiting"],
  "run.restored": ["queued", "waiting", "paused", "parked"],
  "run.completed": ["running"],
  "run.failed": ["running"],
  "run.cancelled": ["queued", "running", "waiting", "paused", "parked"],
  "pause.requested": ["running"],
  "cancel.requested": ["queued", "running", "waiting", "paused", "parked"],
  ...allowed(STILL_EVENTS.worker, ["running"]),
  ...allowed(STILL_EVENTS.anybody, ["queued", "running", "waiting", "paused", "parked"]),
};

function allowed<T extends string>(types: readonly T[], from: readonly Run["status"][]) {
  return Object.fromEntries(types.map((type) => [type, from])) as Record<T, readonly Run["status"][]>;
}

/**
 * What a run is after an event. Pure.
 *
 * @throws `state.illegal_transition` if the event cannot happen to it
 * @example apply(run, { type: "run.completed", at, output: { total: 12 } }).status // "completed"
 */
export function apply(run: Run, event: RunEvent): Run {
  if (!FROM[event.type].includes(run.status)) throw illegal(run, event);
  const { at } = event;
  const token = (run.token + (run.status === "running" ? 1 : 0)) as Token; // M2, unless it stays running
  const core = { ...coreOf(run), revision: run.revision + 1, updatedAt: at, token };
  switch (event.type) {
    case "run.started": {
      const { lease, attempt, steps } = event;
      if (lease.token <= run.token) throw illegal(run, event);
      return {
        ...core,
        status: "running",
        lease,
        token: lease.token,
        attempts: attempt,
        steps,
        startedAt: run.startedAt ?? at,
      };
    }
    case "run.released": {
      if (event.reason === "handed_over") return queued({ ...core, attempts: run.attempts - 1 }, at);
      const { steps, worker: lostBy } = event;
      return { ...queued({ ...core, steps, attempts: steps > run.steps ? 0 : run.attempts }, at), lostBy };
    }
    case "run.waiting": {
      const { waitingFor } = event;
      if (run.asked) return queued({ ...core, attempts: 0 }, at); // M4
      return { ...core, status: "waiting", waitingFor, wakeAt: earliest(waitingFor), attempts: 0 };
    }
    case "run.resumed": {
      const { asked, ...rest } = run;
      const kept = asked?.what === "cancel" ? { asked } : {};
      return run.status === "running" || run.status === "queued"
        ? { ...rest, ...kept, revision: core.revision, updatedAt: at }
        : queued({ ...coreOf(rest), ...kept, revision: core.revision, updatedAt: at, attempts: 0 }, at);
    }
    case "run.paused": {
      if (run.asked?.what === "cancel") return queued(core, at); // M4
      const { asked: _, ...rest } = core;
      return { ...rest, status: "paused", pausedBy: event.by, ...reasonOf(event) };
    }
    case "run.parked":
      return { ...core, status: "parked", parkedFor: event.reason, problem: event.problem };
    case "run.restored": {
      const restores = [...(run.restores ?? []), { at: event.n, to: event.to }];
      return queued({ ...core, attempts: 0, restores }, at);
    }
    case "run.completed":
      return { ...core, status: "completed", output: event.output, endedAt: at };
    case "run.failed":
      return { ...core, status: "failed", error: event.error, endedAt: at };
    case "run.cancelled":
      return { ...core, status: "cancelled", ...byOf(event), ...reasonOf(event), endedAt: at };
    case "pause.requested":
      return { ...run, ...asked("pause", event), revision: core.revision, updatedAt: at };
    case "cancel.requested": {
      const next = asked("cancel", event);
      return run.status === "running"
        ? { ...run, ...next, revision: core.revision, updatedAt: at }
        : queued({ ...core, ...next, attempts: 0 }, at);
    }
    default:
      return run;
  }
}

type Core = Omit<RunOf<"queued">, "status" | "availableAt">;

/** What a run has in every status. */
export function coreOf(run: Run): Core {
  const core: Record<string, unknown> = { ...run };
  for (const field of OF_A_STATUS) delete core[field];
  return core as unknown as Core;
}

const OF_A_STATUS = [
  "status",
  "availableAt",
  "lostBy",
  "lease",
  "waitingFor",
  "wakeAt",
  "pausedBy",
  "cancelledBy",
  "reason",
  "parkedFor",
  "problem",
  "output",
  "error",
  "endedAt",
];

function queued(core: Core, availableAt: Date): RunOf<"queued"> {
  return { ...core, status: "queued", availableAt };
}

function asked(what: "cancel" | "pause", { by, reason, at }: { by: string; reason?: string; at: Date }) {
  return { asked: { what, by, at, ...(reason === undefined ? {} : { reason }) } };
}

function byOf({ by }: { by?: string }): { cancelledBy?: string } {
  return by === undefined ? {} : { cancelledBy: by };
}

function reasonOf({ reason }: { reason?: string }): { reason?: string } {
  return reason === undefined ? {} : { reason };
}

function earliest(waits: readonly Wait[]): Date | null {
  const times = waits.flatMap(({ until }) => until?.getTime() ?? []);
  return times.length === 0 ? null : new Date(Math.min(...times));
}

function illegal(run: Run, { type }: RunEvent): StateError {
  const isOver = "endedAt" in run;
  return new StateError({
    code: "state.illegal_transition",
    message:
      `${type} cannot happen to the run ${run.id}, which is ${run.status}` +
      (isOver ? ": what is over stays so; fork it to go another way from one of its points" : ""),
    details: { run: run.id, status: run.status, event: type },
  });
}
