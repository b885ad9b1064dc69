// What the compiler knows: inputs, outputs, states, answers and signals are inferred, nothing of a user's is `any`, and what is
// wrong does not compile. Nothing is run here but what is told to the compiler.

import { expectTypeOf, test } from "vitest";
import type { Json } from "@sentient/schema";
import { z } from "zod";
import {
  defineAgent,
  defineWorkflow,
  type Answer,
  type Child,
  type Context,
  type Definition,
  type InputOf,
  type OutputOf,
  type RunHandle,
  type Sentient,
  type StreamItem,
} from "../src/index.ts";

const order = defineAgent({
  name: "order",
  input: z.object({ id: z.string(), count: z.number().default(1) }),
  output: z.object({ total: z.number() }),
  state: z.object({ seen: z.array(z.string()).default([]) }),
  signals: { paid: z.object({ cents: z.number() }), cancelled: z.null() },
  run: async (ctx, input) => {
    expectTypeOf(input).toEqualTypeOf<{ id: string; count: number }>();
    expectTypeOf(ctx.state).toEqualTypeOf<{ seen: string[] }>();
    return { total: input.count };
  },
});
const free = defineWorkflow({
  name: "free",
  run: async (ctx, input) => {
    expectTypeOf(input).toEqualTypeOf<Json>();
    expectTypeOf(ctx.state).toEqualTypeOf<undefined>();
  },
});

/** Tells the compiler of code that is not run. */
const say = (
  _: (
    ctx: Context<{ n: number }, { paid: z.ZodObject<{ cents: z.ZodNumber }> }>,
    sentient: Sentient,
  ) => unknown,
) => {};

test("a definition knows what it takes and gives", () => {
  expectTypeOf<InputOf<typeof order>>().toEqualTypeOf<{ id: string; count?: number | undefined }>();
  expectTypeOf<OutputOf<typeof order>>().toEqualTypeOf<{ total: number }>();
  expectTypeOf<InputOf<typeof free>>().toEqualTypeOf<Json | undefined>();
  expectTypeOf<OutputOf<typeof free>>().toEqualTypeOf<Json>();
  expectTypeOf(order).toExtend<Definition>();
});

test("a run is started with what its agent takes, and gives what that gives", () => {
  say((_, sentient) => {
    expectTypeOf(sentient.start(order, { id: "1" })).resolves.toEqualTypeOf<RunHandle<{ total: number }>>();
    expectTypeOf(sentient.execute(order, { id: "1" })).resolves.toEqualTypeOf<{ total: number }>();
    expectTypeOf(sentient.execute(free)).resolves.toEqualTypeOf<Json>();
    expectTypeOf(sentient.execute("free", { any: "json" })).resolves.toEqualTypeOf<Json>();
    expectTypeOf(sentient.execute({ capabilities: ["cook"] }, "soup")).resolves.toEqualTypeOf<Json>();
    expectTypeOf(sentient.stream(order, { id: "1" })).toEqualTypeOf<
      AsyncGenerator<StreamItem, void, undefined>
    >();
    expectTypeOf(sentient.handle<{ total: number }>("r").result()).resolves.toEqualTypeOf<{
      total: number;
    }>();
    expectTypeOf(sentient.handle("r").result()).resolves.toEqualTypeOf<unknown>();
    // @ts-expect-error -- an order has an id
    void sentient.start(order, {});
    // @ts-expect-error -- which is a text
    void sentient.start(order, { id: 1 });
    // @ts-expect-error -- and an order is to be given one
    void sentient.start(order);
    // @ts-expect-error -- no option is called so
    void sentient.start(order, { id: "1" }, { keys: "k" });
    // @ts-expect-error -- a function is no JSON
    void sentient.start("free", () => 1);
  });
});

test("a handler gives what its output takes", () => {
  expectTypeOf(defineAgent({ name: "a", output: z.number(), run: async () => 1 })).toExtend<Definition>();
  say(() => {
    // @ts-expect-error -- a text is no total
    defineAgent({ name: "a", output: z.object({ total: z.number() }), run: async () => ({ total: "1" }) });
    // @ts-expect-error -- nothing is no total either
    defineAgent({ name: "a", output: z.object({ total: z.number() }), run: async () => {} });
    // @ts-expect-error -- no option is called so
    defineAgent({ name: "a", retries: 3, run: async () => {} });
    // @ts-expect-error -- a handler is asynchronous
    defineAgent({ name: "a", run: () => 1 });
  });
});

test("a step gives what it gives, as JSON: nothing is null", () => {
  say((ctx) => {
    expectTypeOf(ctx.step("s", () => 1)).resolves.toEqualTypeOf<number>();
    expectTypeOf(ctx.step("s", async () => ({ a: "b" }))).resolves.toEqualTypeOf<{ a: string }>();
    expectTypeOf(ctx.step("s", () => {})).resolves.toEqualTypeOf<null>();
    expectTypeOf(ctx.step("s", (): string | undefined => "x")).resolves.toEqualTypeOf<string | null>();
    void ctx.step("s", ({ attempt, signal, idempotencyKey }) => {
      expectTypeOf(attempt).toEqualTypeOf<number>();
      expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
      expectTypeOf(idempotencyKey).toEqualTypeOf<string>();
    });
    // @ts-expect-error -- no policy is called so
    void ctx.step("s", () => 1, { retry: { tries: 3 } });
    // @ts-expect-error -- a step has a name
    void ctx.step(() => 1);
    // @ts-expect-error -- the context of a step is no context of its run
    void ctx.step("s", (step) => step.step("inner", () => 1));
  });
});

test("signals and answers are of their schemas, and may not come where there is an end to the waiting", () => {
  say((ctx) => {
    expectTypeOf(ctx.waitFor("paid")).resolves.toEqualTypeOf<{ cents: number }>();
    expectTypeOf(ctx.waitFor("paid", { timeout: 1 })).resolves.toEqualTypeOf<{ cents: number } | undefined>();
    expectTypeOf(ctx.waitFor("other")).resolves.toEqualTypeOf<Json>();
    expectTypeOf(ctx.waitFor("other", { timeout: 1 })).resolves.toEqualTypeOf<Json | undefined>();
    expectTypeOf(ctx.waitFor("other", { schema: z.number() })).resolves.toEqualTypeOf<number>();
    expectTypeOf(ctx.waitFor("other", { schema: z.number(), timeout: 1 })).resolves.toEqualTypeOf<
      number | undefined
    >();
    expectTypeOf(ctx.ask("why")).resolves.toEqualTypeOf<Answer<Json>>();
    expectTypeOf(ctx.ask("why", { schema: z.boolean(), onTimeout: false })).resolves.toEqualTypeOf<
      Answer<boolean>
    >();
    expectTypeOf<Answer<boolean>>().toExtend<Json>();
    // @ts-expect-error -- the answer at the deadline is one that fits
    void ctx.ask("why", { schema: z.boolean(), onTimeout: "no" });
  });
});

test("branches give what they give, and see the state of their run", () => {
  say((ctx) => {
    const all = ctx.all({ a: (c) => c.step("a", () => 1), b: async (c) => c.state.n.toFixed() });
    expectTypeOf(all).resolves.toEqualTypeOf<{ a: number; b: string }>();
    expectTypeOf(ctx.all([async () => 1, async () => "a"])).resolves.toEqualTypeOf<[number, string]>();
    const many: (() => Promise<number>)[] = [];
    expectTypeOf(ctx.all(many)).resolves.toEqualTypeOf<number[]>();
    expectTypeOf(ctx.step("now", () => new Date())).resolves.toEqualTypeOf<string>();
    const raced = ctx.race({ a: (c) => c.step("a", () => 1), time: (c) => c.sleep(1) });
    expectTypeOf(raced).resolves.toEqualTypeOf<
      { winner: "a"; value: number } | { winner: "time"; value: null }
    >();
    const mapped = ctx.map(["a", "b"], async (c, item, i) => {
      expectTypeOf(item).toEqualTypeOf<string>();
      expectTypeOf(c.waitFor("paid")).resolves.toEqualTypeOf<{ cents: number }>();
      return [c.state.n, i] as const;
    });
    expectTypeOf(mapped).resolves.toEqualTypeOf<(readonly [number, number])[]>();
    // @ts-expect-error -- of one of one name only it is known who has won
    void ctx.race([async () => 1]);
    // @ts-expect-error -- no option is called so
    void ctx.map([1], async () => 1, { parallel: 2 });
  });
});

test("who is called is given what it takes, and gives what it gives", () => {
  say((ctx) => {
    expectTypeOf(ctx.call(order, { id: "1" })).resolves.toEqualTypeOf<{ total: number }>();
    expectTypeOf(ctx.call(free)).resolves.toEqualTypeOf<Json>();
    expectTypeOf(ctx.call("free", 1, { priority: 2 })).resolves.toEqualTypeOf<Json>();
    expectTypeOf(ctx.spawn(order, { id: "1" })).resolves.toEqualTypeOf<Child<{ total: number }>>();
    // @ts-expect-error -- an order has an id
    void ctx.call(order, { count: 1 });
    // @ts-expect-error -- and an order is to be given one
    void ctx.call(order);
    // @ts-expect-error -- a child is cancelled or left
    void ctx.call(free, null, { onCancel: "keep" });
  });
});

test("nothing of a user's is any", () => {
  type Parts = {
    [K in keyof Context<{ n: number }>]: Context<{ n: number }>[K];
  };
  expectTypeOf<Parts[keyof Parts]>().not.toBeAny();
  expectTypeOf<Parameters<Parameters<typeof free.run>[0] extends never ? () => void : never>>().toEqualTypeOf<
    []
  >();
  say((ctx, sentient) => {
    expectTypeOf(ctx.now()).toEqualTypeOf<Date>();
    expectTypeOf(ctx.random()).toEqualTypeOf<number>();
    expectTypeOf(ctx.uuid()).toEqualTypeOf<string>();
    expectTypeOf(ctx.patch("p")).resolves.toEqualTypeOf<boolean>();
    expectTypeOf(ctx.run.id).toEqualTypeOf<string>();
    expectTypeOf(sentient.get("r")).resolves.not.toBeAny();
    expectTypeOf(sentient.list()).resolves.not.toBeAny();
    expectTypeOf(sentient.stateAt("r")).resolves.toEqualTypeOf<Json>();
    // @ts-expect-error -- the state is changed in place, and not replaced
    ctx.state = { n: 1 };
    // @ts-expect-error -- a date is no JSON
    ctx.chunk(new Date());
    // @ts-expect-error -- nor is a function
    void ctx.emit("e", () => 1);
  });
});

test("a helper takes the context of any run, or that of one with a state", () => {
  const anyRun = async (ctx: Context) => ctx.step("s", () => 1);
  const counting = async (ctx: Context<{ n: number }>) => ctx.state.n;
  expectTypeOf(defineWorkflow({ name: "a", run: async (ctx) => anyRun(ctx) })).toExtend<Definition>();
  defineWorkflow({
    name: "a",
    state: z.object({ n: z.number().default(0) }),
    run: async (ctx) => counting(ctx),
  });
  defineWorkflow({
    name: "a",
    signals: { go: z.string() },
    run: async (ctx) => [await anyRun(ctx), await ctx.all({ a: anyRun })],
  });
  // @ts-expect-error -- this one has no state
  defineWorkflow({ name: "a", run: async (ctx) => counting(ctx) });
});
