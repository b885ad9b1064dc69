// What runs do while everything around them fails, and what each must have done and given once it is over.

import { setTimeout as sleep } from "node:timers/promises";
import type { EffectLedger, SeededRandom } from "@sentient/testkit";
import { z } from "zod";
import { defineAgent, defineWorkflow, type Definition, type StepContext } from "../src/index.ts";

/** What was really done, as it is noted outside the database. */
export interface Note extends Record<string, unknown> {
  run: string;
  key: string;
  attempt: number;
  /** Which of the workers did it; see house.ts. */
  lane: number;
  /** Milliseconds since the epoch, on a clock that nobody sets. */
  at: number;
}

export type Kind = "count" | "nap" | "listen" | "ask" | "family" | "fan" | "say" | "saga" | "flaky";
/** So many of what each of them does; how long each takes, in milliseconds; and whether it fails at its end. */
export const Input = z.object({ many: z.int(), pause: z.int(), fails: z.boolean().default(false) });
export type Input = z.output<typeof Input>;

export const trueNow = (): number => Math.round(performance.timeOrigin + performance.now());

export const answerTo = (key: string): string => `yes to ${key}`;

const range = (length: number): number[] => Array.from({ length }, (_, i) => i);

export function drawInput(kind: Kind, random: SeededRandom): Input {
  const long = { nap: 3_000, say: 150 }[kind as string] ?? 500;
  return {
    many: 2 + random.int(5),
    pause: 20 + random.int(long),
    fails: kind === "saga" && random.int(2) === 0,
  };
}

/** @param lane where it is done; undefined where nothing is */
export function worksOf(
  ledger: EffectLedger<Note>,
  lane = -1,
): { tick: Definition; all: Definition[] } & Record<Kind, Definition<Input>> {
  const act = async ({ idempotencyKey, attempt, signal }: StepContext, pause = 0): Promise<void> => {
    const at = idempotencyKey.indexOf("/");
    const [run, key] = [idempotencyKey.slice(0, at), idempotencyKey.slice(at + 1)];
    ledger.record({ run, key, attempt, lane, at: trueNow() });
    await sleep(pause, undefined, { signal });
  };

  const count = defineWorkflow({
    name: "count",
    input: Input,
    state: z.object({ sum: z.number().default(0) }),
    run: async (ctx, { many, pause }) => {
      for (const i of range(many)) {
        ctx.state.sum += await ctx.step("add", async (step) => {
          await act(step, pause);
          return i;
        });
        if (i === 1) await ctx.checkpoint("second");
      }
      return ctx.state.sum;
    },
  });

  const tick = defineAgent({ name: "tick", run: async (ctx) => ctx.step("tick", (step) => act(step)) });

  const nap = defineAgent({
    name: "nap",
    input: Input,
    run: async (ctx, { many, pause }) => {
      for (const i of range(many)) {
        await ctx.step("lie-down", (step) => act(step));
        await ctx.sleep(pause);
        await ctx.step("wake", (step) => act(step));
        await ctx.emit("nap.over", i);
      }
      return many;
    },
  });

  const listen = defineAgent({
    name: "listen",
    input: Input,
    signals: { word: z.int() },
    run: async (ctx, { many, pause }) => {
      const heard: number[] = [];
      for (const _ of range(many)) {
        heard.push(await ctx.waitFor("word"));
        await ctx.step("heard", (step) => act(step, pause));
      }
      return heard;
    },
  });

  const ask = defineAgent({
    name: "ask",
    input: Input,
    run: async (ctx, { many, pause }) => {
      const answers: string[] = [];
      for (const _ of range(many)) {
        answers.push((await ctx.ask("may-i", { schema: z.string() })).value);
        await ctx.step("told", (step) => act(step, pause));
      }
      return answers;
    },
  });

  const family = defineWorkflow({
    name: "family",
    input: Input,
    run: async (ctx, { many, pause }) => {
      const child = { many: 2, pause };
      const beside = await ctx.spawn(count, child);
      const sums = await ctx.map(range(many), (branch) => branch.call(count, child), { concurrency: 3 });
      const one = await beside.result();
      return [...sums, one].length;
    },
  });

  const fan = defineWorkflow({
    name: "fan",
    input: Input,
    run: async (ctx, { many, pause }) => {
      const each = await ctx.map(range(many), async (branch, i) => {
        await branch.step("before", (step) => act(step, pause));
        await branch.sleep(pause);
        return branch.step("after", async (step) => {
          await act(step);
          return i;
        });
      });
      const { value } = await ctx.race({
        quick: (branch) => branch.step("run", (step) => act(step)),
        slow: async (branch) => {
          await branch.sleep(pause * 10);
          await branch.step("walk", (step) => act(step));
        },
      });
      return { each, value };
    },
  });

  const say = defineAgent({
    name: "say",
    input: Input,
    run: async (ctx, { many, pause }) => {
      for (const i of range(many)) {
        ctx.chunk(i);
        await ctx.step("say", async (step) => {
          await act(step);
          for (const word of range(many)) {
            step.chunk(word);
            await sleep(pause, undefined, { signal: step.signal });
          }
        });
      }
      return many;
    },
  });

  const saga = defineWorkflow({
    name: "saga",
    input: Input,
    run: async (ctx, { many, pause, fails }) => {
      for (const i of range(many)) {
        ctx.compensate(`undo-${i}`, (step) => act(step));
        await ctx.step(`do-${i}`, (step) => act(step, pause));
      }
      if (fails) throw new Error("it was all in vain");
      return many;
    },
  });

  const flaky = defineAgent({
    name: "flaky",
    input: Input,
    run: async (ctx, { many, pause }) =>
      ctx.step(
        "try",
        async (step) => {
          await act(step, pause);
          if (step.attempt < many) throw new Error("not yet");
          return step.attempt;
        },
        { retry: { attempts: many, delay: 300 } },
      ),
  });

  const works = { count, nap, listen, ask, family, fan, say, saga, flaky };
  return { ...works, tick, all: [...Object.values(works), tick] as Definition[] } as never;
}

/** What a run has done and given that came to its end by itself. */
export interface Expected {
  /** Keys of the steps that leave something outside the database. */
  steps: readonly string[];
  /** Others that it may have besides. */
  mayAlso?: readonly string[];
  output: unknown;
  /** By step, how many pieces it streams. */
  streams?: Readonly<Record<string, number>>;
}

const keys = (name: string, many: number): string[] => range(many).map((i) => `main/${name}#${i + 1}`);

export function expectedOf(kind: Kind | "tick", { many }: Input): Expected {
  switch (kind) {
    case "count":
      return { steps: keys("add", many), output: (many * (many - 1)) / 2 };
    case "tick":
      return { steps: ["main/tick#1"], output: null };
    case "nap":
      return { steps: [...keys("lie-down", many), ...keys("wake", many)], output: many };
    case "listen":
      return { steps: keys("heard", many), output: range(many) };
    case "ask":
      return { steps: keys("told", many), output: keys("may-i", many).map(answerTo) };
    case "family":
      return { steps: [], output: many + 1 };
    case "fan":
      return {
        steps: range(many).flatMap((i) => ["before", "after"].map((name) => `main/map#1.${i}/${name}#1`)),
        mayAlso: ["main/race#1.quick/run#1", "main/race#1.slow/walk#1"],
        output: { each: range(many), value: null },
      };
    case "say":
      return {
        steps: keys("say", many),
        output: many,
        streams: Object.fromEntries(keys("say", many).map((key) => [key, many])),
      };
    case "saga":
      return { steps: range(many).map((i) => `main/do-${i}#1`), output: many };
    case "flaky":
      return { steps: ["main/try#1"], output: many };
  }
}
