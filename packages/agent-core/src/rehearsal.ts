// Rehearsal. Owns: calling a handler over what a run remembers, and doing none of what it asks for besides.
// Y1. Nothing is done and nothing is written. Where the handler asks for something new, all that is remembered was asked for:
//     there it stops.
// Y2. It goes by the code that advances runs, so that what fits here fits there.

import { setTimeout as sleep } from "node:timers/promises";
import type { Failure, Json } from "@sentient/schema";
import type { Attempted, Change, Lease, Replay, Run, RunOf, State, Step } from "@sentient/state";
import type { Definition } from "./define.ts";
import { Execution } from "./execute.ts";
import { Notices } from "./notices.ts";
import { Pass } from "./pass.ts";
import type { Place } from "./place.ts";
import { silent, type Tools } from "./tools.ts";

/** Where code went another way than its run has gone. */
export interface Divergence {
  message: string;
  /** What the run remembers there. */
  recorded: Json;
  /** What the code does instead. */
  attempted: Json;
}

/** What came of it. */
export type Rehearsed =
  | ({ status: "diverged" } & Divergence)
  /** It asked for all that is remembered, and then for something new. */
  | { status: "beyond"; key: string }
  | { status: "completed"; output: Json }
  | { status: "failed"; error: Failure }
  /** It waits for something that is none of its run's. */
  | { status: "hung" };

/** How long a handler may take that does nothing but ask for what is remembered, in milliseconds. */
const HUNG_MS = 10_000;
/** After all that was ever waited for. */
const LATEST = 8.64e15;

class RehearsalPass extends Pass {
  beyond: string | undefined;
  end: Change["end"];
  told: Change["events"];

  /** Y1. */
  override async fresh(place: Place, key: string): Promise<void> {
    await super.fresh(place, key);
    this.beyond ??= key;
    this.fate.halt("lost");
    await new Promise<never>(() => {});
  }

  override async commit(change: Change): Promise<void> {
    const { end, events } = change;
    this.outbox.take(change);
    this.end ??= end;
    this.told ??= events;
  }
}

/** @param patience in milliseconds */
export async function rehearse(
  run: Run,
  definition: Definition,
  replay: Replay,
  patience = HUNG_MS,
): Promise<Rehearsed> {
  const tools: Tools = {
    state: stateOf(replay),
    clock: { now: () => LATEST, after: () => () => {} },
    logger: silent,
    notices: new Notices(),
    find: () => undefined,
    hasRoom: () => false,
    lingers: false,
    attempted: (_, work) => work(),
    takenOver: () => Promise.resolve(),
  };
  const lease = leaseOn(run);
  const pass = new RehearsalPass(lease, definition, replay, tools);
  const { outcome } = new Execution(lease, definition, tools, () => pass);
  const ended = await Promise.race([outcome, sleep(patience, undefined, { ref: false })]);
  if (!ended) return { status: "hung" };
  if (ended.status === "parked" || (ended.status === "lost" && ended.problem instanceof OtherStep))
    return divergedBy(pass, ended.problem);
  if (pass.beyond !== undefined) return { status: "beyond", key: pass.beyond };
  if (ended.status === "completed") return { status: "completed", output: ended.output };
  if (ended.status === "failed") return { status: "failed", error: ended.error };
  return { status: "hung" };
}

function divergedBy({ end, told }: RehearsalPass, problem: unknown): Rehearsed {
  if (problem instanceof OtherStep) return { status: "diverged", ...problem.divergence };
  const [mismatch] = told ?? [];
  const { recorded = null, attempted = null } = (mismatch?.data ?? {}) as Record<string, Json>;
  const message = end && "park" in end ? end.park.problem.message : "the handler came to no end";
  return { status: "diverged", message, recorded, attempted };
}

class OtherStep extends Error {
  readonly divergence: Divergence;

  constructor(divergence: Divergence) {
    super(divergence.message);
    this.divergence = divergence;
  }
}

/** Y1. What a pass asks of the floor below before it begins anything new. */
function stateOf(replay: Replay): State {
  const nothing = {
    replay: async () => replay,
    list: async () => ({ runs: [] }),
    questions: { list: async () => ({ questions: [] }) },
    requireSame: async (_: Lease, step: Step, attempted: Attempted) => requireSame(step, attempted),
  };
  return nothing as unknown as State;
}

/** @throws `OtherStep` */
function requireSame({ key, name, inputHash }: Step, attempted: Attempted): void {
  const isOther =
    inputHash !== undefined && attempted.inputHash !== undefined && inputHash !== attempted.inputHash;
  if (name === attempted.name && !isOther) return;
  const what = name === attempted.name ? "with another input" : `as ${attempted.name}`;
  throw new OtherStep({
    message: `the step ${key} is remembered as ${name}, and is now called ${what}`,
    recorded: { key, name, ...(inputHash === undefined ? {} : { inputHash }) },
    attempted: { key, ...attempted },
  });
}

/** As if a worker held it. */
function leaseOn({ asked: _, ...run }: Run): Lease {
  const running = { ...run, status: "running" } as unknown as RunOf<"running">;
  const over = new AbortController().signal;
  const lease = { run: running, token: run.token, until: new Date(LATEST), over, isInDoubt: false };
  return lease;
}
