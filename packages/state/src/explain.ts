// Explain. Owns: why a run is where it is, as data.

import type { Wait } from "@sentient/schema";
import type { Context } from "./changing.ts";
import { startsLeft } from "./claim-queries.ts";
import { checkedRun, notFoundError } from "./errors.ts";
import { readCircumstances, type Circumstances } from "./explain-queries.ts";
import { isClaimable, readRun, type Run, type RunOf } from "./run.ts";
import { defined } from "./telling.ts";
import { LIVE_MS } from "./workers.ts";

export type ExplanationCode =
  // it is nobody's turn
  | "over"
  | "paused"
  | "parked"
  | "not_due"
  | "waits_for_timer"
  | "waits_for_retry"
  | "waits_for_signal"
  | "waits_for_question"
  | "waits_for_run"
  // somebody works on it
  | "leased"
  | "lease_expired"
  | "asked_to_cancel"
  | "asked_to_pause"
  | "deadline_passed"
  // it could be claimed
  | "agent_paused"
  | "limit_full"
  | "rate_empty"
  | "no_worker"
  | "workers_busy"
  | "ready";

/** One reason why a run is where it is. */
export interface Explanation {
  code: ExplanationCode;
  /** For people. */
  message: string;
  /** When it passes by itself, if that is known. */
  until?: Date;
  /** Of a limit. */
  key?: string;
  max?: number;
  /** The runs that a limit is full of. */
  holders?: string[];
  /** Who holds it, or could serve it and has no slot. */
  workers?: string[];
  /** Who has said so. */
  by?: string;
  /** What it waits for: the name of a signal, the key of a question, the id of a run. */
  awaited?: string;
  /** Which step awaits it. */
  step?: string;
}

/** @throws `state.not_found`, `state.bad_option` */
export async function explain(id: string, { db, time }: Context): Promise<Explanation[]> {
  const found = await db.query(readCircumstances(checkedRun(id), LIVE_MS, time.now));
  if (!found) throw notFoundError("run", id);
  const { run } = readRun(found.row);
  return [
    ...ofStatus(run, found.now),
    ...ofWishes(run, found.now),
    ...(isClaimable(run, found.now) ? ofClaims(run, found) : []),
  ];
}

function ofStatus(run: Run, now: Date): Explanation[] {
  switch (run.status) {
    case "queued":
      return run.availableAt > now
        ? [
            {
              code: "not_due",
              message: `it is not to be claimed before ${said(run.availableAt)}`,
              until: run.availableAt,
            },
          ]
        : [];
    case "running":
      return [ofLease(run, now)];
    case "waiting":
      return run.waitingFor.map((wait) => ofWait(wait, now));
    case "paused":
      return [
        {
          code: "paused",
          message: `${run.pausedBy} has paused it${because(run)}; resume it`,
          by: run.pausedBy,
        },
      ];
    case "parked":
      return [
        {
          code: "parked",
          message: `it cannot go on without help (${run.parkedFor}): ${run.problem.message}`,
        },
      ];
    case "cancelled": {
      const { cancelledBy: by, endedAt } = run;
      const message = `${by ?? "somebody"} has cancelled it${because(run)}, at ${said(endedAt)}`;
      return [{ code: "over", message, ...(by === undefined ? {} : { by }) }];
    }
    default:
      return [{ code: "over", message: `it is ${run.status}, since ${said(run.endedAt)}` }];
  }
}

function ofLease({ lease }: RunOf<"running">, now: Date): Explanation {
  const { worker, until } = lease;
  return until > now
    ? {
        code: "leased",
        message: `the worker ${worker} holds it, until ${said(until)} if it does not renew`,
        until,
        workers: [worker],
      }
    : {
        code: "lease_expired",
        message: `the worker ${worker} was not heard of until its lease ran out at ${said(until)}; the next to claim goes on`,
        workers: [worker],
      };
}

function ofWait(wait: Wait, now: Date): Explanation {
  const { until, at: step } = wait;
  const end =
    until === undefined
      ? ""
      : until > now
        ? `, until ${said(until)} at most`
        : `, which was to come until ${said(until)}`;
  const rest = defined({ step, until });
  switch (wait.for) {
    case "timer":
      return { code: "waits_for_timer", message: `it sleeps until ${said(wait.until)}`, ...rest };
    case "retry":
      return {
        code: "waits_for_retry",
        message: `the step ${step} failed, and is tried again at ${said(wait.until)}`,
        ...rest,
      };
    case "signal":
      return {
        code: "waits_for_signal",
        message: `it waits for the signal ${wait.name}${end}`,
        awaited: wait.name,
        ...rest,
      };
    case "question":
      return {
        code: "waits_for_question",
        message: `it waits for an answer to ${step}${end}`,
        awaited: step,
        ...rest,
      };
    case "run":
      return {
        code: "waits_for_run",
        message: `it waits for the end of the run ${wait.run}${end}`,
        awaited: wait.run,
        ...rest,
      };
  }
}

/** What was asked of it, and what its deadline says. */
function ofWishes(run: Run, now: Date): Explanation[] {
  if ("endedAt" in run) return [];
  const { asked, deadline } = run;
  return [
    ...(asked
      ? [
          {
            code: `asked_to_${asked.what}` as const,
            message: `${asked.by} has asked to ${asked.what} it${because(asked)}`,
            by: asked.by,
          },
        ]
      : []),
    ...(deadline && deadline <= now && asked?.what !== "cancel"
      ? [
          {
            code: "deadline_passed" as const,
            message: `its deadline was ${said(deadline)}; ${endOf(run)}`,
          },
        ]
      : []),
  ];
}

/** What becomes of a run whose deadline has passed. */
function endOf({ status }: Run): string {
  if (status === "parked") return "it is cancelled once it is resumed";
  return status === "running" ? "its worker is to cancel it" : "the next sweep cancels it";
}

/** What keeps it from being claimed; that nothing does, if nothing does. */
function ofClaims(run: Run, found: Circumstances): Explanation[] {
  const reasons = [
    ...ofPause(run, found),
    ...ofLimits(run, found),
    ...ofRates(found),
    ...ofWorkers(run, found),
  ];
  return reasons.length > 0
    ? reasons
    : [
        {
          code: "ready",
          message: "the next worker that looks may claim it, in the order of priority and age",
        },
      ];
}

function ofPause({ name }: Run, { paused: [paused] }: Circumstances): Explanation[] {
  if (!paused) return [];
  const { by, at } = paused;
  return [
    {
      code: "agent_paused",
      message: `${by ?? "somebody"} has paused the agent ${name} at ${said(at)}`,
      ...defined({ by }),
    },
  ];
}

function ofLimits(run: Run, { limits, holders }: Circumstances): Explanation[] {
  const shared = limits.map(({ id, concurrency: max }) => ({ key: id.id, max }));
  return [...shared, ...run.limits].flatMap(({ key, max }): Explanation[] => {
    const others = (holders[key] ?? []).filter((holder) => holder !== run.id);
    return max === undefined || others.length < max
      ? []
      : [
          {
            code: "limit_full",
            message: `no more than ${max} of ${key} run at once, and ${others.length} do`,
            key,
            max,
            holders: others,
          },
        ];
  });
}

function ofRates({ limits, now }: Circumstances): Explanation[] {
  return limits.flatMap((limit): Explanation[] => {
    const { rate } = limit;
    if (!rate) return [];
    const missing = 1 - startsLeft(limit, rate, now);
    if (missing <= 0) return [];
    const key = limit.id.id;
    const until = new Date(
      Math.max(now.getTime(), limit.bucket!.at.getTime()) + Math.ceil((missing * rate.per) / rate.count),
    );
    return [
      {
        code: "rate_empty",
        message: `${key} starts ${rate.count} runs in ${rate.per} ms, and has; the next at ${said(until)}`,
        key,
        max: rate.count,
        until,
      },
    ];
  });
}

function ofWorkers({ queue, name, version, capabilities }: Run, { workers }: Circumstances): Explanation[] {
  const able = workers.filter(
    (worker) =>
      worker.drainingAt === undefined &&
      worker.queues.includes(queue) &&
      worker.serves.includes(`${name}@${version}`) &&
      capabilities.every((wanted) => worker.capabilities?.includes(wanted) ?? true),
  );
  const can = capabilities.length > 0 ? ` and can do ${capabilities.join(", ")}` : "";
  if (able.length === 0)
    return [
      { code: "no_worker", message: `no live worker serves ${name}@${version} in the queue ${queue}${can}` },
    ];
  if (able.some(({ slots, running }) => running < slots)) return [];
  return [
    {
      code: "workers_busy",
      message: `the ${able.length} workers that could take it have no slot left`,
      workers: able.map(({ id }) => id),
    },
  ];
}

const said = (at: Date) => at.toISOString();
const because = ({ reason }: { reason?: string | undefined }) => (reason === undefined ? "" : ` (${reason})`);
