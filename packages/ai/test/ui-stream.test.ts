// A run as a message of the AI SDK, read by its own client.

import type { StreamItem } from "@sentient/agent-core";
import { until } from "@sentient/testkit";
import type { UIMessageChunk } from "ai";
import { expect, test } from "vitest";
import { toUiStream, type UiStreamOptions } from "../src/ui-stream.ts";
import { textOfMessage } from "./support/chat.ts";
import {
  completed,
  conversation,
  END,
  itemsOf,
  kindsOf,
  messageFor,
  messageOf,
  piecesOf,
  RESET,
  say,
  type Said,
} from "./support/pieces.ts";

test("turns of a model and their tools are the steps of a message", async () => {
  const message = await messageFor(conversation);
  expect(message).toMatchObject({
    id: "run-1",
    role: "assistant",
    parts: [
      { type: "step-start" },
      { type: "reasoning", text: "Let me see.", state: "done" },
      { type: "text", text: "I look. ", state: "done" },
      {
        type: "tool-weather",
        toolCallId: "a",
        state: "output-available",
        input: { city: "Graz" },
        output: { sky: "blue" },
      },
      { type: "tool-weather", toolCallId: "b", state: "output-error", errorText: "The tool failed." },
      { type: "step-start" },
      { type: "text", text: "It is blue.", state: "done" },
    ],
  });
});

test("thoughts are left out where nobody is to see them", async () => {
  expect(kindsOf(await messageFor(conversation, { reasoning: false }))).not.toContain("reasoning");
});

test("what a failed attempt has said is gone once it is said again, its tool calls as well", async () => {
  const message = await messageFor([
    ["model#1", 1, say("The ans")],
    ["model#1", 1, { type: "tool-call", id: "a", name: "weather", args: {} }],
    ["model#1", 2, RESET],
    ["model#1", 2, say("The answer")],
    ["model#1", 2, say(" is 42.")],
    ["model#1", 2, END],
  ]);
  expect(kindsOf(message)).toEqual(["step-start", "text"]);
  expect(textOfMessage(message)).toBe("The answer is 42.");
});

test("what others have said since stays, and the step after it begins when all are done", async () => {
  const message = await messageFor([
    ["all#1.a/model#1", 1, say("A1 ")],
    ["all#1.b/model#1", 1, say("B1 ")],
    ["all#1.a/model#1", 1, say("A2 ")],
    ["-chunks#1", 1, "between "],
    ["all#1.b/model#1", 1, END],
    ["all#1.b/model#2", 1, say("B2 ")],
    ["all#1.a/model#1", 2, RESET],
    ["all#1.a/model#1", 2, say("A3 ")],
    ["all#1.b/model#2", 1, say("B3 ")],
    ["all#1.a/model#1", 2, END],
    ["all#1.b/model#2", 1, END],
    ["model#1", 1, say("end")],
    ["model#1", 1, END],
  ]);
  expect(textOfMessage(message)).toBe("B1 |between |B2 B3 |A3 |end");
  expect(kindsOf(message).filter((kind) => kind === "step-start")).toHaveLength(2);
});

test("a process that died between the end of a stream and its commit has said nothing twice", async () => {
  const message = await messageFor([
    ["model#1", 1, say("whole")],
    ["model#1", 1, END],
    ["model#1", 1, RESET],
    ["model#1", 1, say("whole")],
    ["model#1", 1, END],
    ["model#2", 1, say("next")],
  ]);
  expect(textOfMessage(message)).toBe("whole|next");
});

test("where a run was put back behind a whole step, the reader is told which step counts no more", async () => {
  const message = await messageFor([
    ["model#1", 1, say("one")],
    ["model#1", 1, END],
    ["model#2", 1, say("two")],
    ["model#2", 1, END],
    ["model#1", 1, RESET],
    ["model#1", 1, say("uno")],
    ["model#1", 1, END],
  ]);
  expect(message.parts).toContainEqual({
    type: "data-reset",
    id: "reset-main/model#1",
    data: { step: "main/model#1" },
  });
});

test("other JSON is data, what says that it is data is as it says, and text is text", async () => {
  const message = await messageFor([
    ["work#1", 1, "plain"],
    ["work#1", 1, { done: 3 }],
    ["work#1", 1, { type: "data-chart", id: "c", data: [1] }],
    ["work#1", 1, { type: "data-chart", id: "c", data: [1, 2] }],
    ["-chunks#1", 1, { type: "tool-result", id: "of nobody", name: "x", output: 1 }],
  ]);
  expect(message.parts.slice(1)).toMatchObject([
    { type: "text", text: "plain" },
    { type: "data-chunk", data: { step: "main/work#1", data: { done: 3 } } },
    { type: "data-chart", id: "c", data: [1, 2] },
    { type: "data-chunk", data: { data: { type: "tool-result", id: "of nobody" } } },
  ]);
});

test("calls that a model calls the same are told apart", async () => {
  const call = { type: "tool-call", id: "call-1", name: "weather", args: {} };
  const result = (output: number) => ({ type: "tool-result", id: "call-1", name: "weather", output });
  const message = await messageFor([
    ["model#1", 1, call],
    ["model#1", 1, END],
    ["tools#1.0/-chunks#1", 1, result(1)],
    ["model#2", 1, call],
    ["model#2", 1, END],
    ["tools#2.0/-chunks#1", 1, result(2)],
  ]);
  const calls = message.parts.filter(({ type }) => type === "tool-weather");
  expect(calls).toMatchObject([
    { toolCallId: "call-1", output: 1 },
    { toolCallId: "call-1-2", output: 2 },
  ]);
});

test("questions are one part each, as they stand, and progress is none", async () => {
  const about = { key: "main/approve#1" };
  const stream = toUiStream(
    itemsOf(
      [["model#1", 1, say("May I?")]],
      { type: "question.asked", data: { ...about, text: "Send it?" } },
      { type: "progress.reported", data: { done: 1, total: 2 } },
      { type: "question.answered", data: { ...about, by: "ada" } },
      completed,
    ),
  );
  const message = await messageOf(stream);
  expect(kindsOf(message)).toEqual(["step-start", "text", "data-question"]);
  expect(message.parts[2]).toMatchObject({
    data: { ...about, text: "Send it?", by: "ada", state: "answered" },
  });
});

const lastOf = async (options: UiStreamOptions, ...ends: object[]) => {
  const chunks: UIMessageChunk[] = [];
  const items = itemsOf([["model#1", 1, say("so")]], ...ends);
  for await (const chunk of toUiStream(items, options)) chunks.push(chunk);
  expect(chunks.map(({ type }) => type)).toEqual(expect.arrayContaining(["text-end", "finish-step"]));
  return chunks.at(-1);
};

const DETAILS = "connect ECONNREFUSED 10.0.3.7:5432 user=app_rw";
const failed = { type: "run.failed", data: { error: { name: "Error", message: DETAILS, code: "db.down" } } };
const messageOfError = (error: unknown) => (error as Error).message;

test("how a run ends is how the message ends, and one that is cut off says so", async () => {
  expect(await lastOf({}, completed)).toEqual({ type: "finish", finishReason: "stop" });
  expect(await lastOf({}, failed)).toEqual({ type: "error", errorText: "The run run-1 failed." });
  expect(await lastOf({}, { type: "run.cancelled", data: { reason: "enough" } })).toEqual({
    type: "abort",
    reason: "enough",
  });
  expect(await lastOf({})).toEqual({ type: "finish", finishReason: "interrupted" });
});

test("what an error says is told where it is said how, and not else: of the run, and of a tool", async () => {
  expect(await lastOf({ onError: messageOfError }, failed)).toEqual({ type: "error", errorText: DETAILS });
  const codeOf = (error: unknown) =>
    `${(error as Error).constructor.name} ${(error as { code: string }).code}`;
  expect(await lastOf({ onError: codeOf }, failed)).toMatchObject({ errorText: "RememberedError db.down" });
  const result = { type: "tool-result", id: "a", name: "ask", output: { error: DETAILS }, isError: true };
  const said: Said[] = [
    ["model#1", 1, { type: "tool-call", id: "a", name: "ask", args: {} }],
    ["tools#1.0/-chunks#1", 1, result],
  ];
  expect(JSON.stringify(await messageFor(said))).not.toContain("ECONNREFUSED");
  const told = await messageFor(said, { onError: messageOfError });
  expect(told.parts.at(-1)).toMatchObject({ state: "output-error", errorText: DETAILS });
});

test("what goes wrong while it is read is told, in general or as it is said how, without secrets", async () => {
  async function* failing(): AsyncGenerator<StreamItem> {
    yield { type: "chunk", chunk: piecesOf([["model#1", 1, say("so")]])[0]! };
    throw new Error("no answer from https://ada:secretsecret@db.example");
  }
  const last = async (options?: UiStreamOptions) => {
    const chunks: UIMessageChunk[] = [];
    for await (const chunk of toUiStream(failing(), options)) chunks.push(chunk);
    return chunks.at(-1);
  };
  expect(await last()).toEqual({
    type: "error",
    errorText: "The run could not be read; reload to try again.",
  });
  const onError = messageOfError;
  expect(await last({ onError })).toMatchObject({
    errorText: "no answer from https://[redacted]@db.example",
  });
});

test("whoever stops reading has nothing read on", async () => {
  let isLetGo = false;
  async function* endless(): AsyncGenerator<StreamItem> {
    try {
      for (let n = 1; ; n++)
        yield { type: "chunk", chunk: { ...piecesOf([["model#1", 1, say("x")]])[0]!, n } };
    } finally {
      isLetGo = true;
    }
  }
  for await (const chunk of toUiStream(endless())) if (chunk.type === "text-delta") break;
  await until(() => isLetGo);
});
