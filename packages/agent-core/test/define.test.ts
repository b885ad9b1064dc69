// What a definition is: frozen, checked, and a boundary on each side of its handler.

import { describe, expect, test } from "vitest";
import { z } from "zod";
import { createSentient, defineAgent, defineWorkflow } from "../src/index.ts";
import { codeOf, failureOf, fresh, freshDatabase } from "./support/fresh.ts";

const run = async () => null;

describe("a definition", () => {
  test("is frozen, with what lies in it", () => {
    const agent = defineAgent({
      name: "a",
      capabilities: ["search"],
      compatible: ["0"],
      retry: { attempts: 2 },
      signals: { go: z.string() },
      run,
    });
    const parts: object[] = [
      agent,
      agent.capabilities,
      agent.compatible,
      agent.secrets,
      agent.retry,
      agent.schemas,
      agent.schemas.signals,
    ];
    expect(parts.filter((part) => !Object.isFrozen(part))).toEqual([]);
    expect(agent).toMatchObject({ kind: "task", version: "1", queue: "default" });
    expect(agent.retry).toEqual({ attempts: 2, delay: 500, factor: 2, maxDelay: 60_000 });
  });

  test("is the same whatever becomes of the options it was made of", () => {
    const options = { name: "a", capabilities: ["search"], run };
    const agent = defineAgent(options);
    options.name = "b";
    options.capabilities.push("write");
    expect(agent).toMatchObject({ name: "a", capabilities: ["search"] });
  });

  test.each([
    ["no name", { run }, "name"],
    ["a name that is none", { name: "no spaces", run }, "name"],
    ["no handler", { name: "a" }, "run"],
    ["a handler that is none", { name: "a", run: "later" }, "run"],
    ["an option that is not known", { name: "a", run, timout: 5 }, "timout"],
    ["a schema that is none of zod's", { name: "a", run, input: {} }, "input"],
    ["a signal with a schema that is none", { name: "a", run, signals: { go: "string" } }, "signals.go"],
    ["no attempt at all", { name: "a", run, retry: { attempts: 0 } }, "retry.attempts"],
    ["a policy that is not known", { name: "a", run, retry: { tries: 3 } }, "retry"],
    ["room for no run", { name: "a", run, concurrency: 0 }, "concurrency"],
    ["no time", { name: "a", run, timeout: 0 }, "timeout"],
    ["a state that does not begin with {}", { name: "a", run, state: z.object({ n: z.int() }) }, "defaults"],
    [
      "a state that begins with what is no JSON",
      { name: "a", run, state: z.object({ at: z.date().default(new Date(0)) }) },
      "Date",
    ],
  ])("with %s is refused, and says where", async (_, options, where) => {
    const error = await failureOf(() => defineAgent(options as never));
    expect(error).toMatchObject({ code: "agent.bad_definition" });
    expect(error.message).toContain(where);
  });

  test("of the version `hash` has another one once its code is another", () => {
    const versionOf = (handler: () => Promise<unknown>) =>
      defineAgent({ name: "a", version: "hash", run: handler }).version;
    expect(versionOf(async () => 1)).toBe(versionOf(async () => 1));
    expect(versionOf(async () => 1)).not.toBe(versionOf(async () => 2));
  });
});

describe("a runtime", () => {
  test("refuses two of one name and version, and what is no definition", async () => {
    const database = await freshDatabase();
    const one = defineAgent({ name: "a", run });
    const other = defineWorkflow({ name: "a", version: "2", compatible: ["1"], run });
    const codeWith = (agents: unknown[]) =>
      codeOf(() => createSentient({ database, agents: agents as never, worker: false }));
    expect(await codeWith([one, other])).toBe("agent.bad_option");
    expect(await codeWith([{ name: "a", run }])).toBe("agent.bad_option");
    await fresh({ agents: [one, defineAgent({ name: "a", version: "2", run })] }); // is well
  });
});

describe("what a handler takes and gives", () => {
  const double = defineAgent({
    name: "double",
    input: z.object({ n: z.number(), times: z.number().default(2) }),
    output: z.object({ n: z.number() }),
    run: async (_, { n, times }) => ({ n: n * times, besides: "not of the schema" }),
  });

  test("fits its schemas: defaults are filled in, and what is not in them is left out", async () => {
    const sentient = await fresh({ agents: [double] });
    expect(await sentient.execute(double, { n: 3 })).toEqual({ n: 6 });
    expect(await sentient.execute("double", { n: 3, times: 3 })).toEqual({ n: 9 });
  });

  test("is refused at the start where it does not fit, and no run is begun", async () => {
    const sentient = await fresh({ agents: [double] });
    const start = () => sentient.start(double, { n: "three" } as never);
    expect(await failureOf(start)).toMatchObject({
      code: "agent.invalid_input",
      details: { name: "double" },
    });
    expect((await failureOf(start)).message).toContain("n:");
    expect(await codeOf(() => sentient.start("double", { n: "three" }))).toBe("agent.invalid_input");
    expect((await sentient.list()).runs).toEqual([]);
  });

  test("fails the run where it gives what does not fit, or what is no JSON, or too much of it", async () => {
    const wrong = defineAgent({ name: "wrong", output: z.number(), run: async () => "one" as never });
    const map = defineAgent({ name: "map", run: async () => new Map() });
    const large = defineAgent({ name: "large", run: async () => "x".repeat(1_100_000) });
    const sentient = await fresh({ agents: [wrong, map, large] });
    expect(await codeOf(() => sentient.execute(wrong))).toBe("agent.invalid_output");
    expect(await failureOf(() => sentient.execute(map))).toMatchObject({
      name: "NonRetryable",
      message: expect.stringContaining("Map") as string,
    });
    expect(await codeOf(() => sentient.execute(large))).toBe("schema.limit");
  });

  test("may be nothing, where the schema says so", async () => {
    const lax = defineAgent({
      name: "lax",
      input: z.string().default("nobody"),
      run: async (_, name) => name,
    });
    const nullable = defineAgent({ name: "nullable", input: z.null(), run: async (_, input) => input });
    const free = defineAgent({ name: "free", run: async (_, input) => [input] });
    const sentient = await fresh({ agents: [lax, nullable, free] });
    expect(await sentient.execute(lax)).toBe("nobody");
    expect(await sentient.execute("lax")).toBe("nobody");
    expect(await sentient.execute(nullable, null)).toBeNull();
    expect(await sentient.execute(free)).toEqual([null]);
  });
});
