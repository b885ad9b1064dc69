// What a run undoes when it fails or is cancelled: all that was done, the last of it first, whoever dies meanwhile.

import { describe, expect, test } from "vitest";
import { defineWorkflow, type Context } from "../src/index.ts";
import {
  codeOf,
  dies,
  failureOf,
  fresh,
  freshProcess,
  gate,
  later,
  LEASE_MS,
  played,
  processOn,
  storyOf,
  type Process,
} from "./support/fresh.ts";

const flowOf = (run: (ctx: Context<undefined>) => Promise<unknown>) =>
  defineWorkflow({ name: "flow", retry: { attempts: 1 }, run });

async function started(flow: ReturnType<typeof flowOf>) {
  const first = await freshProcess({ workflows: [flow] });
  const handle = await first.sentient.start(flow);
  const next = (): Promise<Process> => processOn(first.db, first.clock, { workflows: [flow] });
  return { first, handle, next, id: handle.id };
}

/** Books three things, and then does what is said. */
function booking(done: string[], then: (ctx: Context<undefined>) => Promise<unknown>) {
  return flowOf(async (ctx) => {
    for (const what of ["flight", "hotel", "car"]) {
      ctx.compensate(`cancel-${what}`, () => void done.push(`cancel ${what}`));
      await ctx.step(`book-${what}`, () => void done.push(`book ${what}`));
    }
    return then(ctx);
  });
}

const BOOKED = ["book flight", "book hotel", "book car"];
const UNDONE = ["cancel car", "cancel hotel", "cancel flight"];

const fails = async (): Promise<never> => {
  throw new Error("no money");
};

describe("what is to be undone", () => {
  test("is, the last first, when the run fails; the run fails with what it failed with", async () => {
    const done: string[] = [];
    const sentient = await fresh({ workflows: [booking(done, fails)] });
    const handle = await sentient.start("flow");
    expect(await failureOf(() => handle.result())).toMatchObject({ message: "no money" });
    expect(done).toEqual([...BOOKED, ...UNDONE]);
    const journal = await sentient.state.journal(handle.id);
    expect([...journal.keys()].filter((key) => key.startsWith("undo/"))).toEqual([
      "undo/cancel-car#1",
      "undo/cancel-hotel#1",
      "undo/cancel-flight#1",
    ]);
  });

  test("is not when the run completes", async () => {
    const done: string[] = [];
    const sentient = await fresh({ workflows: [booking(done, async () => "booked")] });
    expect(await sentient.execute("flow")).toBe("booked");
    expect(done).toEqual(BOOKED);
  });

  test("is when the run is cancelled while it waits, though nobody holds it", async () => {
    const done: string[] = [];
    const { first, handle, next, id } = await started(booking(done, (ctx) => ctx.waitFor("never")));
    await played(first);
    expect(await first.sentient.cancel(id, { by: "ada", reason: "another plan" })).toMatchObject({
      status: "queued",
    });
    await played(await next());
    expect(await failureOf(() => handle.result())).toMatchObject({
      code: "agent.run_cancelled",
      message: expect.stringContaining("another plan") as string,
    });
    expect(done).toEqual([...BOOKED, ...UNDONE]);
  });

  test("is when the run is cancelled while it works, of what it had come to by then", async () => {
    const done: string[] = [];
    const hold = gate();
    const flow = flowOf(async (ctx) => {
      ctx.compensate("one", () => void done.push("undo one"));
      await ctx.step("one", () => void done.push("one"));
      ctx.compensate("two", () => void done.push("undo two"));
      await ctx.step("two", async ({ signal }) => {
        signal.addEventListener("abort", () => done.push("aborted"));
        await hold.pass();
      });
      ctx.compensate("three", () => void done.push("undo three"));
      await ctx.step("three", () => void done.push("three"));
    });
    const sentient = await fresh({ workflows: [flow] });
    const handle = await sentient.start(flow);
    await hold.reached;
    await sentient.cancel(handle.id);
    expect(await codeOf(() => handle.result())).toBe("agent.run_cancelled");
    expect(done).toEqual(["one", "aborted", "undo two", "undo one"]);
    const told = await storyOf(sentient, handle.id);
    const story = told.filter((type) => type !== "step.started"); // which is told of what takes long
    expect(story.slice(story.indexOf("cancel.requested") + 1)).toEqual([
      "step.completed", // nothing but what undoes
      "step.completed",
      "run.cancelled",
    ]);
  });

  test("is not when the run is cancelled by force", async () => {
    const done: string[] = [];
    const { first, handle, next, id } = await started(booking(done, (ctx) => ctx.waitFor("never")));
    await played(first);
    await first.sentient.cancel(id, { force: true });
    await played(await next());
    expect(await codeOf(() => handle.result())).toBe("agent.run_cancelled");
    expect(done).toEqual(BOOKED);
  });

  test("is at the deadline of the run", async () => {
    const done: string[] = [];
    const flow = booking(done, (ctx) => ctx.waitFor("never"));
    const process = await freshProcess({ workflows: [flow] });
    const handle = await process.sentient.start(flow, null, { deadline: 60_000 });
    await played(process);
    expect(await later(process, 59_999)).toBe(0);
    await later(process, 1);
    await played(process);
    expect(await failureOf(() => handle.result())).toMatchObject({ code: "agent.run_cancelled" });
    expect(done).toEqual([...BOOKED, ...UNDONE]);
  });

  test("is of branches too, also of those that lost", async () => {
    const done: string[] = [];
    const flow = flowOf(async (ctx) => {
      await ctx.race({
        quick: async (c) => {
          c.compensate("quick", () => void done.push("undo quick"));
          await c.waitFor("go");
        },
        slow: async (c) => {
          c.compensate("slow", () => void done.push("undo slow"));
          await c.step("slow", () => 1);
          await c.sleep(3_600_000);
        },
      });
      await ctx.sleep(60_000);
      throw new Error("no");
    });
    const { first, handle, next } = await started(flow);
    await played(first);
    await first.sentient.signal(handle.id, "go");
    await played(await next());
    await later(await next(), 60_000);
    expect(await failureOf(() => handle.result())).toMatchObject({ message: "no" });
    expect(done).toEqual(["undo slow", "undo quick"]);
  });
});

describe("undoing", () => {
  test.each(Array.from({ length: 8 }, (_, i) => [4 + (i >> 1), i % 2 === 0 ? "before" : "after"] as const))(
    "goes on where its process dies at commit %i, %s it, and does nothing twice that is remembered",
    async (at, when) => {
      const done: string[] = [];
      const { first, handle, next } = await started(booking(done, fails));
      const { dead } = dies(first, { at, when });
      void played(first);
      await dead;
      await later(await next(), LEASE_MS);
      expect(await failureOf(() => handle.result())).toMatchObject({ message: "no money" });
      const twice = when === "before" && at < 7 ? [UNDONE[at - 4]!] : []; // done, and not remembered
      const times = (what: string) => done.filter((each) => each === what).length;
      for (const what of [...BOOKED, ...UNDONE])
        expect([what, times(what)]).toEqual([what, twice.includes(what) ? 2 : 1]);
      expect([...new Set(done)]).toEqual([...BOOKED, ...UNDONE]);
    },
  );

  test("of a run that is cancelled goes on where its process dies", async () => {
    const done: string[] = [];
    const { first, handle, next, id } = await started(booking(done, (ctx) => ctx.waitFor("never")));
    await played(first);
    await first.sentient.cancel(id, { reason: "enough" });
    const second = await next();
    const { dead } = dies(second, { at: 2, when: "after" });
    void played(second);
    await dead;
    await later(await next(), LEASE_MS);
    expect(await failureOf(() => handle.result())).toMatchObject({ code: "agent.run_cancelled" });
    expect(done).toEqual([...BOOKED, ...UNDONE]);
  });

  test("is tried again as its policy says, also where the run was cancelled", async () => {
    const attempts: number[] = [];
    const flow = flowOf(async (ctx) => {
      ctx.compensate(
        "flaky",
        ({ attempt }) => {
          attempts.push(attempt);
          if (attempt < 3) throw new Error("not yet");
        },
        { retry: { attempts: 3, delay: 60_000, factor: 1 } },
      );
      await ctx.waitFor("never");
    });
    const { first, handle, id } = await started(flow);
    await played(first);
    await first.sentient.cancel(id);
    const playing = played(first);
    while (attempts.length < 3) await first.clock.advance(10_000);
    await playing;
    expect(await codeOf(() => handle.result())).toBe("agent.run_cancelled");
    expect(attempts).toEqual([1, 2, 3]);
  });

  test("what cannot be undone parks the run, which says what to do, and is tried once more when it is resumed", async () => {
    const done: string[] = [];
    let isBroken = true;
    const flow = flowOf(async (ctx) => {
      ctx.compensate("first", () => void done.push("first"));
      ctx.compensate("broken", () => {
        done.push("broken");
        if (isBroken) throw new Error("the service is down");
      });
      ctx.compensate("last", () => void done.push("last"));
      await ctx.step("s", () => 1);
      throw new Error("no");
    });
    const { first, handle, next, id } = await started(flow);
    await played(first);
    const parked = await failureOf(() => handle.result());
    expect(parked).toMatchObject({ code: "agent.run_parked", details: { parkedFor: "attempts_exhausted" } });
    expect(parked.message).toContain("broken could not be undone: the service is down");
    await first.sentient.resume(id);
    await played(await next());
    expect(await codeOf(() => handle.result())).toBe("agent.run_parked");
    isBroken = false;
    await first.sentient.resume(id);
    await played(await next());
    expect(await failureOf(() => handle.result())).toMatchObject({ message: "no" });
    expect(done).toEqual(["last", "broken", "broken", "broken", "first"]);
  });
});
