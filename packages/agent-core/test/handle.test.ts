// What anybody can ask of a run by its id, in whichever process it is advanced.

import { describe, expect, test } from "vitest";
import { z } from "zod";
import { AgentError, defineAgent, RememberedError, type StreamItem } from "../src/index.ts";
import {
  failureOf,
  codeOf,
  fresh,
  freshDatabase,
  freshProcess,
  gate,
  played,
  sentientOn,
} from "./support/fresh.ts";

const say = defineAgent({
  name: "say",
  input: z.array(z.string()),
  run: (ctx, words) =>
    ctx.step("say", ({ chunk }) => {
      for (const word of words) chunk(word);
      return words.join(" ");
    }),
});

/** A run that waits, held by one process and asked for by another. */
async function waitingRun() {
  const hold = gate<string>();
  const agent = defineAgent({
    name: "waits",
    run: (ctx) =>
      ctx.step("waits", async ({ chunk }) => {
        chunk("begun");
        const said = await hold.pass();
        chunk(said);
        return said;
      }),
  });
  const db = await freshDatabase();
  const owner = await sentientOn(db, { agents: [agent] });
  const asker = await sentientOn(db, { worker: false });
  const handle = await owner.start(agent);
  await hold.reached;
  return { id: handle.id, owner, asker, hold, handle };
}

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe("a handle", () => {
  test("hears by whom a run was cancelled, and why, whether somebody works on it or not", async () => {
    const { handle: held, asker } = await waitingRun();
    const queued = await asker.start("unserved");
    for (const { id } of [held, queued]) {
      await asker.cancel(id, { by: "ada", reason: "enough" });
      expect(await failureOf(() => asker.handle(id).result())).toMatchObject({
        message: `the run ${id} was cancelled by ada: enough`,
        details: { run: id, by: "ada" },
      });
      const { events } = await asker.events.history({ run: id, types: ["run.cancelled"] });
      expect(events).toMatchObject([{ data: { by: "ada", reason: "enough" } }]);
    }
  });

  test("waits for the end of a run that another process advances, and of one that is over", async () => {
    const { id, asker, hold, handle } = await waitingRun();
    const results = [asker.handle(id).result(), asker.handle(id).result(), handle.result()];
    expect(await asker.handle(id).status()).toBe("running");
    hold.open("said");
    expect(await Promise.all(results)).toEqual(["said", "said", "said"]);
    expect(await asker.handle(id).result()).toBe("said");
    expect(await asker.handle(id).run()).toMatchObject({ status: "completed", output: "said" });
  });

  test("gives up waiting at its time or when it is told to, and the run goes on", async () => {
    const { id, asker, hold } = await waitingRun();
    expect(await failureOf(() => asker.handle(id).result({ timeout: 20 }))).toMatchObject({
      code: "agent.result_timeout",
      message: expect.stringMatching(/ms \(the worker \S+ holds it/) as string,
      details: { run: id, timeout: 20 },
    });
    const stop = new AbortController();
    const waiting = asker.handle(id).result({ signal: stop.signal });
    const reason = new Error("not interested");
    stop.abort(reason);
    expect(await failureOf(() => waiting)).toBe(reason);
    expect(await failureOf(() => asker.handle(id).result({ signal: stop.signal }))).toBe(reason);
    hold.open("on");
    expect(await asker.handle(id).result()).toBe("on");
  });

  test("of no run says so, whatever it is asked", async () => {
    const sentient = await fresh();
    const handle = sentient.handle("nothing");
    expect(await codeOf(() => handle.result())).toBe("state.not_found");
    expect(await codeOf(() => handle.status())).toBe("state.not_found");
    expect(await codeOf(() => collected(handle.chunks()))).toBe("state.not_found");
  });

  test("tells of a run that is parked meanwhile, and goes on to wait once it is resumed", async () => {
    const db = await freshDatabase();
    const hold = gate();
    let isBroken = true;
    const agent = defineAgent({
      name: "stuck",
      retry: { attempts: 1 },
      run: async (ctx) => {
        ctx.compensate("undo", () => {
          if (isBroken) throw new Error("not now");
        });
        await ctx.step("s", hold.pass);
        throw new Error("undone");
      },
    });
    const owner = await sentientOn(db, { agents: [agent] });
    const asker = await sentientOn(db, { worker: false });
    const { id } = await owner.start(agent);
    const waiting = asker.handle(id).result();
    hold.open();
    expect(await failureOf(() => waiting)).toMatchObject({
      code: "agent.run_parked",
      message: expect.stringContaining("not now") as string,
    });
    isBroken = false;
    await asker.resume(id);
    expect(await failureOf(() => asker.handle(id).result())).toMatchObject({ message: "undone" });
  });
});

describe("the error of a result", () => {
  test("is what the run failed with, which can be told from what the runtime has to say", async () => {
    const agent = defineAgent({
      name: "fails",
      retry: { attempts: 1 },
      run: async () => {
        throw Object.assign(new TypeError("no such thing"), { code: "shop.missing" });
      },
    });
    const sentient = await fresh({ agents: [agent] });
    const error = await failureOf(() => sentient.execute(agent));
    expect(error).toBeInstanceOf(RememberedError);
    expect(error).not.toBeInstanceOf(AgentError);
    expect(error).toMatchObject({ name: "TypeError", message: "no such thing", code: "shop.missing" });
    expect(error.stack).toContain("handle.test.ts");
  });

  test("keeps its bounds and its shape, whatever was thrown", async () => {
    const thrown: unknown[] = [
      "a text",
      undefined,
      { code: 7 },
      new Error("x".repeat(100_000)),
      Symbol("s"),
      null,
    ];
    const agent = defineAgent({
      name: "throws",
      input: z.int(),
      run: async (_, n) => {
        throw thrown[n];
      },
    });
    const sentient = await fresh({ agents: [agent] });
    for (const n of thrown.keys()) {
      const error = await failureOf(() => sentient.execute(agent, n));
      expect(error).toBeInstanceOf(RememberedError);
      expect(error.message.length).toBeLessThan(5_000);
    }
  });
});

describe("events and chunks", () => {
  test("come as they happen, from the beginning or from where one was, in another process, until the run is over", async () => {
    const { id, asker, hold } = await waitingRun();
    const events = collected(asker.handle(id).events());
    const chunks = collected(asker.handle(id).chunks());
    hold.open("more");
    const told = await events;
    expect(told.map(({ type }) => type)).toEqual(
      expect.arrayContaining(["run.queued", "run.started", "step.completed", "run.completed"]),
    );
    const data = (await chunks).flatMap((chunk) => (chunk.kind === "data" ? [chunk.data] : []));
    expect(data).toEqual(["begun", "more"]);
    const after = told.at(-2)!.position;
    expect((await collected(asker.handle(id).events({ after }))).map(({ type }) => type)).toEqual([
      "run.completed",
    ]);
    expect(await collected(asker.handle(id).events({ after: told.at(-1)!.position }))).toEqual([]);
    const later = await collected(asker.handle(id).chunks({ after: 1 }));
    expect(later.map(({ n, kind }) => [n, kind])).toEqual([
      [2, "data"],
      [3, "end"],
    ]);
  });

  test("end when one has heard enough, or says so", async () => {
    const { id, asker, hold } = await waitingRun();
    for await (const { type } of asker.handle(id).events()) if (type === "run.started") break;
    const stop = new AbortController();
    const heard: StreamItem[] = [];
    for await (const item of asker.handle(id).stream({ signal: stop.signal })) {
      heard.push(item);
      if (item.type === "chunk") stop.abort();
    }
    expect(heard.at(-1)).toMatchObject({ type: "chunk", chunk: { data: "begun" } });
    hold.open("control: it does go on");
    expect(await asker.handle(id).result()).toBe("control: it does go on");
  });

  test("come together where a run is streamed from its start", async () => {
    const sentient = await fresh({ agents: [say] });
    const items = await collected(sentient.stream(say, ["to", "be"]));
    expect(items.flatMap((item) => (item.type === "event" ? [item.event.type] : []))).toEqual([
      "run.queued",
      "run.started",
      "step.completed",
      "run.completed",
    ]);
    expect(items.flatMap((item) => (item.type === "chunk" ? [item.chunk.kind] : []))).toEqual([
      "data",
      "data",
      "end",
    ]);
  });
});

describe("a key", () => {
  test("means one run, whoever says it and however often", async () => {
    const { sentient, ...process } = await freshProcess({ agents: [say] });
    const start = (words: string[]) => sentient.start(say, words, { key: "order-1" });
    const handles = await Promise.all([start(["a"]), start(["a"]), start(["a"])]);
    expect(new Set(handles.map(({ id }) => id)).size).toBe(1);
    await played({ sentient, ...process });
    expect(await (await start(["a"])).result()).toBe("a");
    expect(await codeOf(() => start(["b"]))).toBe("state.run_conflict");
    expect((await sentient.start(say, ["a"], { key: "order-2" })).id).not.toBe(handles[0].id); // control
    expect((await sentient.list()).runs).toHaveLength(2);
  });
});

describe("a runtime that is closed", () => {
  test("starts nothing, and hands over what it held", async () => {
    const { id, owner, asker } = await waitingRun();
    await owner.close();
    await owner.close(); // once more is well
    expect(await codeOf(() => owner.start("waits"))).toBe("agent.closed");
    expect(await asker.get(id)).toMatchObject({ status: "queued", attempts: 0 });
  });
});
