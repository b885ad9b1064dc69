// Readers of a message that are cut off, and go on.

import { sabotage, seeded, type SeededRandom } from "@sentient/testkit";
import type { UIMessage, UIMessageChunk } from "ai";
import { expect, test } from "vitest";
import { toUiStream, type UiStreamOptions } from "../src/ui-stream.ts";
import { chatAt, chatServer } from "./support/chat.ts";
import {
  completed,
  conversation,
  END,
  itemsOf,
  kindsOf,
  messageFor,
  messageOf,
  RESET,
  say,
  type Said,
} from "./support/pieces.ts";

/** A stream with all that can happen to one. */
const eventful: Said[] = [
  ...conversation.slice(0, 4),
  ["model#1", 2, RESET],
  ...conversation
    .slice(0, 8)
    .map(([step, attempt, data]): Said => [step, step === "model#1" ? 2 : attempt, data]),
  ["all#1.a/model#1", 1, say("A1 ")],
  ["all#1.b/model#1", 1, say("B1 ")],
  ["all#1.a/model#1", 2, RESET],
  ["all#1.a/model#1", 2, say("A2 ")],
  ["all#1.b/model#1", 1, say("B2 ")],
  ["all#1.b/model#1", 1, END],
  ["all#1.a/model#1", 2, END],
  ["model#2", 1, say("It is ")],
  ["model#2", 1, say("bl")],
  ["model#2", 1, RESET],
  ["model#2", 1, say("It is blue.")],
  ["model#2", 1, END],
];

/** What a reader has who was cut off after so many pieces of the protocol. */
async function cutOff(after: number, said: readonly Said[] = eventful): Promise<UIMessage | undefined> {
  const seen: UIMessageChunk[] = [];
  for await (const chunk of toUiStream(itemsOf(said, completed))) {
    if (seen.push(chunk) === after) return messageOf(ReadableStream.from(seen));
  }
  return undefined;
}

const stepsOf = (message: UIMessage) => kindsOf(message).filter((kind) => kind === "step-start").length;

async function expectWhole(options: (message: UIMessage) => UiStreamOptions): Promise<void> {
  const whole = plain(await messageFor(eventful));
  for (let after = 1; ; after++) {
    const message = await cutOff(after);
    if (!message) return expect(after).toBeGreaterThan(50);
    const rest = toUiStream(itemsOf(eventful, completed), options(message));
    expect({ after, parts: plain(await messageOf(rest, message)) }).toEqual({ after, parts: whole });
  }
}

const plain = ({ parts }: UIMessage): unknown => JSON.parse(JSON.stringify(parts));

test("wherever a reader was cut off, it goes on from there, and has the whole message once", async () => {
  await expectWhole((message) => ({ after: stepsOf(message) }));
});

test("control: without saying where it was it has something twice", async () => {
  await sabotage("where it was", () => expectWhole(() => ({ after: 0 })));
});

test("read again from its beginning, it is the same, piece by piece", async () => {
  const read = async () => {
    const chunks: UIMessageChunk[] = [];
    for await (const chunk of toUiStream(itemsOf(eventful, completed))) chunks.push(chunk);
    return chunks;
  };
  expect(await read()).toEqual(await read());
});

test("a chat reads it over HTTP, and one that reconnects has it once", async () => {
  const api = await chatServer(() => toUiStream(itemsOf(eventful, completed)));
  const { chat, outcome } = chatAt(api);
  await chat.sendMessage({ text: "weather?" });
  const whole = plain(chat.messages[1]!);
  expect(whole).toEqual(plain(await messageFor(eventful)));
  expect(outcome).toMatchObject({ isAbort: false, isError: false, finishReason: "stop" });
  await chat.resumeStream();
  expect(chat.messages).toHaveLength(2);
  expect(plain(chat.messages[1]!)).toEqual(whole);
});

/** A line that is cut behind so many pieces of the protocol. */
function cutBehind(pieces: number): ReadableStream<UIMessageChunk> {
  async function* read() {
    let left = pieces;
    for await (const chunk of toUiStream(itemsOf(eventful, completed))) {
      if (left-- === 0) throw new Error("cut");
      yield chunk;
    }
  }
  return ReadableStream.from(read());
}

test.each([3, 8, 15, 22, 30, 37, 45])(
  "a chat whose line is cut behind %i pieces goes on in its message, and has it once",
  async (pieces) => {
    const api = await chatServer(({ method }) =>
      method === "POST"
        ? cutBehind(pieces)
        : toUiStream(itemsOf(eventful, completed), { after: stepsOf(chat.messages.at(-1)!) }),
    );
    const { chat, outcome } = chatAt(api, false);
    await chat.sendMessage({ text: "weather?" });
    expect(outcome.isDisconnect).toBe(true);
    await chat.resumeStream();
    expect(chat.messages).toHaveLength(2);
    expect(plain(chat.messages[1]!)).toEqual(plain(await messageFor(eventful)));
    expect(outcome).toMatchObject({ isError: false, finishReason: "stop" });
  },
);

/** Two turns in each of three branches, whose attempts are lost at random. */
function randomStream(random: SeededRandom): { said: Said[]; counts: string[] } {
  const said: Said[] = [];
  const counts: string[] = [];
  const branches = ["all#1.a", "all#1.b", "all#1.c"].map((path) => ({
    path,
    turn: 1,
    attempt: 1,
    words: [] as string[],
    isDone: false,
  }));
  while (branches.length > 0) {
    const branch = random.pick(branches);
    const { path, turn, words } = branch;
    const step = `${path}/model#${turn}`;
    const what = random.int(10);
    if (branch.isDone && what < 7) {
      counts.push(...words);
      Object.assign(branch, { turn: turn + 1, attempt: 1, words: [], isDone: false });
      if (turn === 2) branches.splice(branches.indexOf(branch), 1);
    } else if (branch.isDone || (words.length > 0 && what === 7)) {
      said.push([step, ++branch.attempt, RESET]); // it failed, or was not remembered
      Object.assign(branch, { words: [], isDone: false });
    } else if (words.length > 0 && what > 7) {
      said.push([step, branch.attempt, END]);
      branch.isDone = true;
    } else {
      const word = `${path}.${turn}.${branch.attempt}.${words.length} `;
      words.push(word);
      said.push([step, branch.attempt, say(word)]);
    }
  }
  return { said: [...said, ["model#1", 1, say("end")]], counts: [...counts, "end"] };
}

const wordsIn = ({ parts }: UIMessage): string[] =>
  parts.flatMap((part) => (part.type === "text" ? (part.text.match(/\S+ ?/g) ?? []) : [])).toSorted();

async function expectOnce(streams: number, heard: (said: readonly Said[]) => readonly Said[]): Promise<void> {
  const random = seeded();
  console.log(`SEED=${random.seed}`);
  for (let i = 0; i < streams; i++) {
    const { said: all, counts } = randomStream(random);
    const said = heard(all);
    expect(wordsIn(await messageFor(said))).toEqual(counts.toSorted());
    const message = await cutOff(random.int(said.length) + 1, said);
    const rest = toUiStream(itemsOf(said, completed), { after: stepsOf(message!) });
    expect(wordsIn(await messageOf(rest, message))).toEqual(counts.toSorted());
  }
}

test("however attempts are lost, and wherever a reader is cut off, each word that counts is there once", async () => {
  await expectOnce(100, (said) => said);
});

test("control: were resets not heard of, words that do not count would be there", async () => {
  const deaf = (said: readonly Said[]) =>
    said.map(([step, , data]): Said => [step, 1, data]).filter(([, , data]) => data !== RESET);
  await sabotage("resets", () => expectOnce(20, deaf));
});
