// Agents as one sees them from outside: who there is, what they do, what they remember, and who does what somebody has to do.

import { describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { defineAgent, defineWorkflow, NonRetryable, type Sentient } from "../src/index.ts";
import {
  codeOf,
  failureOf,
  fresh,
  freshDatabase,
  freshProcess,
  gate,
  later,
  played,
  processOn,
  sentientOn,
  type Process,
} from "./support/fresh.ts";

describe("an agent", () => {
  test("is known by its name with what it can do, once a process has it", async () => {
    const search = defineAgent({
      name: "search",
      version: "2",
      description: "looks for things",
      capabilities: ["search", "web"],
      queue: "web",
      run: async () => null,
    });
    const process = await freshProcess({ agents: [search] });
    await played(process);
    const elsewhere = await processOn(process.db, process.clock);
    expect(await elsewhere.sentient.agents.get("search")).toMatchObject([
      {
        name: "search",
        version: "2",
        capabilities: ["search", "web"],
        queue: "web",
        status: "idle",
        running: 0,
      },
    ]);
    const { agents } = await elsewhere.sentient.agents.list({ capability: "web" });
    expect(agents.map(({ name }) => name)).toEqual(["search"]);
    expect((await elsewhere.sentient.agents.list({ capability: "cook" })).agents).toEqual([]);
    expect(await codeOf(() => elsewhere.sentient.agents.get("nobody"))).toBe("state.not_found");
  });

  describe("started by its name, where its code is not", () => {
    const chargeOf = (version: string) =>
      defineWorkflow({
        name: "charge",
        version,
        queue: "money",
        secrets: ["card"],
        timeout: 60_000,
        input: z.object({ card: z.string(), cents: z.int().min(1).default(100) }),
        run: (_, { card }) => Promise.reject(new NonRetryable(`${card} was declined`)),
      });
    const input = { card: "4242-4242" };
    const asDefined = { kind: "workflow", version: "3", queue: "money", secrets: ["card"] };

    async function house() {
      const owner = await freshProcess({ workflows: [chargeOf("3")] });
      await played(owner);
      const elsewhere = await processOn(owner.db, owner.clock, { worker: false });
      return { owner, clock: owner.clock, sentient: elsewhere.sentient };
    }

    test("is what its definition says, and keeps what that calls secret", async () => {
      const { owner, clock, sentient } = await house();
      const handle = await sentient.start("charge", input);
      const run = await sentient.get(handle.id);
      expect(run).toMatchObject({ ...asDefined, deadline: new Date(clock.now() + 60_000) });
      await played(owner);
      expect((await failureOf(() => handle.result())).message).not.toContain("4242");
      let exported = "";
      for await (const line of sentient.state.export(handle.id)) exported += line;
      expect(exported).not.toContain("4242");
    });

    test("is refused with an input that does not fit", async () => {
      const { sentient } = await house();
      for (const wrong of [{}, { card: 7 }, { ...input, cents: 0 }, "4242"])
        for (const ask of [
          () => sentient.start("charge", wrong as never),
          () => sentient.schedules.put("monthly", "charge", wrong as never, { cron: "0 0 1 * *" }),
        ])
          expect(await codeOf(ask)).toBe("agent.invalid_input");
    });

    test("by a schedule is a run of the version that is registered by then", async () => {
      const { owner, clock, sentient } = await house();
      await sentient.schedules.put("monthly", "charge", input, { cron: "0 0 1 * *" });
      await played(await processOn(owner.db, clock, { workflows: [chargeOf("4")] }));
      await clock.advance(32 * 86_400_000);
      await sentient.state.sweep();
      const { runs } = await sentient.list({ name: "charge" });
      expect(runs).toMatchObject([{ ...asDefined, version: "4" }]);
    });
  });

  test("is watched: what it does at the moment, and each time that changes", async () => {
    const db = await freshDatabase();
    const hold = [gate(), gate()];
    let next = 0;
    const agent = defineAgent({ name: "works", run: (ctx) => ctx.step("s", () => hold[next++]!.pass()) });
    const owner = await sentientOn(db, { agents: [agent] });
    const asker = await sentientOn(db, { worker: false });
    const seen: string[] = [];
    const first = await owner.start(agent);
    await hold[0]!.reached;
    const stop = new AbortController();
    for await (const { status, running } of asker.agents.watch("works", { signal: stop.signal })) {
      seen.push(`${status} ${running}`);
      if (seen.length === 1) await owner.start(agent);
      if (seen.length === 2) await asker.agents.pause("works", { by: "ada" });
      if (seen.length === 3) hold.forEach(({ open }) => open());
      if (seen.at(-1) === "paused 0") await asker.agents.resume("works");
      if (seen.at(-1) === "idle 0") stop.abort();
    }
    expect(seen.slice(0, 3)).toEqual(["running 1", "running 2", "paused 2"]);
    expect(seen.slice(-2)).toEqual(["paused 0", "idle 0"]);
    await first.result();
  });

  test("of nobody's name is not watched", async () => {
    const sentient = await fresh();
    const watched = sentient.agents.watch("nobody");
    expect(await codeOf(() => watched.next())).toBe("state.not_found");
  });

  test("that is paused begins nothing until it is resumed; others do", async () => {
    const one = defineAgent({ name: "one", run: async () => "one" });
    const other = defineAgent({ name: "other", run: async () => "other" });
    const process = await freshProcess({ agents: [one, other] });
    const { sentient } = process;
    await played(process);
    await sentient.agents.pause("one", { by: "ada", reason: "tired" });
    const [paused, goes] = [await sentient.start(one), await sentient.start(other)];
    await played(process);
    expect(await goes.result()).toBe("other"); // control
    expect(await sentient.explain(paused.id)).toMatchObject([{ code: "agent_paused", by: "ada" }, {}]);
    await sentient.agents.resume("one");
    await played(process);
    expect(await paused.result()).toBe("one");
  });

  test("remembers something across its runs", async () => {
    const agent = defineAgent({ name: "one", run: async () => null });
    const process = await freshProcess({ agents: [agent] });
    await played(process);
    const { agents } = process.sentient;
    const { revision } = await agents.createState("one", { seen: 1 });
    await agents.updateState("one", (state) => ({ ...(state as object), more: 2 }));
    expect((await agents.getState("one")).state).toEqual({ seen: 1, more: 2 });
    expect(await codeOf(() => agents.createState("one", {}))).toBe("state.revision_mismatch");
    expect(revision).toBeGreaterThan(0);
  });

  test("does no more at once than it may", async () => {
    let [now, most] = [0, 0];
    const agent = defineAgent({
      name: "narrow",
      concurrency: 2,
      run: (ctx) =>
        ctx.step("s", async () => {
          most = Math.max(most, ++now);
          await new Promise((resolve) => setImmediate(resolve));
          now--;
        }),
    });
    const sentient = await fresh({ agents: [agent] });
    const handles = await Promise.all(Array.from({ length: 6 }, () => sentient.start(agent)));
    await Promise.all(handles.map((handle) => handle.result()));
    expect(most).toBeLessThanOrEqual(2);
  });
});

describe("what an agent may do at once", () => {
  const narrow = defineAgent({ name: "narrow", concurrency: 2, run: async () => null });
  const rate = { count: 5, per: 60_000 };
  const limitsOf = async ({ sentient }: { sentient: Sentient }) =>
    (await sentient.limits.list()).map(({ key, concurrency, rate }) => ({ key, concurrency, rate }));

  test("is said to the database by its code, beside what was said of its rate, and goes with it", async () => {
    const first = await freshProcess({ agents: [narrow] });
    await first.sentient.limits.set("agent:narrow", { rate });
    await played(first);
    expect(await limitsOf(first)).toEqual([{ key: "agent:narrow", concurrency: 2, rate }]);
    const wide = defineAgent({ name: "narrow", run: async () => null });
    const second = await processOn(first.db, first.clock, { agents: [wide] });
    await played(second);
    expect(await limitsOf(second)).toEqual([{ key: "agent:narrow", concurrency: undefined, rate }]);
  });

  test("is what somebody has set since, whoever starts again", async () => {
    const first = await freshProcess({ agents: [narrow] });
    await played(first);
    await first.sentient.limits.set("agent:narrow", { concurrency: 50 });
    const second = await processOn(first.db, first.clock, { agents: [narrow] });
    await played(second);
    expect(await limitsOf(second)).toMatchObject([{ concurrency: 50 }]);
  });
});

describe("a task for whoever can do it", () => {
  const able = (name: string, capabilities: string[]) =>
    defineAgent({
      name,
      capabilities,
      input: z.string(),
      run: (ctx, what) => ctx.step("s", () => `${name} ${what}`),
    });

  test("goes to one that can do all of it, in whichever process", async () => {
    const first = await freshProcess({ agents: [able("cook", ["cook"])] });
    const second = await processOn(first.db, first.clock, {
      agents: [able("chef", ["cook", "taste"]), able("critic", ["taste"])],
    });
    await played(second);
    const handle = await first.sentient.start({ capabilities: ["cook", "taste"] }, "soup");
    await played(first);
    await played(second);
    await played(first);
    expect(await handle.result()).toBe("chef soup");
  });

  test("that nobody can do fails, and says what is asked for; nor does one that is paused count", async () => {
    const process = await freshProcess({ agents: [able("cook", ["cook"])] });
    const { sentient } = process;
    await played(process);
    const execute = async (capabilities: string[]) => {
      const handle = await sentient.start({ capabilities }, "soup");
      await played(process);
      return handle.result();
    };
    expect((await failureOf(() => execute(["cook", "fly"]))).message).toContain("cook, fly");
    await sentient.agents.pause("cook");
    expect((await failureOf(() => execute(["cook"]))).message).toContain("paused");
    await sentient.agents.resume("cook");
    expect(await execute(["cook"])).toBe("cook soup"); // control
  });

  test("goes to each as likely, in however many versions it is registered", async () => {
    const agents = ["a", "b", "c"].map((name) => able(name, ["cook"]));
    const newer = defineAgent({ name: "a", version: "2", capabilities: ["cook"], run: async () => "a2" }); // is no other one
    const process = await freshProcess({ agents: [...agents, newer] });
    await played(process);
    const chosen = new Map<string, number>();
    const chance = vi.spyOn(Math, "random");
    try {
      for (const drawn of [0, 0.34, 0.67, 0.99]) {
        chance.mockReturnValue(drawn);
        const handle = await process.sentient.start({ capabilities: ["cook"] }, "x");
        await played(process);
        const [name] = (await handle.result()) as string;
        chosen.set(name!, (chosen.get(name!) ?? 0) + 1);
      }
    } finally {
      chance.mockRestore();
    }
    expect(Object.fromEntries(chosen)).toEqual({ a: 1, b: 1, c: 2 });
  });

  test("goes to who does least at the moment", async () => {
    const hold = [gate(), gate()];
    const asked: string[] = [];
    const busy = (name: string) =>
      defineAgent({
        name,
        capabilities: ["cook"],
        run: (ctx) =>
          ctx.step("s", () => {
            asked.push(name);
            return hold[asked.length - 1]!.pass();
          }),
      });
    const sentient = await fresh({ agents: [busy("one"), busy("other")] });
    const first = await sentient.start({ capabilities: ["cook"] });
    await hold[0]!.reached;
    const second = await sentient.start({ capabilities: ["cook"] });
    await hold[1]!.reached;
    expect(asked.toSorted()).toEqual(["one", "other"]);
    hold.forEach(({ open }) => open());
    await Promise.all([first.result(), second.result()]);
  });

  /** Whom so many tasks went to, none of which is begun. */
  async function chosen(process: Process, tasks: number): Promise<Record<string, number>> {
    const { sentient } = process;
    for (let i = 0; i < tasks; i++) {
      await sentient.start({ capabilities: ["cook"] }, "soup");
      await played(process);
    }
    const { runs } = await sentient.list({ limit: 100 });
    const names = runs.map(({ name }) => name).filter((name) => !name.startsWith("sentient."));
    return Object.fromEntries(
      [...Map.groupBy(names, (name) => name)].map(([name, { length }]) => [name, length]),
    );
  }

  const kitchen = (name: string, concurrency?: number) =>
    defineAgent({
      name,
      capabilities: ["cook"],
      queue: "kitchen",
      ...(concurrency === undefined ? {} : { concurrency }),
      run: async () => null,
    });

  test("goes to nobody whose workers are gone, while there are others", async () => {
    const gone = await freshProcess({ agents: [kitchen("gone")] });
    await played(gone);
    const there = await processOn(gone.db, gone.clock, { agents: [kitchen("there")] });
    await played(there);
    const beat = { id: "w", host: "h", pid: 1, release: "0", slots: 8, running: 0 };
    await there.sentient.state.workers.beat({ ...beat, queues: ["kitchen"], serves: ["there@1"] });
    expect(await chosen(there, 6)).toEqual({ there: 6 });
    await there.clock.advance(60_000); // and nobody is heard of
    const { gone: none = 0, there: some = 0 } = await chosen(there, 20);
    expect(none).toBeGreaterThan(0);
    expect(none + some).toBe(26);
  });

  test("goes to each by what it may do at once, of what waits for it too", async () => {
    const process = await freshProcess({ agents: [kitchen("slow", 2), kitchen("fast", 10)] });
    await played(process);
    for (const [name, concurrency] of Object.entries({ slow: 2, fast: 10 })) {
      const rate = { count: 1, per: 86_400_000 };
      await process.sentient.state.limits.set(`agent:${name}`, { concurrency, rate });
      await process.sentient.start(name, null); // takes the one start of the day: all others wait
    }
    await played(process);
    const { slow = 0, fast = 0 } = await chosen(process, 12);
    expect([slow, fast]).toEqual([1 + 2, 1 + 10]);
  });

  test("is done where nobody serves any other queue than theirs who can, from outside and from a run", async () => {
    const asks = defineWorkflow({
      name: "asks",
      queue: "kitchen",
      run: (ctx) => ctx.call({ capabilities: ["cook"] }, "soup"),
    });
    const process = await freshProcess({ agents: [kitchen("cook")], workflows: [asks] });
    await played(process);
    const { sentient } = process;
    const handles = [await sentient.start({ capabilities: ["cook"] }, "soup"), await sentient.start(asks)];
    const worker = sentient.worker({ queues: ["kitchen"] });
    while ((await worker.tick()) > 0);
    expect(await Promise.all(handles.map((each) => each.status()))).toEqual(["completed", "completed"]);
  });

  test("under one key is done once, by whoever was chosen", async () => {
    const process = await freshProcess({ agents: [able("cook", ["cook"])] });
    await played(process);
    const handle = await process.sentient.start({ capabilities: ["cook"] }, "soup", { key: "dinner" });
    await played(process);
    const again = await process.sentient.start({ capabilities: ["cook"] }, "soup", { key: "dinner" });
    expect(again.id).toBe(handle.id);
    expect(await again.result()).toBe("cook soup");
  });
});

describe("a schedule", () => {
  const report = defineWorkflow({ name: "report", run: async (ctx, input) => [input, ctx.run.tags.length] });

  test("starts a run at each of its times, in whichever process, also after nobody was there", async () => {
    const first = await freshProcess({ workflows: [report] });
    const { sentient } = first;
    await sentient.schedules.put("hourly", report, "now", { cron: "0 * * * *", missed: "all" });
    expect(await played(first)).toBe(0);
    await later(first, 3_600_000);
    await later(await processOn(first.db, first.clock, { workflows: [report] }), 2 * 3_600_000);
    const { runs } = await sentient.list({ name: "report" });
    expect(runs.map(({ status, correlation }) => [status, correlation])).toEqual(
      Array.from({ length: 3 }, () => ["completed", "schedule:hourly"]),
    );
    expect(await sentient.handle(runs[0]!.id).result()).toEqual(["now", 1]);
  });

  test("is paused, resumed and removed; and put again is the same", async () => {
    const process = await freshProcess({ workflows: [report] });
    const { schedules } = process.sentient;
    const options = { cron: "0 * * * *" };
    const { revision } = await schedules.put("hourly", report, null, options);
    expect((await schedules.put("hourly", report, null, options)).revision).toBe(revision);
    await schedules.pause("hourly");
    expect(await later(process, 7_200_000)).toBe(0);
    expect((await schedules.resume("hourly")).nextAt).toBeInstanceOf(Date);
    expect(await later(process, 3_600_000)).toBe(1);
    expect((await schedules.list()).schedules).toHaveLength(1);
    expect([await schedules.remove("hourly"), await schedules.remove("hourly")]).toEqual([true, false]);
    expect(await later(process, 7_200_000)).toBe(0);
  });

  test("of what its agent does not take, or at no time, is refused", async () => {
    const strict = defineAgent({
      name: "strict",
      input: z.object({ day: z.string() }),
      run: async () => null,
    });
    const sentient = await fresh({ agents: [strict], worker: false });
    const put = (input: unknown, cron: string) =>
      codeOf(() => sentient.schedules.put("s", strict, input as never, { cron }));
    expect(await put({ day: 1 }, "0 * * * *")).toBe("agent.invalid_input");
    expect(await put({ day: "x" }, "never")).toBe("state.bad_option");
  });
});
