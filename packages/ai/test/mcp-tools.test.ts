// Tools of MCP servers: the servers are programs written with the official SDK, in processes of their own.

import { join } from "node:path";
import { createSentient } from "@sentient/agent-core";
import { until } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import type { Json } from "@sentient/schema";
import type { McpTools } from "../src/mcp/index.ts";
import { toolName } from "../src/mcp/names.ts";
import { agentOf, once, testSentient, toolEvents, type Talk } from "./support/assistants.ts";
import { forgetfulServer } from "./support/forgetful.ts";
import { folder, isAlive, notes, notesByHttp, programOf, toolsOf, type Entry } from "./support/notes.ts";

const PAGED = new URL("./fixtures/paged-server.ts", import.meta.url);
const ODD = new URL("./fixtures/odd-server.ts", import.meta.url);
const MUTE = new URL("./fixtures/mute-server.ts", import.meta.url);

/** What an agent's model hears of one use of a tool. */
async function used({ tools }: Pick<McpTools, "tools">, name: string, args: Json = {}): Promise<string> {
  const { agent } = agentOf(tools, once(name, args));
  const sentient = await testSentient({ agents: [agent], answers: {} });
  return ((await sentient.execute(agent)) as unknown as Talk).text;
}

/** In real time: a server waits for nobody's clock. */
async function expectCancelReaches(tools: McpTools["tools"], ledger: () => Entry[]): Promise<void> {
  const { agent } = agentOf(tools, once("hang", {}));
  await using sentient = await createSentient({ url: "mem://", agents: [agent] });
  const handle = await sentient.start(agent);
  await until(() => ledger().some(({ did }) => did === "hang"));
  const asked = Date.now();
  await sentient.cancel(handle.id);
  await until(() => ledger().some(({ was }) => was === "cancelled"));
  console.log(`the server heard of the cancel within ${Date.now() - asked} ms`);
  await expect(handle.result()).rejects.toMatchObject({ code: "agent.run_cancelled" });
}

const toolOf = ({ tools }: Pick<McpTools, "tools">, name: string) =>
  tools.find((tool) => tool.name === name)!;

describe("what a server offers", () => {
  test("is there under names that models accept, with its schema, and with the effect that it says it has", async () => {
    const server = await notes();
    expect(server.server).toMatchObject({ name: "notes", version: "1.2.3" });
    expect(server.instructions).toBe("Write short notes.");
    expect(server.tools.map(({ name, effect }) => `${name} ${effect}`).toSorted()).toEqual(
      [
        "die write",
        "die-once read",
        "dump write",
        "env read",
        "erase danger",
        "fail write",
        "hang write",
        "notes_append write",
        "notes_count read",
        "picture read",
        "say read",
        "vague danger",
      ].toSorted(),
    );
    expect(toolOf(server, "notes_append")).toMatchObject({
      description: "Appends a note.",
      input: { type: "object", properties: { text: { type: "string" } }, required: ["text"] },
    });
  });

  test("is chosen, renamed and judged by whoever uses it", async () => {
    const { tools } = await notes({
      only: ["notes.append", "erase"],
      prefix: "my_",
      effect: ({ name }) => (name === "erase" ? "write" : "danger"),
    });
    expect(tools.map(({ name, effect }) => [name, effect])).toEqual([
      ["my_notes_append", "danger"],
      ["my_erase", "write"],
    ]);
    await expect(notes({ only: ["nothing"] })).rejects.toMatchObject({ code: "ai.bad_option" });
  });

  test("is all of its pages", async () => {
    const { tools } = await toolsOf(programOf(PAGED));
    expect(tools.map(({ name }) => name)).toEqual(["a", "b", "c", "d", "e"]);
  });

  test("that would have one name for two is refused by the names of both", async () => {
    await expect(toolsOf(programOf(PAGED, { NAMES: "a.b a/b" }))).rejects.toMatchObject({
      code: "ai.tool_name_clash",
      details: { name: "a_b", tools: ["a.b", "a/b"] },
    });
  });

  test("has a name of at most 64 letters, another one for each", () => {
    const long = `${"x".repeat(80)}.`;
    expect(toolName("a.b/c d:é")).toBe("a_b_c_d__");
    expect(toolName(`${long}1`)).toMatch(/^x{55}_[0-9a-f]{8}$/);
    expect(toolName(`${long}1`)).not.toBe(toolName(`${long}2`));
    expect(toolName("a", "p.")).toBe("p_a");
  });

  test("is not there where the server is not, which is said", async () => {
    await expect(toolsOf({ command: "sentient-no-such-program" })).rejects.toMatchObject({
      code: "ai.mcp_unreachable",
      message: expect.stringContaining("sentient-no-such-program"),
    });
    await expect(toolsOf({ url: "http://127.0.0.1:9/mcp" })).rejects.toMatchObject({
      code: "ai.mcp_unreachable",
    });
  });

  test("is not there where its program ends, which has said why, and no secret", async () => {
    const mute = toolsOf(programOf(MUTE, { NOTES_TOKEN: "hunter2-hunter2" }));
    const { message } = await mute.then(
      () => new Error("it is there"),
      (error: Error) => error,
    );
    expect(message).toContain("GITHUB_TOKEN is missing; NOTES_TOKEN is [redacted]; nothing was asked of it");
    expect(message.length).toBeLessThan(1_500);
  });
});

describe("what a server answers", () => {
  test("is text, or data where there is some, or pieces", async () => {
    const server = await notes();
    expect(await used(server, "notes_append", { text: "milk" })).toBe('it gave "appended milk"');
    expect(await used(server, "notes_count")).toBe('it gave {"count":3}');
    expect(await used(server, "picture")).toContain('{"data":"AAAA","mimeType":"image/png","type":"image"}');
  });

  test("is bounded", async () => {
    const server = await notes({ maxOutput: 100 });
    const heard = await used(server, "say", { length: 10_000 });
    expect(heard.length).toBeLessThan(200);
    expect(heard).toContain("[cut: 10000 characters in all]");
  });

  test("is not listened to any longer where there is no end to it", async () => {
    const byHttp = await notesByHttp();
    const length = 100 * 1024 * 1024;
    for (const server of [
      await notes(),
      await toolsOf({ url: byHttp.url, headers: { "x-key": "sesame" } }),
    ]) {
      expect(await used(server, "say", { length })).toContain("say was asked for and cut off");
      expect(await used(server, "say", { length: 3 })).toBe('it gave "xxx"');
    }
  });

  test("is of what changes something never a reason to ask again: it was done, and the model hears that", async () => {
    const server = await notes();
    const heard = await used(server, "dump", { length: 130_000 });
    expect(heard).toContain("it was done; what it gave has 130010 bytes, and 65536 is the most");
    expect(heard.length).toBeLessThan(65_536);
    expect(server.did()).toEqual(["start", "dump"]);
    const odd = await notes({}, ODD);
    expect(await used(odd, "misfit")).toBe('it gave {"n":"many"}');
    expect(await used(odd, "misfit-read")).toMatch(/misfit-read failed: .*schema/);
    expect(odd.did()).toEqual(["misfit", "misfit-read"]);
  });

  test("is of what changes something unknown where it cannot be read, and else an error", async () => {
    const odd = await notes({}, ODD);
    expect(await used(odd, "garbled-read")).toContain("garbled-read failed:");
    const { agent } = agentOf(odd.tools, once("garbled", {}));
    const sentient = await testSentient({
      agents: [agent],
      answers: { "outcome:garbled": { done: true, output: "somebody looked" } },
    });
    expect(await sentient.execute(agent)).toMatchObject({ text: 'it gave "somebody looked"' });
    expect(odd.did()).toEqual(["garbled-read", "garbled"]);
  });

  test("is an error that the model hears, once, if that is what it is", async () => {
    const server = await notes();
    expect(await used(server, "fail")).toContain("fail failed: the disk is full");
    expect(server.did()).toEqual(["start", "fail"]);
    expect(await used(server, "notes_append", { text: 7 })).toContain("notes_append failed:");
    expect(server.did()).toEqual(["start", "fail"]);
  });
});

describe("a call", () => {
  test("carries the key of its step", async () => {
    const server = await notes();
    await used(server, "notes_append", { text: "milk" });
    expect(server.ledger().at(-1)!.meta!["sentient/idempotency-key"]).toMatch(/\/notes_append\/the-call$/);
  });

  test("of a server that died starts it again, and so does the retry of what only reads", async () => {
    const server = await notes();
    const marker = join(await folder(), "marker");
    expect(await used(server, "die-once", { marker })).toBe('it gave "alive"');
    expect(server.did()).toEqual(["start", "die-once", "start", "die-once"]);
  });

  test("that changes something and was cut off is unknown, and not made again", async () => {
    const server = await notes();
    const { agent } = agentOf(server.tools, once("die", {}));
    const sentient = await testSentient({
      agents: [agent],
      answers: { "outcome:die": { done: true, output: "somebody looked" } },
    });
    const handle = await sentient.start(agent);
    expect(await handle.result()).toMatchObject({ text: 'it gave "somebody looked"' });
    expect(server.did()).toEqual(["start", "die"]);
    expect(await toolEvents(sentient, handle.id)).toContainEqual([
      "tool.outcome",
      expect.objectContaining({
        outcome: "unknown",
        why: expect.stringMatching(
          /; it said: .*the disk is gone, and so am I; the token was \[redacted\];/s,
        ),
      }),
    ]);
  });

  test("ends at the server when its run is cancelled", async () => {
    const server = await notes();
    await expectCancelReaches(server.tools, server.ledger);
  });

  test("finds a server that sees nothing of the environment of who started it", async () => {
    process.env.SENTIENT_TEST_SECRET = "hunter2";
    const server = await notes();
    expect(JSON.parse((await used(server, "env")).slice("it gave ".length)).split(" ")).not.toContain(
      "SENTIENT_TEST_SECRET",
    );
    delete process.env.SENTIENT_TEST_SECRET;
  });

  test("of tools that were closed is refused, and the server is gone", async () => {
    const server = await notes();
    const { pid } = server.ledger()[0]!;
    await server.close();
    expect(await used(server, "notes_append", { text: "milk" })).toContain("were closed");
    await until(() => !isAlive(pid));
  });
});

describe("by HTTP", () => {
  test("it is the same, with headers", async () => {
    const { url, ledger } = await notesByHttp();
    await expect(toolsOf({ url })).rejects.toMatchObject({ code: "ai.mcp_unreachable" });
    const server = await toolsOf({ url, headers: { "x-key": "sesame" } });
    expect(await used(server, "notes_append", { text: "milk" })).toBe('it gave "appended milk"');
    expect(await used(server, "notes_count")).toBe('it gave {"count":3}');
    expect(ledger().map(({ did }) => did)).toEqual(["append", "count"]);
  });

  test("a call ends at the server when its run is cancelled", async () => {
    const { url, ledger } = await notesByHttp();
    const { tools } = await toolsOf({ url, headers: { "x-key": "sesame" } });
    await expectCancelReaches(tools, ledger);
  });

  test("a server that has forgotten its sessions has done nothing, and is told who it is once more", async () => {
    const { url, did, sessions, forget } = await forgetfulServer();
    const server = await toolsOf({ url });
    expect(await used(server, "note", { text: "one" })).toBe('it gave "noted one"');
    expect(sessions.size).toBe(1);
    forget();
    expect(await used(server, "note", { text: "two" })).toBe('it gave "noted two"');
    expect(did).toEqual(["one", "two"]);
  });

  test("what changes something and was cut off is unknown", async () => {
    const { url, ledger, kill } = await notesByHttp();
    const { tools } = await toolsOf({ url, headers: { "x-key": "sesame" } });
    const { agent } = agentOf(tools, once("hang", {}));
    const sentient = await testSentient({
      agents: [agent],
      answers: { "outcome:hang": { done: true, output: null } },
    });
    const ended = sentient.execute(agent);
    await until(() => ledger().length > 0);
    await kill();
    expect(await ended).toMatchObject({ text: "it gave null" });
  });
});
