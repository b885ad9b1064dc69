// Models of tests: what was written for them, and what was recorded.

import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sabotage } from "@sentient/testkit";
import { expect, onTestFinished, test } from "vitest";
import { record, replayed, scripted } from "../src/testing/index.ts";
import { KEY } from "./support/model-server.ts";
import { failureOf, never, served, textOf, turnOf, untilEnd, user } from "./support/models.ts";

async function freshFile(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sentient-recorded-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return join(folder, "of", "models.jsonl");
}

test("a script says one line after the other, and remembers what it was asked", async () => {
  const model = scripted([
    "hello",
    { reasoning: "hm", text: ["a ", "b"], calls: [{ name: "look", args: { at: 1 } }] },
    (turn) => `you said ${JSON.stringify(turn.messages.at(-1)!.content)}`,
  ]);
  expect(textOf(await untilEnd(model(turnOf("one"), never)))).toBe("hello");
  expect(await untilEnd(model(turnOf("two"), never))).toMatchObject([
    { type: "reasoning", text: "hm" },
    { type: "text", text: "a " },
    { type: "text", text: "b" },
    { type: "tool-call", id: "call-2-1", name: "look", args: { at: 1 } },
    { type: "end", reason: "tool-calls" },
  ]);
  expect(textOf(await untilEnd(model(turnOf("three"), never)))).toContain("three");
  expect(model.asked.map(({ messages }) => messages)).toEqual(
    ["one", "two", "three"].map((text) => [user(text)]),
  );
});

test("an error of the script is thrown, and a script that is over says so", async () => {
  const model = scripted([new Error("overloaded")]);
  expect((await failureOf(untilEnd(model(turnOf("one"), never)))).message).toBe("overloaded");
  const over = await failureOf(untilEnd(model(turnOf("two"), never)));
  expect(over).toMatchObject({ code: "ai.script_over", retryable: false });
  expect(over.message).toMatch(/has 1 lines.*asked once more.*two/);
});

test("one function answers as often as it is asked, and an aborted turn is not answered", async () => {
  const model = scripted(() => "yes");
  for (const text of ["a", "b", "c"]) expect(textOf(await untilEnd(model(turnOf(text), never)))).toBe("yes");
  const reason = new Error("enough");
  expect(await failureOf(untilEnd(model(turnOf("d"), AbortSignal.abort(reason))))).toBe(reason);
});

test("what a real provider has said is said again without it, piece by piece", async () => {
  const file = await freshFile();
  const { model, server } = await served(({ body }) => ({
    text: ["You said ", JSON.stringify(body.messages.at(-1)!.content)],
    calls: [{ name: "look", args: { far: true } }],
  }));
  const recording = record(model, file);
  const asked = ["one", "two"].map((text) => turnOf(text, { idempotencyKey: `run-a/${text}` }));
  const first = [];
  for (const turn of asked) first.push(await untilEnd(recording(turn, never)));
  await server[Symbol.asyncDispose]();
  const again = replayed(file);
  const later = asked.map((turn) => ({ ...turn, idempotencyKey: "run-b" }));
  for (const [i, turn] of [...later.entries()].toReversed())
    // in whichever order
    expect(await untilEnd(again(turn, never))).toEqual(first[i]);
});

test("the same turn, asked twice, is answered in turn", async () => {
  const file = await freshFile();
  const recording = record(scripted(["heads", "tails"]), file);
  for (const _ of [1, 2]) await untilEnd(recording(turnOf("toss"), never));
  const again = replayed(file);
  const said = [];
  for (const _ of [1, 2, 3]) said.push(textOf(await untilEnd(again(turnOf("toss"), never))));
  expect(said).toEqual(["heads", "tails", "tails"]);
});

test("recorded anew, a file has what was said now, and keeps the old where nothing was", async () => {
  const file = await freshFile();
  const told = async () => textOf(await untilEnd(replayed(file)(turnOf("toss"), never)));
  await untilEnd(record(scripted(["old"]), file)(turnOf("toss"), never));
  await failureOf(untilEnd(record(scripted([new Error("overloaded")]), file)(turnOf("toss"), never)));
  expect(await told()).toBe("old");
  const anew = record(scripted(["new", "too"]), file);
  for (const text of ["toss", "again"]) await untilEnd(anew(turnOf(text), never));
  expect(await told()).toBe("new");
  expect(readFileSync(file, "utf8").trim().split("\n")).toHaveLength(2);
});

test("a turn that was not recorded is told, with what it differs in from the nearest", async () => {
  const file = await freshFile();
  const recording = record(
    scripted(() => "ok"),
    file,
  );
  await untilEnd(recording(turnOf("far off"), never));
  await untilEnd(recording(turnOf("hello", { instructions: "Be short.", maxOutput: 9 }), never));
  const again = replayed(file);
  const error = await failureOf(
    untilEnd(again(turnOf("hello", { instructions: "Be long.", maxOutput: 9 }), never)),
  );
  expect(error).toMatchObject({ code: "ai.not_recorded", retryable: false });
  expect(error.message).toContain('turn.instructions was "Be short." and is "Be long."');
  expect(error.message).toContain('"text":"hello"');
  const other = await failureOf(untilEnd(again(turnOf("hullo", { instructions: "Be short." }), never)));
  expect(other.message).toMatch(/turn\.messages\[0\]\.content\[0\]\.text was ".*" and is "hullo"/);
});

test("without a file nothing is known, and a line that is none is named", async () => {
  const file = await freshFile();
  expect((await failureOf(untilEnd(replayed(file)(turnOf("hi"), never)))).message).toContain(
    "it is empty, or not there",
  );
  await untilEnd(record(scripted(["ok"]), file)(turnOf("hi"), never));
  appendFileSync(file, "{}\n");
  const error = await failureOf(untilEnd(replayed(file)(turnOf("hi"), never)));
  expect(error).toMatchObject({ code: "ai.bad_recording", retryable: false });
  expect(error.message).toContain(`${file}:2 `);
});

test("in mode auto what is there is said again, and the rest is asked and added", async () => {
  const file = await freshFile();
  await untilEnd(record(scripted(["one"]), file)(turnOf("first"), never));
  const model = scripted(["two"]);
  const auto = record(model, file, { mode: "auto" });
  expect(textOf(await untilEnd(auto(turnOf("first"), never)))).toBe("one");
  expect(textOf(await untilEnd(auto(turnOf("second"), never)))).toBe("two");
  expect(model.asked).toHaveLength(1);
  expect(textOf(await untilEnd(replayed(file)(turnOf("second"), never)))).toBe("two");
});

test("what fails and what is left is not written", async () => {
  const file = await freshFile();
  const recording = record(scripted([new Error("overloaded"), { text: ["a", "b"] }, "whole"]), file);
  await failureOf(untilEnd(recording(turnOf("fails"), never)));
  for await (const _ of recording(turnOf("is left"), never)) break;
  expect(existsSync(file)).toBe(false);
  await untilEnd(recording(turnOf("ends"), never));
  expect(readFileSync(file, "utf8").split("\n")).toHaveLength(2);
});

const secretly = async (file: string) => {
  const text = ["the key is ", KEY.slice(0, 6), KEY.slice(6), " I think"];
  const model = scripted([{ text, calls: [{ name: "call", args: { token: KEY } }] }]);
  await untilEnd(record(model, file)(turnOf(`is ${KEY} a key?`), never));
};

function expectNoSecret(file: string): void {
  expect(readFileSync(file, "utf8")).not.toContain(KEY.slice(3));
}

test("a secret is not written, also if it comes in pieces, and another one in its place is the same turn", async () => {
  const file = await freshFile();
  await secretly(file);
  expectNoSecret(file);
  const said = textOf(await untilEnd(replayed(file)(turnOf(`is ${KEY}0 a key?`), never)));
  expect(said).toBe("the key is [redacted] I think");
});

test("control: the check of secrets sees one", async () => {
  const file = await freshFile();
  await secretly(file);
  writeFileSync(file, readFileSync(file, "utf8").replace("[redacted]", KEY));
  await sabotage("secrets in a file", () => expectNoSecret(file));
});
