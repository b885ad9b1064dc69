// What a handler sees of its run, made: each primitive takes its key at once, in the order of the calls, and then does its work.

import { createHash, randomBytes } from "node:crypto";
import type { Json, StepKey } from "@sentient/schema";
import { z } from "zod";
import { all, map, race, type Fork, type Open } from "./branches.ts";
import { callRun, resultOf, spawnRun } from "./children.ts";
import type {
  AskOptions,
  Branch,
  CallOptions,
  Child,
  Context,
  RunInfo,
  StepContext,
  StepOptions,
  WaitOptions,
} from "./context.ts";
import type { Definition } from "./define.ts";
import { checked } from "./errors.ts";
import { asJson } from "./json.ts";
import { meteredBy } from "./metering.ts";
import { chunksKey, type Scope } from "./keys.ts";
import type { Pass } from "./pass.ts";
import type { Place } from "./place.ts";
import { calledFor, type ByCapability } from "./routing.ts";
import { performStep } from "./step.ts";
import { emitEvent, logOf, makeCheckpoint, patchAt, progressOf } from "./telling.ts";
import { askPerson, sleepUntil, waitForSignal } from "./waits.ts";

type Wanted = Definition | string | ByCapability;

/** What is to be undone, in the order in which it was done. */
export interface Undo {
  name: string;
  work: (step: StepContext) => unknown;
  options: StepOptions;
}

const MapOptions = z.strictObject({
  concurrency: z.int().min(1).max(1_000).default(10),
  name: z.string().default("map"),
});

/** @param undoes gets what the handler says is to undo what was done */
export function contextOf(pass: Pass, root: Place, path: Scope, undoes: Undo[]): Context<never> {
  const info = infoOf(pass);
  const open: Open = (place, scope) => {
    const keyOf = (name: string): StepKey => {
      pass.inStep.refuse();
      const key = scope.next(name);
      pass.outbox.asked(key);
      return key;
    };
    const perform = async <T>(key: StepKey, work: () => Promise<T>): Promise<T> => {
      try {
        return await pass.perform(place, work);
      } finally {
        pass.passTime(place, key);
      }
    };
    /** The key is taken before anything else happens, and what is wrong with it is a rejection. */
    const at = <T>(name: string, work: (key: StepKey) => Promise<T>): Promise<T> =>
      heeded(async () => {
        const key = keyOf(name);
        return perform(key, () => work(key));
      });
    const fork = <T>(name: string, work: (fork: Fork) => Promise<T>): Promise<T> =>
      heeded(async () => work({ pass, place, key: keyOf(name), open }));
    const draw = drawing(pass, scope);
    const chunks = new Map<StepKey, number>();
    const call = (wanted: Wanted, given: unknown, options: CallOptions = {}) => {
      const { what, input, name } = calledFor(wanted, given);
      return at(options.name ?? name, (key) => callRun(pass, place, { key, what, input, options }));
    };
    const emit = (type: string, data: Json = null) =>
      at(`emit:${type}`, (key) => emitEvent(pass, place, key, type, data));
    const context = {
      run: info,
      key: `${info.id}/${scope.path}`,
      signal: place.signal,
      get state() {
        return pass.state?.fields;
      },
      log: logOf(pass, place),
      step: (name: string, work: Undo["work"], options: StepOptions = {}) =>
        at(name, (key) => performStep(pass, place, { key, name, work, options })),
      sleep: (time: number | Date) => at("sleep", (key) => sleepUntil(pass, place, key, time)),
      waitFor: (name: string, options: WaitOptions = {}) =>
        at(`signal:${name}`, (key) => {
          const deadlineKey = `${key}/deadline` as StepKey;
          return waitForSignal(pass, place, { key, deadlineKey, name }, options);
        }),
      ask: (name: string, options: AskOptions = {}) =>
        at(name, (key) => askPerson(pass, place, key, name, options)),
      call,
      handoff: (wanted: Wanted, given: unknown, options: CallOptions = {}) =>
        heeded(async () => {
          await emit("agent.handoff", { to: nameOf(wanted) });
          return call(wanted, given, options);
        }),
      spawn: (wanted: Wanted, given: unknown, options: CallOptions = {}) => {
        const { what, input, name } = calledFor(wanted, given);
        return at(options.name ?? name, async (key): Promise<Child<Json>> => {
          const id = await spawnRun(pass, place, { key, what, input, options });
          const resultKey = `${key}/result` as StepKey;
          let result: Promise<Json> | undefined;
          return Object.freeze({
            id,
            result: () =>
              (result ??= heeded(() => perform(resultKey, () => resultOf(pass, place, resultKey, id)))),
          });
        });
      },
      all: (branches: readonly Branch<unknown>[] | Record<string, Branch<unknown>>) =>
        fork("all", async (of) => {
          if (Array.isArray(branches)) return all(of, [...branches.entries()]);
          const results = await all(of, Object.entries(branches));
          return Object.fromEntries(Object.keys(branches).map((label, i) => [label, results[i]]));
        }),
      race: (branches: Record<string, Branch<unknown>>) =>
        fork("race", (of) => race(of, Object.entries(branches))),
      map: async (items: readonly unknown[], each: Parameters<typeof map>[2], options: object = {}) => {
        const { concurrency, name } = checked(MapOptions, options, "a map");
        return fork(name, (of) => map(of, items, each, concurrency));
      },
      emit,
      progress: (done: number, total?: number, note?: string) =>
        pass.outbox.progress(place.path, progressOf(done, total, note)),
      checkpoint: (name: string, metadata?: Json) =>
        at(`checkpoint:${name}`, (key) => makeCheckpoint(pass, place, key, name, metadata)),
      chunk: (data: Json) => {
        const key = chunksKey(scope);
        const nth = (chunks.get(key) ?? 0) + 1;
        chunks.set(key, nth);
        if (!pass.memory.isReadingWithin(scope.path)) pass.stream.say(key, nth, asJson(data, "a chunk"));
      },
      compensate: (name: string, work: Undo["work"], options: StepOptions = {}) => {
        pass.inStep.refuse();
        undoes.push({ name, work, options });
        pass.outbox.compensates();
      },
      now: () => new Date(place.time.now),
      random: () => draw().readUInt32BE(0) / 2 ** 32,
      uuid: () => uuidOf(draw()),
      patch: (name: string) => at(`patch:${name}`, (key) => patchAt(pass, place, key)),
    };
    return meteredBy(Object.freeze(context) as unknown as Context<never>, pass.tools.meter);
  };
  return open(root, path);
}

/** Whose failure ends no process where nobody waits for it yet, or any more. */
function heeded<T>(work: () => Promise<T>): Promise<T> {
  const promise = work();
  promise.catch(() => {});
  return promise;
}

function nameOf(wanted: Wanted): string | string[] {
  if (typeof wanted === "string") return wanted;
  return wanted.run ? wanted.name : [...wanted.capabilities];
}

function infoOf({ lease: { run } }: Pass): RunInfo {
  const { id, name, version, attempts, parent, root, correlation, tags } = run;
  return Object.freeze({ id, name, version, attempt: attempts, parent, root, correlation, tags });
}

/** Bytes by chance, the same for the same run and branch; a step is not asked twice, so it gets what comes. */
function drawing(pass: Pass, scope: Scope): () => Buffer {
  let count = 0;
  return () => {
    if (pass.inStep.isSo) return randomBytes(32);
    const run = pass.memory.isInherited ? pass.origin.run : pass.lease.run.id;
    return createHash("sha256").update(`${run}/${scope.path}/${count++}`).digest();
  };
}

/** Version 8: made in a way of one's own. */
function uuidOf(bytes: Buffer): string {
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    "-",
  );
}
