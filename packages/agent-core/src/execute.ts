// Execute. Owns: advancing one run that this worker holds, until it ends or has to wait.
// Does not own: getting hold of it and keeping the lease (worker.ts), and what the handler asks for (pass.ts).
// E1. The handler is called from the beginning each time; what it did before is answered from the journal.
// E2. A run ends in one commit: what it gives, or what it failed with once all was undone that it said is to be undone.
// E3. Cancelled means: nothing of the run happens any more but its compensation, and what it has started is cancelled with it.

import { requireWithin, type Json } from "@sentient/schema";
import { StateError, type Asked, type Lease, type Replay } from "@sentient/state";
import { setTimeout as sleep } from "node:timers/promises";
import { cancelChildren } from "./cancel.ts";
import type { Definition } from "./define.ts";
import { AgentError, cancelledError, isOfWhatIsCommitted, saidOf } from "./errors.ts";
import { asJson } from "./json.ts";
import { MAIN, Scope, UNDO } from "./keys.ts";
import type { Ended } from "./notices.ts";
import { parkMismatch, parkNotUndone } from "./parking.ts";
import { Pass } from "./pass.ts";
import type { Place } from "./place.ts";
import { contextOf, type Undo } from "./run-context.ts";
import { parseInput } from "./starting.ts";
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
/** As long as a timer can be. */
const MOST_MS = 2 ** 31 - 1;

/** A run that is being advanced, for who wants it to stop. */
export class Execution {
  readonly lease: Lease;
  readonly outcome: Promise<Outcome>;
  readonly #pass: Promise<Pass>;
  readonly #undoes: Undo[] = [];
  #asked: Asked | undefined;

  /** @param begin makes the pass of what is remembered */
  constructor(
    lease: Lease,
    definition: Definition,
    tools: Tools,
    begin = (replay: Replay) => new Pass(lease, definition, replay, tools),
  ) {
    this.lease = lease;
    this.#pass = tools.state.replay(lease, { state: definition.schemas.state !== undefined }).then(begin);
    this.outcome = this.#run();
  }

  /** What somebody has asked of the run. */
  async heed(asked: Asked): Promise<void> {
    this.#asked = asked;
    const pass = await this.#pass;
    if (asked.what === "cancel") pass.cancel(asked.reason);
    else pass.fate.halt("pause");
  }

  /** Hands the run over, before its next step. */
  async release(): Promise<void> {
    (await this.#pass).fate.halt("release");
  }

  async #run(): Promise<Outcome> {
    const pass = await this.#pass;
    try {
      const { asked } = this.lease.run;
      if (asked) await this.heed(asked);
      const over = pass.fate.over.then((status): Outcome => ({ status, problem: pass.fate.problem }));
      const advanced = this.#advance(pass).catch((error: unknown) => fail(pass, error));
      return await Promise.race([advanced, over]); // who was to commit something then never comes back
    } finally {
      pass.close();
    }
  }

  async #advance(pass: Pass): Promise<Outcome> {
    const handled = this.#handle(pass);
    for (;;) {
      const ended = await Promise.race([handled, pass.activity.attention()]);
      const halted = pass.fate.halted;
      if (halted === "lost" || halted === "parked" || halted === "ended")
        return { status: await pass.fate.over };
      if (ended) return this.#end(pass, ended);
      if (!pass.activity.isStuck) {
        if (!halted) await pass.activity.waits.recheck(); // something else goes on beside
        continue;
      }
      if (halted) return this.#letGo(pass, halted);
      if ((await goesOn(pass)) || !pass.activity.isStuck) continue;
      if (await this.#wait(pass)) return { status: "waiting" };
    }
  }

  /** E1, E2. Never rejects: what the handler throws is what the run fails with. */
  async #handle(pass: Pass): Promise<Handled> {
    const { definition, lease, memory, origin } = pass;
    const began = (memory.isInherited ? origin.startedAt : lease.run.startedAt) ?? lease.run.createdAt;
    const over = new AbortController();
    const place: Place = {
      path: MAIN,
      signal: AbortSignal.any([pass.fate.signal, over.signal]),
      isUndo: false,
      time: { now: began },
    };
    const ended = await Promise.race([this.#call(pass, place), cancelledFor(pass, CANCEL_MS)]);
    over.abort(new Error(`${definition.name} has come to its end`)); // and what it has not waited for with it
    await pass.activity.rest(); // what is being remembered may say what is to undo it
    pass.fate.cancelNow();
    const goesOther =
      !pass.fate.isCancelled && ((await memory.hasUnread()) || ("output" in ended && memory.isUndoing));
    if (goesOther) return { isOther: true };
    if (("output" in ended && !pass.fate.isCancelled) || this.#undoes.length === 0) return ended;
    const undone = await this.#undo(pass, place);
    return undone ?? ended;
  }

  async #call(pass: Pass, place: Place): Promise<Handled> {
    const { run, schemas, name } = pass.definition;
    try {
      if (pass.state?.problem) throw pass.state.problem;
      const input = inputOf(pass);
      const context = contextOf(pass, place, new Scope(MAIN), this.#undoes);
      const given: unknown = await run(context as never, input as never);
      const parsed = schemas.output?.safeParse(given);
      if (parsed && !parsed.success) throw outputError(name, saidOf(parsed.error));
      const output = asJson(parsed ? parsed.data : given, `what ${name} gives`);
      requireWithin("payloadBytes", Buffer.byteLength(JSON.stringify(output)), `what ${name} gives`);
      pass.state?.requireSound();
      return { output };
    } catch (error) {
      pass.state?.keepSound();
      return { error };
    }
  }

  /** The last that was done comes first. @returns what is in the way, if something cannot be undone */
  async #undo(pass: Pass, { time }: Place): Promise<Handled | undefined> {
    const place: Place = { path: UNDO, signal: this.lease.over, isUndo: true, time };
    const scope = new Scope(UNDO);
    for (let undo = this.#undoes.pop(); undo; undo = this.#undoes.pop()) {
      const { name, work, options } = undo;
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
    if ("isOther" in ended) {
      await parkMismatch(pass, undefined);
      return { status: "parked" };
    }
    while (pass.outbox.hasMore) await pass.commit({});
    if ("stuckAt" in ended) {
      await parkNotUndone(pass, ended.stuckAt, ended.error as Error);
      return { status: "parked" };
    }
    if (pass.fate.isCancelled) return this.#endCancelled(pass);
    if ("output" in ended) {
      const isOpen = await stillOpen(() => pass.endLease({ end: { complete: ended.output } }));
      // Or somebody has cancelled it a moment ago: whoever takes it up undoes what is to be undone.
      return isOpen ? { status: "completed", output: ended.output } : this.#letGo(pass, "release");
    }
    const error = pass.failureOf(ended.error);
    await pass.endLease({ end: { fail: error } });
    return { status: "failed", error };
  }

  /** E3. Twice, as a run may have been started while they were looked for; once it is over, none is any more. */
  async #endCancelled(pass: Pass): Promise<Outcome> {
    const { by, reason } = this.#asked ?? {};
    const cancelAll = () => cancelChildren(pass.tools.state, this.lease.run.id, () => true, reason);
    const because = { ...(by === undefined ? {} : { by }), ...(reason === undefined ? {} : { reason }) };
    await cancelAll();
    await pass.endLease({ end: { cancel: because } });
    await cancelAll();
    return { status: "cancelled", ...because };
  }

  async #letGo(pass: Pass, why: "pause" | "release"): Promise<Outcome> {
    const { by = "its worker", reason } = this.#asked ?? {};
    const pause = { by, asked: true as const, ...(reason === undefined ? {} : { reason }) };
    if (why === "pause" && (await stillOpen(() => pass.endLease({ end: { pause } }))))
      return { status: "paused" };
    await pass.endLease({ end: { release: true } }); // the handler stands still by now: it is called anew
    return { status: "released" };
  }

  /** @returns whether it waits; else something is there already */
  async #wait(pass: Pass): Promise<boolean> {
    const { waits, markers } = pass.activity.waits;
    const steps = markers.filter(({ key }) => !pass.memory.isBegun(key));
    try {
      const change = { ...(steps.length > 0 ? { steps } : {}), end: { wait: waits } };
      return await pass.endLease(change, () => pass.activity.isStuck);
    } catch (error) {
      if (!(error instanceof StateError) || error.code !== "state.nothing_to_wait_for") throw error;
      const { asked } = this.lease.run;
      if (asked) await this.heed(asked);
      else await pass.activity.waits.recheck();
      return false;
    }
  }
}

type Handled =
  | { output: Json }
  | { error: unknown }
  | { stuckAt: string; error: unknown }
  /** It has come to its end another way than the run remembers. */
  | { isOther: true };

/** What cannot be committed is what the run fails with, rather than being tried for ever. */
async function fail(pass: Pass, refused: unknown): Promise<Outcome> {
  if (!isOfWhatIsCommitted(refused)) throw refused;
  pass.outbox.drop();
  const error = pass.failureOf(refused);
  await pass.endLease({ end: { fail: error } });
  return { status: "failed", error };
}

/** @returns false if what it is about was taken back meanwhile */
async function stillOpen(commit: () => Promise<unknown>): Promise<boolean> {
  try {
    await commit();
    return true;
  } catch (error) {
    if (error instanceof StateError && error.code === "state.not_open") return false;
    throw error;
  }
}

/** A handler that does not listen is not waited for. */
async function cancelledFor(pass: Pass, ms: number): Promise<Handled> {
  await new Promise<void>((resolve) => {
    if (pass.fate.signal.aborted) resolve();
    else pass.fate.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  await sleep(ms, undefined, { ref: false });
  return pass.fate.isCancelled ? { error: cancelledError(pass.lease.run.id) } : new Promise<never>(() => {});
}

/** Looks whether the run can go on in a moment, and waits for that. */
async function goesOn(pass: Pass): Promise<boolean> {
  const { activity, tools, fate } = pass;
  const { isCancelled } = fate;
  if (await activity.waits.recheck()) return true;
  const { patience, waits } = activity;
  const mayEnd = waits.awaitsRun && tools.hasRoom();
  const ms = isCancelled || patience <= SHORT_MS ? patience : mayEnd ? CHILD_MS : 0;
  if (ms === 0 || !(tools.lingers || isCancelled)) return false; // one that is cancelled does not wait: it undoes
  await heard(pass, Math.min(ms, MOST_MS));
  return fate.halted !== undefined || fate.isCancelled !== isCancelled || activity.waits.recheck();
}

/** Until something of the run has changed, or so many milliseconds have passed. */
function heard({ tools, lease, fate: { signal } }: Pass, ms: number): Promise<void> {
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
  const parsed = parseInput(input, run.input);
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
