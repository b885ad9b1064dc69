// A program that does everything a run can do, and everybody who has a part in it: the processes that advance it, one after
// another, who signals, who answers, who cancels. Processes die at a point of it; the next one knows nothing of them.

import type { Database } from "@sentient/db-pool";
import type { Event } from "@sentient/schema";
import type { Change, Lease, Run, State } from "@sentient/state";
import type { VirtualClock } from "@sentient/testkit";
import { z } from "zod";
import {
  createSentient,
  defineAgent,
  defineWorkflow,
  type Definition,
  type Sentient,
  type StepContext,
} from "../../src/index.ts";
import { LEASE_MS } from "./fresh.ts";
import { Mortal } from "./mortal.ts";

/** Where a process may die: before or after the `nth` time that something is written. */
export interface Point {
  what: string;
  nth: number;
  when: "before" | "after";
}

/** What was really done: the run, the key of a step, and which attempt at it. */
export type Effects = string[];

type Do = (step: StepContext) => Promise<string>;

function definitionsOf(act: Do) {
  const wrap = defineAgent({
    name: "wrap",
    input: z.object({ n: z.int() }),
    run: async (ctx, { n }) => `${await ctx.step("wrap", act)} ${n}`,
  });
  const sit = defineAgent({ name: "sit", run: async (ctx) => ctx.waitFor("never") });
  const everything = defineWorkflow({
    name: "everything",
    state: z.object({ done: z.array(z.string()).default([]) }),
    retry: { attempts: 3, delay: 60_000 },
    run: async (ctx) => {
      ctx.state.done.push(await ctx.step("charge", act));
      const flaky = await ctx.step("flaky", async (step) => {
        await act(step);
        if (step.attempt === 1) throw new Error("not yet");
        return step.attempt;
      });
      const given = await ctx.step("hopeless", act).catch(() => "no");
      await ctx.emit("order.charged", { flaky });
      await ctx.checkpoint("half");
      ctx.progress(1, 2, "half");
      const said = await ctx.step("say", async (step) => {
        for (const word of ["to", "be"]) step.chunk(word);
        return act(step);
      });
      const [a, b, c] = await ctx.all([
        (branch) => branch.step("a", act),
        async (branch) => {
          await branch.sleep(30_000);
          return branch.step("b", act);
        },
        (branch) => branch.call(wrap, { n: 1 }),
      ]);
      const raced = await ctx.race({
        fast: (branch) => branch.step("fast", act),
        slow: async (branch) => branch.waitFor("never"),
        lost: async (branch) => branch.call(sit, undefined as never),
        asked: async (branch) => branch.ask("never"),
      });
      const mapped = await ctx.map(["x", "y", "z"], (branch) => branch.step("m", act), { concurrency: 2 });
      const child = await ctx.spawn(wrap, { n: 2 });
      ctx.state.done.push("spawned");
      await ctx.sleep(60_000);
      const late = await ctx.waitFor("late", { timeout: 60_000 });
      const paid = await ctx.waitFor("paid", { schema: z.object({ cents: z.int() }) });
      const sure = await ctx.ask("sure", { schema: z.boolean() });
      const unanswered = await ctx.ask("unanswered", { deadline: 60_000, onTimeout: "none" });
      const isNew = await ctx.patch("new");
      ctx.state.done.push("asked");
      const wrapped = await child.result();
      await ctx.step("ship", act);
      const before = { given, said, a, b, c, raced, mapped };
      return { ...before, late: late ?? null, paid, sure, unanswered, isNew, wrapped };
    },
  });
  const undone = defineWorkflow({
    name: "undone",
    run: async (ctx) => {
      await ctx.step("book", act);
      ctx.compensate("unbook", act);
      await ctx.step("hotel", act);
      ctx.compensate("leave", act);
      await ctx.call(sit, undefined as never);
    },
  });
  const failing = defineWorkflow({
    name: "failing",
    run: async (ctx) => {
      await ctx.step("take", act);
      ctx.compensate("give-back", act);
      throw new Error("it was not to be");
    },
  });
  return { everything, undone, failing, all: [wrap, sit, everything, undone, failing] as Definition[] };
}

/** It comes to its end in 30 or so. */
const MOST_MOVES = 100;

const PROGRAMS = ["everything", "undone", "failing"] as const;

export interface Stage {
  db: Database;
  /** One that lives on, and advances nothing. */
  outside: Sentient;
  clock: VirtualClock;
  /** Its runs are called after it. */
  name: string;
  effects: Effects;
  /** Whether what belongs together is committed one after the other, as nobody should. */
  isTorn?: boolean;
}

/** A process that may die. */
interface Life {
  /** Advances what can be. @returns whether it is alive */
  tick: () => Promise<boolean>;
  end: () => Promise<void>;
}

/** What processes of the program can do, for who only asks for it. */
export const programs = definitionsOf(() => Promise.reject(new Error("it is not for here"))).all;

async function live({ db, clock, effects, isTorn }: Stage, at: (point: Point) => boolean): Promise<Life> {
  const mortal = new Mortal(db);
  const act: Do = async (step) => {
    if (mortal.isDead) return new Promise<never>(() => {});
    effects.push(`${step.idempotencyKey} ${step.attempt}`);
    if (step.idempotencyKey.includes("hopeless")) throw new Error("it never works");
    return step.idempotencyKey.slice(step.idempotencyKey.indexOf("/") + 1);
  };
  const agents = definitionsOf(act).all;
  const sentient = await createSentient({ database: mortal.db, clock, worker: false, agents });
  if (isTorn) tear(sentient.state);
  withPoints(sentient.state, mortal, at);
  const worker = sentient.worker({ lease: LEASE_MS });
  return {
    tick: async () => {
      await Promise.race([worker.tick(), mortal.dead]);
      if (mortal.isDead) await mortal.buried();
      return !mortal.isDead;
    },
    end: () => sentient.close(),
  };
}

/** Signals and questions are taken in a commit, and what was taken is remembered in another one. */
function tear(state: State): void {
  const commit = state.commit.bind(state);
  state.commit = async (lease, { takes, ...change }) => {
    if (takes) await commit(lease, { takes });
    return commit(lease, change);
  };
}

const WRITES = ["claim", "commit", "start", "cancel", "release"] as const;

/** Asks `at` before and after each thing that is written whether the process is to die there. */
function withPoints(state: State, mortal: Mortal, at: (point: Point) => boolean): void {
  const times = new Map<string, number>();
  const never = new Promise<never>(() => {});
  const around = async <R>(what: string, call: () => Promise<R>): Promise<R> => {
    if (mortal.isDead) return never;
    const nth = (times.get(what) ?? 0) + 1;
    times.set(what, nth);
    if (at({ what, nth, when: "before" })) mortal.die();
    if (mortal.isDead) return never;
    const answer = await call();
    if (at({ what, nth, when: "after" })) mortal.die();
    return mortal.isDead ? never : answer;
  };
  for (const name of WRITES) {
    const call = state[name].bind(state) as (...args: unknown[]) => Promise<unknown>;
    const pointed = (...args: unknown[]) => around(whatOf(name, args), () => call(...args));
    Object.assign(state, { [name]: pointed });
  }
  const append = state.chunks.append.bind(state.chunks);
  state.chunks.append = (...args) => around("chunks", () => append(...args));
}

function whatOf(name: (typeof WRITES)[number], args: unknown[]): string {
  if (name === "start") return `start ${(args[0] as { name: string }).name}`;
  if (name !== "commit") return name;
  const [{ run }, { steps = [], asks = [], end, ...rest }] = args as [Lease, Change];
  const parts = [
    ...steps.map(({ key, status }) => `${key} ${status}`),
    ...asks.map(({ key }) => `${key} asked`),
    ...Object.keys(end ?? {}).map((how) => `end: ${how}`),
  ];
  return `${run.name} ${(parts.length > 0 ? parts : Object.keys(rest)).join(", ")}`;
}

/**
 * Until all of it is over: by a process that dies where it is told to, and then another one.
 *
 * @returns what was done and not remembered when the first one died
 */
export async function play(stage: Stage, at: (point: Point) => boolean = () => false): Promise<string[]> {
  let forgotten: string[] = [];
  let life = await live(stage, at);
  const { outside } = stage;
  const ids = PROGRAMS.map((name) => ({ name, id: `${stage.name}-${name}` }));
  for (const { name, id } of ids) await outside.start(name, null, { id });
  const said = new Set<string>();
  for (let moves = 0; moves < MOST_MOVES; moves++) {
    if (!(await life.tick())) {
      const remembered = await rememberedOf(stage);
      forgotten = stage.effects.filter((effect) => !remembered.has(effect));
      life = await live(stage, () => false);
    }
    const runs = await Promise.all(ids.map(({ id }) => outside.get(id)));
    if (runs.every((run) => "endedAt" in run)) {
      await life.end();
      return forgotten;
    }
    const didSay = await Promise.all(runs.map((run) => say(run, outside, said)));
    if (!didSay.some(Boolean)) await stage.clock.advance(LEASE_MS);
  }
  throw new Error("it does not come to an end");
}

/** Whatever somebody has to say to a run, once. @returns whether there was anything */
async function say(run: Run, outside: Sentient, said: Set<string>): Promise<boolean> {
  if (run.status !== "waiting") return false;
  for (const wait of run.waitingFor) {
    const what = `${run.id} ${wait.at}`;
    if (said.has(what)) continue;
    said.add(what);
    if (wait.for === "signal" && wait.name === "paid") await outside.signal(run.id, "paid", { cents: 3 });
    else if (wait.for === "question" && wait.at.includes("/sure#"))
      await outside.answer(run.id, wait.at, true, { by: "ada" });
    else if (run.name === "undone") await outside.cancel(run.id, { by: "ada", reason: "not wanted" });
    else continue;
    return true;
  }
  return false;
}

/** What is told of a run however its processes fared; who held it and when it was let go of does not count. */
const COUNTED =
  /^(step\.(completed|failed)|checkpoint|question|signal|progress|order|run\.(queued|completed|failed|cancelled|parked))/;

function counts({ type, data }: Event): boolean {
  return COUNTED.test(type) && !isLosers((data as { key?: string } | null)?.key ?? "");
}

/** How far those have come who lose a race is a matter of chance. */
const isLosers = (key: string) => /\/race#1\.(slow|lost|asked)\//.test(key);

async function runsOf({ outside, name }: Stage) {
  const trees = PROGRAMS.map((program) => outside.list({ root: `${name}-${program}` }));
  return (await Promise.all(trees)).flatMap(({ runs }) => runs);
}

/** What is left of it. */
export async function leftOf(stage: Stage): Promise<Record<string, unknown>> {
  const { outside: sentient, name } = stage;
  const left: Record<string, unknown> = {};
  for (const run of await runsOf(stage)) {
    const { id, parentStep = run.name } = run;
    if (!("endedAt" in run)) throw new Error(`${run.name} is ${run.status}: ${id}`);
    if (isLosers(parentStep)) continue;
    const whole = await sentient.get(id);
    const { events } = await sentient.events.history({ run: id, limit: 1_000 });
    const chunks = await sentient.state.chunks.read(id);
    const journal = [...(await sentient.state.journal(id)).values()];
    left[`${run.root.slice(name.length + 1)} ${parentStep}`] = {
      status: run.status,
      result: "output" in whole ? whole.output : "error" in whole ? whole.error.message : null,
      state: await sentient.stateAt(id),
      events: events
        .filter(counts)
        .map(({ type }) => type)
        .toSorted(),
      journal: journal
        .filter(({ key }) => !isLosers(key))
        .map(({ key, status, attempts }) => `${key} ${status} ${attempts}`)
        .toSorted(),
      said: saidOf(chunks),
    };
  }
  return left;
}

/** What counts of a stream: what was said since the last reset. */
function saidOf(chunks: readonly { kind: string; data?: unknown }[]): unknown[] {
  const last = chunks.findLastIndex(({ kind }) => kind === "reset");
  return chunks.slice(last + 1).flatMap(({ kind, data }) => (kind === "data" ? [data] : []));
}

/** Attempts of steps that are remembered, by run. */
async function rememberedOf(stage: Stage): Promise<Set<string>> {
  const { outside: sentient } = stage;
  const remembered = await Promise.all(
    (await runsOf(stage)).map(async ({ id }) =>
      [...(await sentient.state.journal(id)).values()].flatMap(({ key, attempts, status }) =>
        status === "started" ? [] : Array.from({ length: attempts }, (_, i) => `${id}/${key} ${i + 1}`),
      ),
    ),
  );
  return new Set(remembered.flat());
}
