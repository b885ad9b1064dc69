// Drive. Owns: what people and other programs do while everything fails: starting runs, saying things to them, answering what
// they ask, pausing and cancelling them, and following the log. And what it was told that it has done.

import { setTimeout as sleep } from "node:timers/promises";
import type { SentientError } from "@sentient/db-pool";
import type { Event } from "@sentient/schema";
import type { Sentient } from "../src/index.ts";
import { planRuns, type Asked, type PlannedRun } from "./plan.ts";
import { answerTo, type worksOf } from "./work.ts";

/** What was acknowledged. */
export interface Told {
  /** By the ids of their runs. */
  started: Map<string, PlannedRun>;
  /** Asked to, and acknowledged, after so many milliseconds. */
  asked: Map<string, Set<Asked>>;
  /** How many words each has been told. */
  words: Map<string, number>;
  /** By run and key. */
  answered: Set<string>;
  /** What the log told, as it came. */
  heard: Event[];
  /** What went wrong that should not, whatever happens. */
  problems: string[];
}

export interface Driving {
  told: Told;
  /** Begins nothing any more. */
  stop: () => void;
  /** Ends it all. */
  end: () => Promise<void>;
}

/** So many runs are under way at once. */
const OPEN = 24;
const SOON_MS = 150;
/** Codes of what may be asked again, and again. */
const PASSING = /^db\.|^state\.busy$|^event_bus\.(timeout|overloaded)$/;
/** Of what is too late to be asked. */
const TOO_LATE = ["state.illegal_transition", "state.not_open"];

interface Driver {
  sentient: Sentient;
  works: ReturnType<typeof worksOf>;
  told: Told;
  end: AbortSignal;
}

export function drive(sentient: Sentient, works: Driver["works"], seed: number): Driving {
  const stopping = new AbortController();
  const ending = new AbortController();
  const told: Told = {
    started: new Map(),
    asked: new Map(),
    words: new Map(),
    answered: new Set(),
    heard: [],
    problems: [],
  };
  const driver: Driver = { sentient, works, told, end: ending.signal };
  const going = [startAll(driver, seed, stopping.signal), answerAll(driver), followLog(driver)];
  return {
    told,
    stop: () => stopping.abort(),
    end: async () => {
      stopping.abort();
      ending.abort();
      await Promise.all(going);
    },
  };
}

const pause = (ms: number, signal: AbortSignal) => sleep(ms, undefined, { signal }).catch(() => {});

/** Asks until there is an answer. @returns undefined where it is too late for that, or all is over */
async function patiently<T>(
  { told, end }: Driver,
  what: string,
  ask: () => Promise<T>,
): Promise<T | undefined> {
  while (!end.aborted) {
    try {
      return await ask();
    } catch (error) {
      const { code, retryable, outcome } = error as SentientError;
      if (TOO_LATE.includes(code)) return undefined;
      const isPassing = PASSING.test(code) || retryable || outcome === "unknown";
      if (!isPassing) {
        told.problems.push(`${what}: ${code} ${(error as Error).message}`);
        return undefined;
      }
      await pause(SOON_MS, end);
    }
  }
  return undefined;
}

async function startAll(driver: Driver, seed: number, stop: AbortSignal): Promise<void> {
  const { sentient, works, told } = driver;
  const accompanied = new Set<Promise<void>>();
  await patiently(driver, "a schedule is put", () =>
    sentient.schedules.put("ticks", works.tick, undefined as never, {
      cron: "*/2 * * * * *",
      missed: "all",
      maxAttempts: 1_000,
    }),
  );
  for (const planned of planRuns(seed)) {
    while (accompanied.size >= OPEN && !stop.aborted)
      await Promise.race([...accompanied, pause(SOON_MS, stop)]);
    if (stop.aborted) break;
    const { key, kind, input } = planned;
    const handle = await patiently(driver, `${key} is started`, () =>
      sentient.start(works[kind], input, { key, maxAttempts: 1_000 }),
    );
    if (!handle) continue;
    told.started.set(handle.id, planned);
    const going = accompany(driver, handle.id, planned).finally(() => accompanied.delete(going));
    accompanied.add(going);
  }
  await patiently(driver, "a schedule is removed", () => sentient.schedules.remove("ticks"));
  await Promise.all(accompanied);
}

/** Says to a run what it waits for, and asks of it what is planned, until it is over. */
async function accompany(driver: Driver, id: string, { kind, input, asked }: PlannedRun): Promise<void> {
  const { sentient, told, end } = driver;
  const speaking = kind === "listen" ? say(driver, id, input.many) : undefined;
  if (asked) {
    await pause(asked.after, end);
    const by = { by: "chaos", reason: "it was planned" };
    const done = await patiently(driver, `${asked.what} ${id}`, () =>
      asked.what === "pause"
        ? sentient.pause(id, by)
        : sentient.cancel(id, { ...by, force: asked.what === "cancel by force" }),
    );
    if (done) told.asked.set(id, new Set([asked.what]));
    if (asked.what === "pause") {
      await pause(asked.resumeAfter, end);
      await patiently(driver, `resume ${id}`, () => sentient.resume(id, by));
    }
  }
  await speaking;
  while (!end.aborted) {
    const run = await patiently(driver, `a look at ${id}`, () => sentient.get(id));
    if (!run || "endedAt" in run) return;
    await pause(SOON_MS * 2, end);
  }
}

async function say(driver: Driver, id: string, many: number): Promise<void> {
  for (let word = 0; word < many; word++) {
    const said = await patiently(driver, `a word to ${id}`, () =>
      driver.sentient.signal(id, "word", word, { id: `${id}-${word}` }),
    );
    if (!said) return;
    driver.told.words.set(id, word + 1);
  }
}

/** As two people who do not know of each other. */
async function answerAll(driver: Driver): Promise<void> {
  const { sentient, told, end } = driver;
  while (!end.aborted) {
    const page = await patiently(driver, "a look at questions", () =>
      sentient.questions.list({ status: "open", limit: 100 }),
    );
    await Promise.all(
      (page?.questions ?? []).map(({ run, key }) =>
        patiently(driver, `an answer to ${run} ${key}`, async () => {
          await sentient.answer(run, key, answerTo(key), { by: "chaos" });
          told.answered.add(`${run} ${key}`);
        }),
      ),
    );
    await pause(SOON_MS, end);
  }
}

/** From its beginning; where it is cut off it goes on behind the last event it has heard. */
async function followLog(driver: Driver): Promise<void> {
  const { sentient, told, end } = driver;
  while (!end.aborted)
    await patiently(driver, "the log is followed", async () => {
      const after = told.heard.at(-1)?.position ?? 0;
      for await (const event of sentient.events.follow({ after, signal: end })) told.heard.push(event);
    });
}
