// Execute. Owns: advancing one run that this worker holds, until it ends or has to wait.
// Does not own: getting hold of it and keeping the lease (worker.ts), and what the handler asks for (pass.ts).
// E1. The handler is called from the beginning each time; what it did before is answered from the journal.
// E2. A run ends in one commit: what it gives, or what it failed with once all was undone that it said is to be undone.
// E3. Cancelled means: nothing of the run happens any more but its compensation, and what it has started is cancelled with it.

import { failureOf, requireWithin, type Json } from "@sentient/schema";
import { StateError, type Asked, type Lease } from "@sentient/state";
import { setTimeout as sleep } from "node:timers/promises";
import { cancelChildren } from "./cancel.ts";
import type { Definition } from "./define.ts";
import { AgentError, RememberedError, saidOf } from "./errors.ts";
import { asJson } from "./json.ts";
import { Scope } from "./keys.ts";
import type { Ended } from "./notices.ts";
import { cancelledError, Pass, type Place } from "./pass.ts";
import { contextOf, type Undo } from "./run-context.ts";
import { performStep } from "./step.ts";
import type { Tools } from "./tools.ts";

/** How a pass came to its end. */
export type Outcome =
  | Ended
  | { status: "waiting" | "paused" | "released" }
  | { status: "parked" | "lost"; problem?: unknown };

/** Handlers that have ended, or had the time to, after they heard that their run was cancelled. */
const CANCEL_MS = 5_000;
/** A wait shorter than this holds the worker, in milliseconds: to let go and take up again costs more. */
const SHORT_MS = 1_000;
/** How long a run that waits for others is held where there is room, in milliseconds. */
const CHILD_MS = 50;

/** A run that is being advanced, for who wants it to stop. */
export class Execution {
  readonly lease: Lease;
  readonly outcome: Promise<Outcome>;
  readonly #pass: Promise<Pass>;
  readonly #undoes: Undo[] = [];
  #asked: Asked | undefined;

  constructor(lease: Lease, definition: Definition, tools: Tools) {
    this.lease = lease;
    this.#pass = tools.state
      .replay(lease, { state: definition.schemas.state !== undefined })
      .then((replay) => new Pass(lease, definition, replay, tools));
    this.outcome = this.#run();
  }

  /** What somebody has asked of the run. */
  async heed(asked: Asked): Promise<void> {
    this.#asked = asked;
    const pass = await this.#pass;
    if (asked.what === "cancel") pass.cancel(asked.reason);
    else pass.halt("pause");
  }

  /** Hands the run over, before its next step. */
  async release(): Promise<void> {
    (await this.#pass).halt("release");
  }

  async #run(): Promise<Outcome> {
    const pass = await this.#pass;
    try {
      const { asked } = this.lease.run;
      if (asked) await this.heed(asked);
      const over = pass.over.then((status): Outcome => ({ status, problem: pass.problem }));
      return await Promise.race([this.#advance(pass), over]); // who was to commit something then never comes back
    } finally {
      pass.close();
    }
  }

  async #advance(pass: Pass): Promise<Outcome> {
    const handled = this.#handle(pass);
    for (;;) {
      const ended = await Promise.race([handled, pass.stuck()]);
      const halted = pass.halted;
      if (halted === "lost" || halted === "parked") return { status: await pass.over };
      if (ended) return this.#end(pass, ended);
      if (halted) return this.#letGo(pass, halted);
      if (await goesOn(pass)) continue;
      if (await this.#wait(pass)) return { status: "waiting" };
    }
  }

  /** E1, E2. Never rejects: what the handler throws is what the run fails with. */
  async #handle(pass: Pass): Promise<Handled> {
    const place: Place = { signal: pass.signal, isUndo: false };
    const ended = await Promise.race([this.#call(pass, place), cancelledFor(pass, CANCEL_MS)]);
    if ("output" in ended || this.#undoes.length === 0) return ended;
    const undone = await this.#undo(pass);
    return undone ?? ended;
  }

  async #call(pass: Pass, place: Place): Promise<Handled> {
    const { run, schemas, name } = pass.definition;
    try {
      const input = inputOf(pass);
      const given: unknown = await run(
        contextOf(pass, place, new Scope(), this.#undoes) as never,
        input as never,
      );
      const parsed = schemas.output?.safeParse(given);
      if (parsed && !parsed.success) throw outputError(name, saidOf(parsed.error));
      const output = asJson(parsed ? parsed.data : given, `what ${name} gives`);
      requireWithin("payloadBytes", Buffer.byteLength(JSON.stringify(output)), `what ${name} gives`);
      return { output };
    } catch (error) {
      return { error };
    }
  }

  /** The last that was done comes first. @returns what is in the way, if something cannot be undone */
  async #undo(pass: Pass): Promise<Handled | undefined> {
    const place: Place = { signal: this.lease.over, isUndo: true };
    const scope = new Scope("undo");
    for (const { name, work, options } of this.#undoes.toReversed()) {
      try {
        const key = scope.next(name);
        await pass.perform(place, () => performStep(pass, place, { key, name, work, options }));
      } catch (error) {
        return { stuckAt: name, error };
      }
    }
    return undefined;
  }

  async #end(pass: Pass, ended: Handled): Promise<Outcome> {
    if (pass.isReplaying && !pass.isCancelled) await pass.allIsRead();
    if (pass.isReplaying && !pass.isCancelled) {
      await pass.mismatch(undefined);
      return { status: "parked" };
    }
    while (pass.outbox.hasMore) await pass.commit({});
    if ("stuckAt" in ended) {
      await pass.park("attempts_exhausted", notUndone(ended.stuckAt, ended.error));
      return { status: "parked" };
    }
    if ("output" in ended) {
      const tooLarge = await refusalOf(() => pass.commit({ end: { complete: ended.output } }));
      if (tooLarge) return this.#end(pass, { error: tooLarge });
      return { status: "completed", output: ended.output };
    }
    if (pass.isCancelled) {
      await cancelChildren(pass.tools.state, this.lease.run.id, () => true, this.#asked?.reason);
      const { reason } = this.#asked ?? {};
      const because = reason === undefined ? {} : { reason };
      await pass.commit({ end: { cancel: because } });
      return { status: "cancelled", ...because };
    }
    const error = failureOf(ended.error);
    await pass.commit({ end: { fail: error } });
    return { status: "failed", error };
  }

  async #letGo(pass: Pass, why: "pause" | "release"): Promise<Outcome> {
    const { by = "its worker", reason } = this.#asked ?? {};
    const pause = { by, asked: true as const, ...(reason === undefined ? {} : { reason }) };
    if (why === "pause" && (await stillOpen(() => pass.commit({ end: { pause } }))))
      return { status: "paused" };
    await pass.commit({ end: { release: true } }); // the handler stands still by now: it is called anew
    return { status: "released" };
  }

  /** @returns whether it waits; else something is there already */
  async #wait(pass: Pass): Promise<boolean> {
    try {
      await pass.wait();
      return true;
    } catch (error) {
      if (!(error instanceof StateError) || error.code !== "state.nothing_to_wait_for") throw error;
      const { asked } = this.lease.run;
      if (asked) await this.heed(asked);
      else await pass.recheck();
      return false;
    }
  }
}

type Handled = { output: Json } | { error: unknown } | { stuckAt: string; error: unknown };

/** What a commit was refused for that is about what was to be committed. */
async function refusalOf(commit: () => Promise<void>): Promise<unknown> {
  try {
    await commit();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** @returns false if what it is about was taken back meanwhile */
async function stillOpen(commit: () => Promise<void>): Promise<boolean> {
  const error = await refusalOf(commit);
  if (error === undefined) return true;
  if (error instanceof StateError && error.code === "state.not_open") return false;
  throw error;
}

/** A handler that does not listen is not waited for. */
async function cancelledFor(pass: Pass, ms: number): Promise<Handled> {
  await new Promise<void>((resolve) => {
    if (pass.signal.aborted) resolve();
    else pass.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  await sleep(ms, undefined, { ref: false });
  return pass.isCancelled ? { error: cancelledError(pass.lease.run.id) } : new Promise<never>(() => {});
}

/** Looks whether the run can go on in a moment, and waits for that. */
async function goesOn(pass: Pass): Promise<boolean> {
  if (await pass.recheck()) return true;
  const { waits, tools } = pass;
  const times = waits.flatMap(({ until }) => (until ? until.getTime() - pass.time : []));
  const next = Math.min(...times);
  const awaitsRun = waits.some((wait) => wait.for === "run") && tools.hasRoom();
  const patience = next <= SHORT_MS ? Math.max(1, Math.ceil(next) + 1) : awaitsRun ? CHILD_MS : 0;
  if (patience === 0 || !tools.lingers) return false;
  await heard(pass, patience);
  return pass.halted !== undefined || pass.isCancelled || pass.recheck();
}

/** Until something of the run has changed, or so many milliseconds have passed. */
function heard({ tools, lease, signal }: Pass, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      cancel();
      forget();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const cancel = tools.clock.after(ms, done);
    const forget = tools.notices.onChanged(lease.run.id, done);
    signal.addEventListener("abort", done, { once: true });
  });
}

/** @throws `agent.invalid_input` if the code has changed since it was started */
function inputOf({ lease: { run }, definition }: Pass): unknown {
  const { input } = definition.schemas;
  if (!input) return run.input;
  const parsed = input.safeParse(run.input);
  if (parsed.success) return parsed.data;
  throw new AgentError({
    code: "agent.invalid_input",
    message: `the input of the run ${run.id} does not fit ${run.name}: ${saidOf(parsed.error)}`,
    details: { run: run.id },
  });
}

function outputError(name: string, why: string): AgentError {
  return new AgentError({ code: "agent.invalid_output", message: `what ${name} gives does not fit: ${why}` });
}

function notUndone(name: string, error: unknown) {
  const { message } = error instanceof RememberedError ? error : failureOf(error);
  return {
    name: "NotUndone",
    code: "not_undone",
    message: `${name} could not be undone: ${message}. See to it, then resume the run to try again, or cancel it by force`,
  };
}
