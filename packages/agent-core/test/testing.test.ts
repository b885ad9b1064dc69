// The kit for tests, tested as its users use it.

import { setTimeout as realSleep } from "node:timers/promises";
import { openDatabase, surql } from "@sentient/db-pool";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { AgentError, createSentient, defineAgent, defineWorkflow, NonRetryable } from "../src/index.ts";
import { Driver } from "../src/testing/driver.ts";
import { atEveryCrash, createTestSentient, VirtualClock, type TestOptions } from "../src/testing/index.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

async function freshSentient(options: TestOptions) {
  const sentient = await createTestSentient(options);
  onTestFinished(() => sentient.close());
  return sentient;
}

async function errorOf(work: Promise<unknown>): Promise<AgentError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AgentError);
  return error as AgentError;
}

const charge = defineAgent({
  name: "charge",
  input: z.object({ total: z.number() }),
  output: z.string(),
  run: (ctx, { total }) => ctx.step("pay", () => `paid ${total}`),
});
const order = defineWorkflow({
  name: "order",
  input: z.object({ total: z.number() }),
  run: async (ctx, input) => {
    const { value, by } = await ctx.ask("approve", { schema: z.boolean() });
    await ctx.sleep(30 * DAY);
    const address = await ctx.waitFor("address");
    const paid = await ctx.call(charge, input);
    const both = await ctx.all({
      mail: (branch) => branch.step("mail", () => "sent"),
      later: async (branch) => {
        await branch.sleep(DAY);
        return branch.step("remind", () => "reminded");
      },
    });
    return { value, by, address, paid, both };
  },
});
const ordered = {
  value: true,
  by: "script",
  address: "Rome",
  paid: "paid 3",
  both: { mail: "sent", later: "reminded" },
};
const scripted = {
  agents: [charge],
  workflows: [order],
  answers: { approve: true },
  signals: { address: "Rome" },
};

test("a run that takes a month, people and another run is over at once", async () => {
  const sentient = await freshSentient(scripted);
  const began = sentient.clock.now();
  const handle = await sentient.start(order, { total: 3 });
  expect(await handle.result()).toEqual(ordered);
  expect(sentient.clock.now() - began).toBe(31 * DAY);
  expect(await sentient.runToEnd(handle)).toMatchObject({ status: "completed", output: ordered });
  expect((await sentient.journal(handle)).map(({ key, status }) => `${key} ${status}`)).toEqual([
    "main/approve#1 completed",
    "main/sleep#1 completed",
    "main/signal:address#1 completed",
    "main/charge#1 completed",
    "main/all#1.later/sleep#1 completed",
    "main/all#1.mail/mail#1 completed",
    "main/all#1.later/remind#1 completed",
  ]);
  expect(sentient.effects("pay")).toMatchObject([{ key: "main/pay#1", name: "pay", attempt: 1 }]);
  expect(sentient.effects()).toHaveLength(3);
});

test("what a run told and streamed can be read once it went on", async () => {
  const poet = defineAgent({
    name: "poet",
    run: async (ctx) => {
      await ctx.step("write", ({ chunk }) => ["a", "rose"].forEach((word) => chunk(word)));
      await ctx.sleep(HOUR);
      await ctx.emit("poem.written");
    },
  });
  const sentient = await freshSentient({ agents: [poet] });
  const words: unknown[] = [];
  const types: string[] = [];
  for await (const item of sentient.stream(poet, null))
    if (item.type === "event") types.push(item.event.type);
    else if (item.chunk.kind === "data") words.push(item.chunk.data);
  expect(words).toEqual(["a", "rose"]);
  expect(types).toContain("poem.written");
  expect(types.at(-1)).toBe("run.completed");
});

test("a script answers by what is asked, and nothing while it says nothing", async () => {
  const asking = defineAgent({
    name: "asking",
    run: async (ctx) => [
      (await ctx.ask("size", { text: "how many?" })).value,
      (await ctx.ask("name", { deadline: DAY, onTimeout: "nobody" })).value,
    ],
  });
  const asked: (string | undefined)[] = [];
  const sentient = await freshSentient({
    agents: [asking],
    answers: {
      size: ({ text }) => {
        asked.push(text);
        return 12;
      },
      name: () => undefined,
    },
  });
  expect(await sentient.execute(asking, null)).toEqual([12, "nobody"]);
  expect(asked).toEqual(["how many?"]);
});

test("an answer that does not fit is an error of whoever wrote the script", async () => {
  const sentient = await freshSentient({ ...scripted, answers: { approve: "certainly" } });
  await expect(sentient.execute(order, { total: 3 })).rejects.toMatchObject({ code: "state.invalid_answer" });
});

test("who waits for what nobody says is stuck, and it is told for what", async () => {
  const sentient = await freshSentient({ agents: [charge], workflows: [order] });
  const handle = await sentient.start(order, { total: 3 });
  const atQuestion = await errorOf(handle.result());
  expect(atQuestion.code).toBe("agent.stuck");
  expect(atQuestion.message).toMatch(/waits for an answer to main\/approve#1 \(script it with answers/);
  await sentient.answer(handle.id, "main/approve#1", true, { by: "script" });
  expect((await errorOf(sentient.runToEnd(handle))).message).toMatch(/waits for the signal address/);
  await sentient.signal(handle.id, "address", "Rome");
  expect(await handle.result()).toEqual(ordered);
});

test("who waits for a run is stuck where that one is, and so is one that nobody serves or that was paused", async () => {
  const outer = defineWorkflow({ name: "outer", run: (ctx) => ctx.call(order, { total: 1 }) });
  const sentient = await freshSentient({ agents: [charge], workflows: [outer, order] });
  expect((await errorOf(sentient.execute(outer, null))).message).toMatch(
    /waits for the end of the run \S+, and of that it waits for an answer to main\/approve#1/,
  );
  expect((await errorOf(sentient.execute("stranger"))).message).toMatch(
    /no live worker serves stranger@1 .*\(hand its definition to createTestSentient\)/,
  );
  const paused = await sentient.start(charge, { total: 1 });
  await sentient.pause(paused.id, { by: "ada" });
  expect((await errorOf(paused.result())).message).toMatch(/ada has paused it/);
  await sentient.resume(paused.id);
  expect(await paused.result()).toBe("paid 1");
});

test("what failed is tried again after its delay, and how it ends is told", async () => {
  const flaky = defineAgent({
    name: "flaky",
    input: z.number(),
    retry: { attempts: 3, delay: HOUR, maxDelay: DAY },
    run: (ctx, good) =>
      ctx.step("try", ({ attempt }) => {
        if (attempt < good) throw new Error("not yet");
        return attempt;
      }),
  });
  const sentient = await freshSentient({ agents: [flaky] });
  const began = sentient.clock.now();
  expect(await sentient.execute(flaky, 3)).toBe(3);
  expect(sentient.clock.now() - began).toBeGreaterThan(HOUR);
  expect(sentient.effects("try").map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  const failing = await sentient.start(flaky, 4);
  expect(await sentient.runToEnd(failing)).toMatchObject({ status: "failed" });
  await expect(failing.result()).rejects.toThrow("not yet");
});

test("a step that sleeps on the clock runs out of time, and one that works keeps time from moving", async () => {
  const clock = new VirtualClock(new Date("2026-03-01T09:00:00Z"));
  const model = defineAgent({
    name: "model",
    run: (ctx) =>
      ctx.all({
        slow: (branch) =>
          branch.step(
            "ask",
            async ({ attempt }) => {
              await clock.sleep(attempt === 1 ? 90_000 : 5_000);
              return attempt;
            },
            { timeout: 60_000, retry: { delay: 0 } },
          ),
        busy: (branch) =>
          branch.step("read", async () => {
            const before = clock.now();
            await realSleep(30); // something real
            return clock.now() - before;
          }),
      }),
  });
  const sentient = await freshSentient({ agents: [model], clock });
  expect(await sentient.execute(model, null)).toEqual({ slow: 2, busy: 0 });
  expect(clock.now()).toBe(Date.parse("2026-03-01T09:01:05Z"));
});

test("a result that takes longer than whoever waits for it has time is late by the clock", async () => {
  const sentient = await freshSentient(scripted);
  const handle = await sentient.start(order, { total: 3 });
  expect((await errorOf(handle.result({ timeout: HOUR }))).code).toBe("agent.result_timeout");
  expect(await handle.result()).toEqual(ordered);
});

test("whoever waits for several runs at once shares the time, also where the end of one lets another go on", async () => {
  const patient = defineAgent({ name: "patient", run: (ctx) => ctx.waitFor("go") });
  const sleeper = defineAgent({
    name: "sleeper",
    input: z.number(),
    run: async (ctx, hours) => {
      await ctx.sleep(hours * HOUR);
      return hours;
    },
  });
  const sentient = await freshSentient({ agents: [patient, sleeper] });
  const began = sentient.clock.now();
  const waiting = await sentient.start(patient, null);
  const results = await Promise.all([
    waiting.result(),
    sentient.execute(sleeper, 3),
    sentient.execute(sleeper, 1).then(async (hours) => {
      await sentient.signal(waiting.id, "go", "gone");
      return hours;
    }),
  ]);
  expect(results).toEqual(["gone", 3, 1]);
  expect(sentient.clock.now() - began).toBe(3 * HOUR);
});

test("the clock is moved by hand, and schedules start their runs", async () => {
  const report = defineAgent({
    name: "report",
    run: (ctx) => ctx.step("write", () => ctx.now().toISOString()),
  });
  const sentient = await freshSentient({
    agents: [report],
    clock: new VirtualClock(new Date("2026-03-01T12:00:00Z")),
  });
  await sentient.schedules.put("nightly", report, null, { cron: "0 3 * * *" });
  await sentient.advance(2 * DAY);
  const { runs } = await sentient.list({ name: "report", status: "completed" });
  const outputs = await Promise.all(runs.map(({ id }) => sentient.handle(id).result()));
  expect(new Set(outputs)).toEqual(new Set(["2026-03-02T03:00:00.000Z", "2026-03-03T03:00:00.000Z"]));
  expect(new Date(sentient.clock.now()).toISOString()).toBe("2026-03-03T12:00:00.000Z");
  await sentient.settle();
  expect(sentient.effects("write")).toHaveLength(2);
});

test.for([
  { when: "before", done: 2 },
  { when: "after", done: 1 },
] as const)(
  "a process that dies $when it is on disk that a card was charged: it was charged $done times",
  async ({ when, done }) => {
    const sentient = await freshSentient(scripted);
    sentient.crashAt("pay", { when });
    const before = sentient.clock.now();
    expect(await sentient.execute(order, { total: 3 })).toEqual(ordered);
    expect(sentient.crashes).toMatchObject([{ commit: "main/pay#1", when }]);
    expect(sentient.effects("pay")).toHaveLength(done);
    expect(sentient.clock.now() - before).toBeGreaterThan(31 * DAY); // a lease had to run out
    expect(sentient.commits.filter((commit) => commit === "main/pay#1")).toHaveLength(done);
  },
);

test("a process that dies within a step leaves it to the next one, and what it was doing besides ends with it", async () => {
  let lives = 0;
  let leaked = 0;
  const upload = defineAgent({
    name: "upload",
    run: (ctx) =>
      ctx.all({
        file: (branch) =>
          branch.step("upload", async () => {
            if (++lives === 1) sentient.crash();
            return lives;
          }),
        other: async (branch) => {
          await branch.step("first", () => realSleep(5));
          return branch.step("second", () => ++leaked);
        },
      }),
  });
  const sentient = await freshSentient({ agents: [upload] });
  expect(await sentient.execute(upload, null)).toEqual({ file: 2, other: 1 });
  expect(leaked).toBe(1);
  expect(sentient.effects("upload")).toHaveLength(2);
});

test("wherever a process dies a run ends as it would have, and a step is done once more at most", async () => {
  const visit = defineWorkflow({
    name: "visit",
    run: async (ctx) => {
      const { value } = await ctx.ask("when");
      await ctx.sleep(HOUR);
      return { value, paid: await ctx.call(charge, { total: 1 }) };
    },
  });
  const options = { agents: [charge], workflows: [visit], answers: { when: "noon" } };
  const seen: string[] = [];
  for await (const { crash, result, effects } of atEveryCrash(options, (each) => each.execute(visit, null))) {
    expect(result).toEqual({ value: "noon", paid: "paid 1" });
    const isLost = crash.when === "before" && crash.commit === "main/pay#1";
    expect(effects, `${crash.when} ${crash.commit}`).toHaveLength(isLost ? 2 : 1);
    seen.push(`${crash.when} ${crash.commit}`);
  }
  for (const when of ["before", "after"])
    for (const commit of ["main/when#1", "main/sleep#1", "main/pay#1", "run.waiting", "run.completed"])
      expect(seen).toContain(`${when} ${commit}`);
});

test("code that a crash breaks is found, with the commit at which it does", async () => {
  let calls = 0; // what a handler must not do: it counts how often it was called
  const careless = defineAgent({
    name: "careless",
    run: async (ctx) => {
      const mine = ++calls;
      await ctx.step("begin", () => mine);
      if (mine > 1) throw new NonRetryable("called twice");
      return ctx.step("end", () => mine);
    },
  });
  const play = async () => {
    for await (const { crash } of atEveryCrash(
      () => {
        calls = 0;
        return { agents: [careless] };
      },
      (each) => each.execute(careless, null),
    ))
      expect(crash.commit).toBeDefined();
  };
  const error = await errorOf(play());
  expect(error.code).toBe("agent.broken_by_crash");
  expect(error.message).toMatch(
    /after a crash before the commit of begin \(the 1\. one\) it fails: called twice/,
  );
});

test("a run that never ends is given up after some time, and goes on when it is asked again", async () => {
  const endless = defineAgent({
    name: "endless",
    run: async (ctx) => {
      for (;;) await ctx.sleep(HOUR);
    },
  });
  const clock = new VirtualClock();
  const runtime = { agents: [endless], clock };
  const db = await openDatabase({ url: "mem://" });
  onTestFinished(() => db.close());
  const driver = new Driver({ db, runtime, worker: {}, clock, script: {}, mostMoves: 5 });
  const client = await createSentient({ ...runtime, database: db, worker: false });
  const { id } = await client.start(endless, null);
  const began = clock.now();
  expect((await errorOf(driver.toEnd(id))).message).toMatch(/not over after time was moved 5 times/);
  expect((await errorOf(driver.toEnd(id))).code).toBe("agent.stuck");
  expect(clock.now() - began).toBe(10 * HOUR);
});

test("a database of one's own has what stands beside the runtime", async () => {
  const database = await openDatabase({ url: "mem://" });
  const note = defineWorkflow({
    name: "note",
    run: (ctx) => ctx.step("note", (step) => step.write(surql`CREATE note SET text = "here"`)),
  });
  const sentient = await freshSentient({ workflows: [note], database });
  await sentient.execute(note);
  expect(await database.query(surql`SELECT VALUE text FROM note`)).toEqual(["here"]);
});
