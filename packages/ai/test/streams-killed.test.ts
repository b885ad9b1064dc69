// A stream of text whose workers are killed in its midst: whoever reads it, from whichever piece on, loses nothing and has nothing twice.

import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunHandle, Sentient } from "@sentient/agent-core";
import type { DatabaseOptions } from "@sentient/db-pool";
import {
  freshNames,
  sabotage,
  seeded,
  servedEngine,
  spawnChild,
  until,
  type Child,
  type ServedEngine,
} from "@sentient/testkit";
import { readUIMessageStream, type UIMessage } from "ai";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { fromAiSdk } from "../src/from-ai-sdk.ts";
import { toUiStream } from "../src/ui-stream.ts";
import { textOfMessage } from "./support/chat.ts";
import { MODEL, type ModelServer } from "./support/model-server.ts";
import { serverFor } from "./support/models.ts";
import { freshFolder, openedUntilEnd, Reader, sentientOn } from "./support/runs.ts";
import { talkOf } from "./support/talkers.ts";

const KILLS = 3;
const WORDS = 60;
const LEASE_MS = 2_000;
/** Of code that processes compile, as many of them are started. */
const CACHE = join(tmpdir(), "sentient-compile-cache");

let engine: Promise<ServedEngine> | undefined;
afterAll(async () => (await engine)?.close());

function served(): Promise<ServedEngine> {
  const entry = new URL("fixtures/serve-child.ts", import.meta.url);
  engine ??= freshFolder().then((folder) => servedEngine({ entry, folder: join(folder, "served") }));
  return engine;
}

interface House {
  connection: DatabaseOptions;
  server: ModelServer;
  /** It advances nothing. */
  sentient: Sentient;
  handle: RunHandle<string>;
  worker: () => Promise<Child>;
  /** How many words each attempt may say before it is held up. */
  mayNow: (words: number) => void;
}

const wordsOf = (attempt: number) => Array.from({ length: WORDS }, (_, i) => `${attempt}-${i} `);

/** A model whose every attempt says other words, as far as it may. */
async function house(): Promise<House> {
  const { url, token } = await served();
  const connection = { url, token, ...freshNames() };
  let most = 0;
  const server = await serverFor((_, nth) => ({
    text: wordsOf(nth),
    before: (delta) => until(() => delta < most, { deadline: 200_000 }),
  }));
  const db = await openedUntilEnd(connection);
  const talk = talkOf(fromAiSdk(server.provider()(MODEL)));
  const sentient = await sentientOn(db, { agents: [talk], worker: false });
  const handle = await sentient.start(talk, { ask: "count" }, { maxAttempts: 100 });
  const worker = async () => {
    const child = spawnChild(new URL("fixtures/talk-child.ts", import.meta.url), {
      env: {
        WORK: JSON.stringify({ connection, url: server.url, lease: LEASE_MS }),
        NODE_COMPILE_CACHE: CACHE,
      },
    });
    onTestFinished(() => child[Symbol.asyncDispose]());
    await child.message(({ ready }) => ready === true, 100_000);
    return child;
  };
  return { connection, server, sentient, handle, worker, mayNow: (words) => void (most = words) };
}

/** Kills each worker once it has streamed some words; the last one comes to the end. @returns what the run gives */
async function played(at: House, inBetween: () => Promise<void> = async () => {}): Promise<string> {
  const random = seeded();
  console.log(`SEED=${random.seed}`);
  for (let kills = 0; kills < KILLS; kills++) {
    const most = random.int(WORDS - 2) + 1;
    at.mayNow(most);
    const worker = await at.worker();
    await until(() => at.server.asked.length > kills, { deadline: 100_000, what: "the next attempt" });
    await until(async () => (await saidNow(at)) >= 1, { deadline: 100_000, what: "its words" });
    await worker.kill();
    await inBetween();
  }
  at.mayNow(WORDS);
  await at.worker();
  return at.handle.result({ timeout: 150_000 });
}

/** How many words of the attempt under way are to be read. */
async function saidNow({ sentient, handle, server }: House): Promise<number> {
  const chunks = await sentient.state.chunks.read(handle.id, { limit: 1_000 });
  const mine = `${server.asked.length}-`;
  return chunks.filter((chunk) => chunk.kind === "data" && JSON.stringify(chunk.data).includes(mine)).length;
}

/** Reads for as long as somebody works, as a process that knows where the one before was. */
async function readOn(at: House, reader: Reader): Promise<void> {
  const db = await openedUntilEnd(at.connection);
  const sentient = await sentientOn(db, { worker: false });
  for (const chunk of await sentient.state.chunks.read(at.handle.id, { after: reader.n, limit: 1_000 }))
    reader.add(chunk);
}

const whole = wordsOf(KILLS + 1).join("");

test(`${KILLS} workers are killed as they stream; readers that know their place have all of it, once`, async () => {
  const at = await house();
  const live = new Reader();
  const following = (async () => {
    for await (const chunk of at.handle.chunks()) live.add(chunk);
  })();
  const seen: string[] = [];
  const hopping = new Reader();
  const result = await played(at, async () => {
    await readOn(at, hopping);
    seen.push(hopping.text);
  });
  expect(result).toBe(whole);
  await following;
  await readOn(at, hopping);
  expect(seen.map((text) => text.slice(0, 4))).toEqual(["1-0 ", "2-0 ", "3-0 "]);
  expect([live.text, hopping.text]).toEqual([whole, whole]);
  expect(live.n).toBe(hopping.n);
  await sabotage("resets", async () => expect(await carelessly(at)).toBe(whole));
  await sabotage("the place", async () => {
    for (const chunk of await at.sentient.state.chunks.read(at.handle.id, {
      after: hopping.n - 3,
      limit: 500,
    }))
      hopping.add(chunk);
  });
});

async function carelessly({ sentient, handle }: House): Promise<string> {
  const chunks = await sentient.state.chunks.read(handle.id, { limit: 1_000 });
  return chunks.map((chunk) => (chunk.kind === "data" ? (chunk.data as { text: string }).text : "")).join("");
}

const stepsOf = (message: UIMessage | undefined) =>
  message?.parts.filter(({ type }) => type === "step-start").length ?? 0;

test("a chat that is cut off with each worker, and goes on from another process, has one whole message", async () => {
  const at = await house();
  let message: UIMessage | undefined;
  const seen: string[] = [];
  const read = async (signal: AbortSignal) => {
    const db = await openedUntilEnd(at.connection);
    const sentient = await sentientOn(db, { worker: false });
    const handle = sentient.handle(at.handle.id);
    const stream = toUiStream(handle, { signal, ...(message ? { after: stepsOf(message) } : {}) });
    const given = message ? { message: structuredClone(message) } : {};
    for await (const each of readUIMessageStream({ stream, terminateOnError: true, ...given }))
      message = each;
  };
  const text = () => (message ? textOfMessage(message) : "");
  let leave = new AbortController();
  let reading = read(leave.signal);
  const result = await played(at, async () => {
    await until(() => text().startsWith(`${at.server.asked.length}-0 `), { deadline: 60_000 });
    leave.abort();
    await reading;
    seen.push(text());
    leave = new AbortController();
    reading = read(leave.signal);
  });
  expect(result).toBe(whole);
  await reading;
  expect(text()).toBe(whole);
  expect(seen.map((part) => part.slice(0, 4))).toEqual(["1-0 ", "2-0 ", "3-0 "]);
});
