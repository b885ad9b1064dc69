// An unmodified MCP client, that of the official SDK, and a runtime that is served to it.

import { Client, StreamableHTTPClientTransport, type CallToolResult } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { spawnChild, until } from "@sentient/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Permission } from "../src/mcp/index.ts";
import { shortened } from "../src/mcp/shortened.ts";
import { programOf } from "./support/notes.ts";

const SERVED = new URL("./fixtures/served-by-mcp.ts", import.meta.url);
const TOKEN = "sesame";
const READ = [
  "agents_list",
  "events_history",
  "question_show",
  "questions_list",
  "run_result",
  "run_show",
  "runs_list",
];
const WRITE = ["run_cancel", "run_pause", "run_resume", "run_signal", "run_start"];

type Mode = "legacy" | "auto";
type Connect = (allow?: readonly Permission[], mode?: Mode) => Promise<Client>;

const clientOf = (mode: Mode) =>
  new Client({ name: "any client", version: "7" }, { versionNegotiation: { mode } });

const byStdio: Connect = async (allow = ["read"], mode = "legacy") => {
  const client = clientOf(mode);
  onTestFinished(() => client.close());
  const program = programOf(SERVED, { ALLOW: allow.join() });
  await client.connect(new StdioClientTransport(program));
  return client;
};

async function servedByHttp(allow: readonly Permission[] = ["read"]): Promise<string> {
  const child = spawnChild(SERVED, {
    env: { ALLOW: allow.join(), TOKEN },
  });
  onTestFinished(() => child[Symbol.asyncDispose]());
  return (await child.message<{ url: string }>(({ url }) => url !== undefined)).url;
}

const byHttp: Connect = async (allow, mode = "legacy") => {
  const client = clientOf(mode);
  onTestFinished(() => client.close());
  const headers = { authorization: `Bearer ${TOKEN}` };
  const url = new URL(await servedByHttp(allow));
  await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers } }));
  return client;
};

function dataOf({ content, structuredContent, isError }: CallToolResult): unknown {
  const [piece] = content;
  const data: unknown = piece?.type === "text" ? JSON.parse(piece.text) : undefined;
  if (!isError) expect(structuredContent).toEqual(data); // for the model and for the program the same
  return data;
}

const caller =
  (client: Client) =>
  async (name: string, args: Record<string, unknown> = {}): Promise<Record<string, never>> =>
    dataOf(await client.callTool({ name, arguments: args })) as Record<string, never>;

const ways = [
  ["by stdio", byStdio, "legacy"],
  ["by stdio, in the newest protocol", byStdio, "auto"],
  ["by HTTP", byHttp, "legacy"],
  ["by HTTP, in the newest protocol", byHttp, "auto"],
] as const;

describe.each(ways)("%s", (_, connect, mode) => {
  test("a client lists what there is, and may look", async () => {
    const client = await connect(undefined, mode);
    expect(client.getProtocolEra()).toBe(mode === "auto" ? "modern" : "legacy");
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name).toSorted()).toEqual(READ);
    expect(tools.filter(({ annotations }) => !annotations?.readOnlyHint)).toEqual([]);
    expect(tools.find(({ name }) => name === "run_show")!.inputSchema).toMatchObject({ required: ["run"] });

    const call = caller(client);
    expect(await call("agents_list")).toMatchObject({
      agents: expect.arrayContaining([
        expect.objectContaining({ name: "hello", description: "greets somebody" }),
      ]),
    });
    expect(await call("runs_list", { status: ["completed"] })).toMatchObject({
      runs: [{ id: "r-first", name: "hello" }],
    });
    expect(await call("run_show", { run: "r-first" })).toMatchObject({
      run: { status: "completed", input: { to: "Ada" }, output: "Hello, Ada!" },
      steps: [{ key: "main/greet#1", status: "completed" }],
    });
    expect(await call("events_history", { run: "r-first", limit: 2 })).toMatchObject({
      events: [{ type: "run.completed" }, {}],
      next: expect.any(Number),
    });
    expect(await call("run_show", { run: "r-none" })).toMatchObject({ error: { code: "state.not_found" } });
    const { contents } = await client.readResource({ uri: "sentient://runs/r-first" });
    expect(JSON.parse((contents[0] as { text: string }).text)).toMatchObject({ run: { id: "r-first" } });
  });

  test("one that may starts a run, waits for it, and steers others", async () => {
    const client = await connect(["read", "write"], mode);
    const call = caller(client);
    const start = { name: "hello", input: { to: "Grace" }, key: "g" };
    const { run } = await call("run_start", start);
    expect(await call("run_start", start)).toEqual({ run });
    expect(await call("run_result", { run: run! })).toEqual({
      run,
      status: "completed",
      isOver: true,
      output: "Hello, Grace!",
    });
    const broken = await call("run_start", { name: "fails", input: null });
    expect(await call("run_result", broken)).toMatchObject({
      status: "failed",
      error: { message: "it is broken" },
    });
    expect(await call("run_start", { name: "hello", input: { to: 7 } })).toMatchObject({
      error: { code: "agent.invalid_input" },
    });
    const trip = await call("run_start", { name: "trip", input: null });
    expect(await call("run_result", { ...trip, timeoutMs: 300 })).toMatchObject({ isOver: false });
    await until(async () => (await call("run_show", trip)).run!["status"] === "waiting");
    expect(await call("run_pause", { ...trip, reason: "rain" })).toMatchObject({ status: "paused" });
    expect(await call("events_history", { ...trip, types: ["run.paused"] })).toMatchObject({
      events: [{ data: { reason: "rain", by: byOf(connect, mode) } }],
    });
    expect(await call("run_resume", trip)).toMatchObject({ isOver: false });
    expect(await call("run_cancel", trip)).toMatchObject({ run: expect.any(String) });
    expect(await call("run_result", trip)).toMatchObject({ status: "cancelled", isOver: true });
  });
});

/** Who speaks the old protocol by HTTP says who it is once, and this server remembers nobody. */
const byOf = (connect: Connect, mode: Mode) =>
  connect === byHttp && mode === "legacy" ? "mcp:somebody" : "mcp:any client";

describe("what a client may", () => {
  test("is what is allowed: to start is not to answer", async () => {
    const client = await byStdio(["read", "write"]);
    expect((await client.listTools()).tools.map(({ name }) => name).toSorted()).toEqual(
      [...READ, ...WRITE].toSorted(),
    );
    const answer = { run: "r-first", key: "main/pay#1", answer: true };
    await expect(client.callTool({ name: "question_answer", arguments: answer })).rejects.toThrow(
      /question_answer/,
    );
  });

  test("to answer, too, and then it is said that an MCP client did", async () => {
    const call = caller(await byStdio(["read", "write", "answer"]));
    const trip = await call("run_start", { name: "trip", input: null });
    const [question] = await until(async () => {
      const { questions } = (await call("questions_list", trip)) as unknown as {
        questions: { key: string }[];
      };
      return questions.length > 0 && questions;
    });
    expect(question).toMatchObject({ ...trip, text: "Pay 12 EUR?" });
    const { key } = question!;
    expect(await call("question_answer", { ...trip, key, answer: "perhaps" })).toMatchObject({
      error: { code: "state.invalid_answer" },
    });
    await call("question_answer", { ...trip, key, answer: true });
    await call("run_signal", { ...trip, name: "receipt", data: { no: 7 } });
    expect(await call("run_result", trip)).toMatchObject({
      output: { value: true, by: "mcp:any client", receipt: { no: 7 } },
    });
  });

  test("to answer what a tool may do, whose schema says what it is bound to, however long its text is", async () => {
    const call = caller(await byStdio(["read", "write", "answer"]));
    const { run } = await call("run_start", { name: "drops", input: null });
    const found = async () =>
      ((await call("questions_list", { run })) as unknown as { questions: { key: string }[] }).questions;
    const [{ key }] = (await until(async () => {
      const questions = await found();
      return questions.length > 0 && questions;
    })) as [{ key: string }];
    const { schema, text } = (await call("question_show", { run, key })) as unknown as {
      text: string;
      schema: { properties: { binding: { const: string } } };
    };
    const { const: binding } = schema.properties.binding;
    expect(text).toMatch(new RegExp(`Answer with the binding ${binding}\\.$`));
    await call("question_answer", { run, key, answer: { approve: false, binding } });
    expect(await call("run_result", { run: run! })).toMatchObject({ output: "so be it" });
    expect(await call("question_show", { run, key })).toMatchObject({
      status: "answered",
      answeredBy: "mcp:any client",
    });
    expect(await call("question_show", { run, key: "main/none#1" })).toMatchObject({
      error: { code: "state.not_found" },
    });
  });

  test("is all agents there are, page after page", async () => {
    const call = caller(await byStdio());
    const names: string[] = [];
    let after: string | undefined;
    do {
      const page = (await call("agents_list", { limit: 2, ...(after ? { after } : {}) })) as unknown as {
        agents: { name: string }[];
        next?: string;
      };
      expect(page.agents.length).toBeLessThanOrEqual(2);
      names.push(...page.agents.map(({ name }) => name));
      after = page.next;
    } while (after !== undefined);
    const { agents } = (await call("agents_list")) as unknown as { agents: { name: string }[] };
    expect(names).toEqual(agents.map(({ name }) => name));
    expect(names.length).toBeGreaterThan(4);
  });

  test("is what is told of it, no more than a model can read", async () => {
    const client = await byStdio(["read", "write"]);
    const call = caller(client);
    const long = await call("run_start", { name: "long", input: null });
    const { output } = (await call("run_result", long)) as unknown as { output: string };
    expect(output.length).toBeLessThan(64 * 1024);
    expect(output).toMatch(/… \[cut: 500000 characters in all\]$/);
    const shown = await call("run_show", long);
    expect(JSON.stringify(shown).length).toBeLessThan(64 * 1024);
    expect(shown).toMatchObject({ run: { status: "completed" } });
  });
});

describe("by HTTP nobody is served", () => {
  test("who does not know the token, comes from a page, or asks for another host", async () => {
    const url = await servedByHttp();
    const ask = (headers: Record<string, string>) =>
      fetch(url, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: "{}" });
    const authorization = `Bearer ${TOKEN}`;
    expect((await ask({})).status).toBe(401);
    expect((await ask({ authorization: "Bearer sesam" })).status).toBe(401);
    expect((await ask({ authorization, origin: "https://evil.example" })).status).toBe(403);
    expect((await ask({ authorization })).status).not.toBe(401);
    expect((await fetch(new URL("/", url), { headers: { authorization } })).status).toBe(404);
  });
});

test("what is long is shortened where it is long, and all else is kept", () => {
  const given = { a: 1, b: "x".repeat(1_000), c: [1, 2, "y".repeat(1_000), 3] };
  const shown = shortened(given, 300) as typeof given;
  expect(shown.a).toBe(1);
  expect(shown.b).toMatch(/^x{50,200}… \[cut: 1000 characters in all\]$/);
  expect(shown.c.slice(0, 2)).toEqual([1, 2]);
  expect(JSON.stringify(shown).length).toBeLessThan(600);
  expect(shortened(given, 10_000)).toBe(given);
});
