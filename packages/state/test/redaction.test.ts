// What runs call secret is not in the file of an export.

import { RecordId, surql } from "@sentient/db-pool";
import { chunkTable, type Json } from "@sentient/schema";
import { sabotage } from "@sentient/testkit";
import { expect, test, vi } from "vitest";
import type { State } from "../src/index.ts";
import { Redaction } from "../src/redaction.ts";
import { freshState, type Fresh } from "./support/fresh.ts";
import { claimed, LARGE, linesOf } from "./support/lives.ts";
import { done } from "./support/runs.ts";

const CANARY = "canary-7f3e";
const secret = (more: Record<string, Json> = {}): Json => ({ deep: [{ apiKey: CANARY }], ...more });

/** A run that has said its secret wherever it could, with a child and a fork that call nothing secret themselves. */
async function told({ state, db }: Fresh): Promise<void> {
  const secrets = ["apiKey", "/login/pass~1word", "/list/1"];
  const login = { "pass/word": CANARY, user: "ada" };
  await state.start({
    name: "research",
    id: "one",
    input: { apiKey: { all: CANARY }, login, list: ["a", CANARY] },
    secrets,
  });
  const lease = await claimed(state, "one");
  await state.commit(lease, {
    steps: [{ ...done("a", secret()), inputHash: "0".repeat(64) }],
    state: { login, n: 1 },
  });
  await state.commit(lease, {
    state: { login: { ...login, "pass/word": `${CANARY}2` }, n: 2 },
    checkpoint: { name: "c", metadata: secret() },
  });
  await state.commit(lease, { state: { login: { user: "ada", "pass/word": [CANARY, CANARY] }, n: 2 } });
  await state.commit(lease, { state: { n: 3, apiKey: { grows: [CANARY] }, free: "f".repeat(500) } });
  await state.commit(lease, { state: { n: 3, apiKey: { grows: [CANARY, CANARY] }, free: "f".repeat(500) } });
  await state.commit(lease, {
    steps: [done("large", secret({ large: LARGE })), done("plain", LARGE)],
    state: { login, large: LARGE },
  });
  await state.commit(lease, {
    events: [{ type: "order.placed", data: secret() }],
    asks: [{ key: "ask#1", text: "may I?", onTimeout: secret() }],
  });
  await state.answer("one", "ask#1", secret(), { by: "ada" });
  await state.signal("one", "news", secret());
  const chunk = chunkTable.serialise({
    id: ["one", 1],
    step: "a",
    attempt: 1,
    at: new Date(),
    kind: "data",
    data: secret(),
  } as never);
  await db.query(
    surql`CREATE ${new RecordId("chunk", ["one", 1])} CONTENT ${{ ...chunk, id: new RecordId("chunk", ["one", 1]) }} RETURN NONE`,
  );
  await state.start({ name: "research", id: "two", parent: "one", input: secret() });
  const child = await claimed(state, "two");
  await state.commit(child, { end: { complete: secret() } });
  await state.commit(lease, { end: { pause: { by: "ada" } } });
  await state.restore("one", { checkpoint: "c" });
  const again = await claimed(state, "one");
  await state.commit(again, {
    steps: [done("b", secret())],
    state: { apiKey: CANARY, n: 4 },
    end: { complete: { list: [1, CANARY], apiKey: CANARY } },
  });
  await state.fork("one", { id: "fork" });
  const fork = await claimed(state, "fork");
  await state.commit(fork, { state: { n: 5, list: ["x", CANARY], login }, checkpoint: { name: "d" } });
}

async function expectNoCanary(state: State): Promise<string[]> {
  const lines = await linesOf(state, "fork");
  for (const line of lines) {
    const { kind, content } = JSON.parse(line) as { kind: string; content?: string };
    const text = kind === "blob" ? Buffer.from(content!, "base64").toString() : line;
    expect(text).not.toContain(CANARY);
  }
  return lines;
}

test("a secret is in no line, and what is left can be read at every point", async () => {
  const [here, there] = [await freshState(), await freshState()];
  await told(here);
  expect((await linesOf(here.state, "one", { redact: false })).join("\n")).toContain(CANARY);
  const lines = await expectNoCanary(here.state);
  await expectNoCanary(here.state);
  expect(lines.join("\n")).toContain("ada");
  await there.state.import([...lines, ""]);
  await there.state.import(await linesOf(here.state, "one"));
  expect(await there.state.load("one")).toMatchObject({
    input: {
      apiKey: "[redacted]",
      login: { "pass/word": "[redacted]", user: "ada" },
      list: ["a", "[redacted]"],
    },
    output: { list: [1, "[redacted]"], apiKey: "[redacted]" },
  });
  expect(await there.state.load("two")).toMatchObject({ output: { deep: [{ apiKey: "[redacted]" }] } });
  const journal = await there.state.journal("one");
  expect(journal.get("a")).toMatchObject({ result: { deep: [{ apiKey: "[redacted]" }] } });
  expect(journal.get("a")).not.toHaveProperty("inputHash");
  for (const run of ["one", "fork"]) {
    const last = (await here.state.history(run, { limit: 1_000 })).events.at(-1)!.n!;
    for (let n = 1; n <= last; n++) await there.state.stateAt(run, { n }); // its hash is asked too
    expect(await there.state.diff({ run, n: last }, { run, n: last })).toMatchObject({ state: [] });
  }
  await there.state.fork("one", { checkpoint: "c" }); // whose hash is of what is left
  await there.state.fork("fork", { checkpoint: "d" });
  expect(await there.state.load("fork")).toMatchObject({
    status: "parked",
    problem: { message: expect.stringContaining("redacted") as unknown },
  });
  const marked = lines.filter((line) => line.includes('"redacted":true')).length;
  expect(marked).toBeGreaterThan(12);
  expect(
    await sabotage("nothing is left out", async () => {
      const value = vi.spyOn(Redaction.prototype, "value").mockImplementation((any) => any);
      await expectNoCanary(here.state).finally(() => value.mockRestore());
    }),
  ).toBeDefined();
});

test("a run without secrets is exported as it is", async () => {
  const { state } = await freshState();
  await state.start({ name: "research", id: "one", input: secret() });
  const lines = await linesOf(state, "one");
  expect(lines.join("\n")).toContain(CANARY);
  expect(lines.join("\n")).not.toContain('redacted":true');
  expect(JSON.parse(lines[0]!)).toMatchObject({ redacts: false });
});
