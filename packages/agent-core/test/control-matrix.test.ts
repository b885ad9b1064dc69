// T32. What people ask of a run, whatever it does at the moment, from whichever process, and though its worker dies of it.

import { sabotage } from "@sentient/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import { createSentient, defineAgent, type RunHandle, type Sentient } from "../src/index.ts";
import { eventsOf, freshDatabase, gate, sentientOn } from "./support/fresh.ts";
import { expectOneStory } from "./support/checks.ts";
import { expireLeases, until as untilSoon } from "./support/house.ts";
import { Mortal } from "./support/mortal.ts";

const until: typeof untilSoon = (condition, options) =>
  untilSoon(condition, { deadline: 30_000, ...options });

/** What becomes of a run in the end: `·` it is refused, and nothing comes of it. */
const TABLE = `
           queued     running    paused     waiting    backing-off  finished
  pause    paused     paused     paused     paused     paused       ·
  resume   queued     completed  completed  ·          ·            ·
  cancel   cancelled  cancelled  cancelled  cancelled  cancelled    ·
`;
const [head, ...lines] = TABLE.trim()
  .split("\n")
  .map((line) => line.trim().split(/\s+/));
const cells = lines.flatMap(([verb, ...outcomes]) =>
  outcomes.map((outcome, i) => ({ verb: verb as Verb, at: head![i] as Status, outcome })),
);

type Verb = "pause" | "resume" | "cancel";
type Status = "queued" | "running" | "paused" | "waiting" | "backing-off" | "finished";

const FAR = new Date(Date.UTC(2100, 0, 1));

/** A step that goes on until the gate is open, or it is to be given up; and one after it. */
function agents() {
  const opened = gate();
  const hold = defineAgent({
    name: "hold",
    run: async (ctx) => {
      await ctx.step("hold", async ({ signal }) => {
        const aborted = new Promise<never>((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
        });
        await Promise.race([opened.pass(), aborted]);
      });
      return ctx.step("after", () => "done");
    },
  });
  const quick = defineAgent({ name: "quick", run: async () => "done" });
  const wait = defineAgent({ name: "wait", run: async (ctx) => ctx.waitFor("go") });
  const fail = defineAgent({
    name: "fail",
    retry: { attempts: 9, delay: 3_600_000 },
    run: async (ctx) => ctx.step("fail", () => Promise.reject(new Error("it does not work"))),
  });
  return { hold, quick, wait, fail, all: [hold, quick, wait, fail], open: () => opened.open() };
}

type Agents = ReturnType<typeof agents>;

/** A run that has come to a status. */
async function runAt(
  status: Status,
  sentient: Sentient,
  { hold, quick, wait, fail }: Agents,
): Promise<RunHandle> {
  const has = async (handle: RunHandle, wanted: string) => {
    await until(async () => (await handle.status()) === wanted, {
      every: 20,
      what: `${status} to be ${wanted}`,
    });
    return handle;
  };
  switch (status) {
    case "queued":
      return sentient.start(quick, undefined, { at: FAR });
    case "paused": {
      const handle = await sentient.start(quick, undefined, { at: FAR });
      await sentient.pause(handle.id);
      return handle;
    }
    case "running":
      return has(await sentient.start(hold), "running");
    case "waiting":
      return has(await sentient.start(wait), "waiting");
    case "backing-off":
      return has(await sentient.start(fail), "waiting");
    case "finished":
      return has(await sentient.start(quick), "completed");
  }
}

interface House {
  /** That of the worker, and that of others. */
  here: Sentient;
  there: Sentient;
  agents: Agents;
  /** Resolves once the worker has heard what was asked by now. */
  heard: () => Promise<unknown>;
  /** The worker vanishes, and another comes. */
  die: () => Promise<void>;
}

/** @returns resolves once somebody has looked what is asked, from then on */
function looksOn({ state }: Sentient): () => Promise<unknown> {
  const asked = state.asked.bind(state);
  let [begun, last] = [0, 0];
  state.asked = async (...args) => {
    const n = ++begun;
    const found = await asked(...args);
    last = Math.max(last, n);
    return found;
  };
  return () => {
    const before = begun;
    return until(() => last > before, { what: "the worker to listen" });
  };
}

async function house({ isDeaf = false } = {}): Promise<House> {
  const db = await freshDatabase();
  const mortal = new Mortal(db);
  const known = agents();
  const options = { agents: known.all, worker: false as const };
  const here = await createSentient({ database: mortal.db, ...options });
  onTestFinished(() => (mortal.isDead ? undefined : here.close()));
  if (isDeaf) {
    here.state.asked = () => Promise.resolve([]);
    const renew = here.state.renew.bind(here.state);
    here.state.renew = async (...args) => {
      const { held, lost } = await renew(...args);
      return { held: held.map(({ lease }) => ({ lease, asked: undefined })), lost };
    };
  }
  const there = await sentientOn(db, options);
  const heard = looksOn(here);
  await here.worker({ lease: 600_000 }).start();
  const die = async () => {
    mortal.die();
    await mortal.buried();
    await expireLeases({ db });
    await there.worker().start();
  };
  return { here, there, agents: known, heard, die };
}

/** Asks of runs in every status all that can be asked, at once. @returns each, and what it was then */
async function askAll(at: House, from: "here" | "there", isKilled: boolean) {
  const runs = await Promise.all(
    cells.map(async (cell) => ({ ...cell, handle: await runAt(cell.at, at.here, at.agents) })),
  );
  const asked = await Promise.all(
    runs.map(async ({ verb, handle }) => {
      try {
        await at[from][verb](handle.id, { by: "ada" });
        return "accepted";
      } catch (error) {
        return (error as { code?: string }).code;
      }
    }),
  );
  if (isKilled) await at.die();
  return runs.map((run, i) => ({
    ...run,
    asked: asked[i],
    before: run.at === "finished" ? "completed" : "waiting",
  }));
}

type Asked = Awaited<ReturnType<typeof askAll>>;

async function expectAsInTable(at: House, runs: Asked, deadline = 30_000): Promise<void> {
  for (const { verb, at: was, outcome, asked, handle, before } of runs) {
    const what = `${verb} of one that is ${was}`;
    expect(asked, what).toBe(outcome === "·" ? "state.illegal_transition" : "accepted");
    const wanted = outcome === "·" ? before : outcome;
    await until(async () => (await at.there.get(handle.id)).status === wanted, {
      deadline,
      every: 20,
      what: `${what} to be ${wanted}`,
    });
    const events = await eventsOf(at.there, handle.id);
    const isOver = ["completed", "cancelled"].includes(wanted);
    if (isOver) expectOneStory(events);
    const types = events.map(({ type }) => type);
    if (verb === "cancel" && outcome === "cancelled") expect(types, what).not.toContain("run.completed");
    if (wanted === "paused" || wanted === "cancelled")
      expect(JSON.stringify(events), what).not.toContain("main/after#1");
  }
}

describe("what is asked of a run", () => {
  test.each([
    { from: "here", isKilled: false },
    { from: "there", isKilled: false },
    { from: "here", isKilled: true },
    { from: "there", isKilled: true },
  ] as const)(
    "is done, whatever it does at the moment: from $from, its worker dies first: $isKilled",
    async ({ from, isKilled }) => {
      const at = await house({ isDeaf: isKilled }); // or it would have been done before
      const runs = await askAll(at, from, isKilled);
      const running = runs.find(({ verb, at: was }) => verb === "cancel" && was === "running")!;
      const began = performance.now();
      await until(async () => (await at.there.get(running.handle.id)).status === "cancelled", { every: 10 });
      console.log(`one that was running was cancelled after ${Math.round(performance.now() - began)} ms`);
      if (!isKilled) await at.heard(); // pauses as well: another look may have brought the cancel
      at.agents.open();
      await expectAsInTable(at, runs);
      for (const { handle, verb, at: was } of runs)
        if (verb === "pause" && was === "running") {
          await at.there.resume(handle.id);
          expect(await at.there.handle(handle.id).result({ timeout: 60_000 })).toBe("done");
        }
    },
  );

  test("control: a worker that does not listen goes on", async () => {
    const at = await house({ isDeaf: true });
    const runs = await askAll(at, "there", false);
    at.agents.open();
    const paused = runs.find(({ verb, at: was }) => verb === "pause" && was === "running")!;
    await until(async () => (await paused.handle.status()) === "completed");
    await sabotage("no hearing", () => expectAsInTable(at, [paused], 500));
  });
});
