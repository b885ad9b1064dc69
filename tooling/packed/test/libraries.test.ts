// The libraries, imported by their names where they were installed.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { installed } from "./installed.ts";

const { stranger } = installed();

const DEFINITIONS = `
  import { z } from "zod";
  const add = defineAgent({
    name: "add",
    input: z.array(z.number()),
    run: (ctx, numbers) => ctx.step("add", () => numbers.reduce((sum, each) => sum + each, 0)),
  });
  const twice = defineWorkflow({
    name: "twice",
    run: async (ctx) => {
      await ctx.sleep(10);
      return ctx.call(add, [1, 2]);
    },
  });`;

test("the schema's command writes a migration, applies it, and finds that all agrees", async () => {
  const project = await stranger.emptyFolder("schema");
  await writeFile(
    join(project, "schema.ts"),
    `import { defineTable } from "@sentient/schema";
     import { z } from "zod";
     export const note = defineTable({ name: "note", schema: z.object({ text: z.string().max(9) }) });`,
  );
  const command = (name: string) =>
    stranger.run("sentient-schema", [name], project, { SENTIENT_URL: "rocksdb://./data" });
  expect(await command("generate")).toContain("wrote surql/0001_create_note.surql");
  expect(await command("migrate")).toContain("1 migration applied, nothing left to apply");
  expect(await command("check")).toContain("has these tables");
});

test("the schema brings the runtime's migrations and JSON Schemas along", async () => {
  const said = await stranger.evaluate(`
    import { openDatabase } from "@sentient/db-pool";
    import { check, migrateRuntime, runtimeTables } from "@sentient/schema";
    import run from "@sentient/schema/json/run.json" with { type: "json" };
    await using db = await openDatabase({ url: "mem://" });
    const { applied } = await migrateRuntime(db);
    console.log(applied.length > 0, (await check(db, runtimeTables)).length, run.title);`);
  expect(said).toBe("true 0 run");
});

test("an event goes to who follows, and stays", async () => {
  const said = await stranger.evaluate(`
    import { openDatabase } from "@sentient/db-pool";
    import { createEventBus } from "@sentient/event-bus";
    const db = await openDatabase({ url: "rocksdb://./events" });
    const bus = createEventBus(db);
    const heard = Promise.withResolvers();
    bus.subscribe({ types: "order.*" }, (event) => heard.resolve(event.position));
    const position = await bus.publish({ type: "order.placed", data: { total: 12 } });
    const { events } = await bus.history();
    console.log(position, await heard.promise, events.length, events[0].data.total);
    await bus.close();
    await db.close();`);
  expect(said).toBe("1 1 1 12");
});

test("a run goes from its start to its end", async () => {
  const said = await stranger.evaluate(`
    import { openDatabase } from "@sentient/db-pool";
    import { createEventBus } from "@sentient/event-bus";
    import { createState } from "@sentient/state";
    const db = await openDatabase({ url: "rocksdb://./runs" });
    const bus = createEventBus(db);
    const state = createState(db, bus);
    const { run } = await state.start({ name: "add", input: [1, 2] });
    const [lease] = await state.claim({ worker: "w", serves: [{ name: "add", versions: ["1"] }] });
    await state.commit(lease, { state: { sum: 3 }, checkpoint: { name: "added" } });
    await state.commit(lease, { state: { sum: 4 }, end: { complete: lease.run.input[0] + lease.run.input[1] } });
    await state.schedules.put("nightly", { kind: "task", name: "add", input: [], cron: "0 3 * * *", timeZone: "Europe/Berlin" });
    const fork = await state.fork(run.id, { checkpoint: "added" });
    console.log((await state.load(run.id)).output, JSON.stringify(await state.stateAt(fork.run.id)));
    await bus.close();
    await db.close();`);
  expect(said).toBe('3 {"sum":3}');
});

test("an agent and a workflow run on a folder", async () => {
  const said = await stranger.evaluate(`
    import { createSentient, defineAgent, defineWorkflow } from "@sentient/agent-core";
    ${DEFINITIONS}
    await using sentient = await createSentient({ url: "rocksdb://./agents", agents: [add], workflows: [twice] });
    console.log(JSON.stringify(await sentient.execute(twice)));`);
  expect(said).toBe("3");
});

test("the kit for tests needs nothing besides", async () => {
  const said = await stranger.evaluate(`
    import { defineAgent, defineWorkflow, replayCheck } from "@sentient/agent-core";
    import { createTestSentient } from "@sentient/agent-core/testing";
    ${DEFINITIONS}
    await using sentient = await createTestSentient({ agents: [add], workflows: [twice] });
    sentient.crashAt("add");
    const handle = await sentient.start(twice);
    console.log(JSON.stringify(await handle.result()), sentient.effects("add").length);
    const { runs } = await replayCheck([add, twice], [sentient.state.export(handle.id)]);
    console.log(runs.map(({ result }) => result).join(" "));`);
  expect(said).toBe("3 2\nok ok");
});

test("an agent thinks with tools, is held to a budget, and remembers", async () => {
  const said = await stranger.evaluate(`
    import { createSentient } from "@sentient/agent-core";
    import { createBudgets, defineAssistant, defineTool, memoryTools } from "@sentient/ai";
    import { createMemory, localEmbedder } from "@sentient/ai/memory";
    import { scripted } from "@sentient/ai/testing";
    import { openDatabase } from "@sentient/db-pool";
    import { z } from "zod";
    const db = await openDatabase({ url: "rocksdb://./minds" });
    const memory = createMemory(db, { embedder: localEmbedder() });
    await memory.migrate();
    const budgets = await createBudgets(db);
    const double = defineTool({
      name: "double", description: "doubles", effect: "write",
      input: z.object({ n: z.number() }), run: ({ n }) => n * 2,
    });
    const model = scripted([
      { calls: [{ name: "double", args: { n: 4 } }, { name: "remember", args: { text: "The number is four." } }] },
      "eight",
    ]);
    const helper = defineAssistant({
      name: "helper", model, memory, tools: [double, ...memoryTools(memory)], meter: budgets.meter({ calls: 2 }),
    });
    const sentient = await createSentient({ database: db, agents: [helper] });
    const handle = await sentient.start(helper, { prompt: "go", thread: "t" });
    const { text } = await handle.result();
    const [hit] = await memory.search({ query: "which number" });
    console.log(text, hit.text, (await budgets.of(handle.id)).used.calls, (await memory.messages("t")).length);
    await sentient.close();
    await db.close();`);
  expect(said).toBe("eight The number is four. 2 4");
});
