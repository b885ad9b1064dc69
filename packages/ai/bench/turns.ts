// Turns: what a model costs as a part of a run, beside the bare AI SDK on the same server; and what its words cost on their way
// through the log of chunks to a reader of server-sent events, beside the AI SDK's own stream to one.

import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { ReadableStream as NodeStream } from "node:stream/web";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { converse, createSentient, defineAgent, type Sentient } from "@sentient/agent-core";
import { median, percentile, spawnChild, type BenchRow } from "@sentient/testkit";
import { createUIMessageStreamResponse, streamText, toUIMessageStream } from "ai";
import { z } from "zod";
import { fromAiSdk } from "../src/from-ai-sdk.ts";
import { toUiStream } from "../src/ui-stream.ts";
import { now } from "./clock.ts";

const ROUNDS = 5;
const TURNS = 20;
const TOKENS = 3_000;
/** 200 words a second, as a quick model says them. */
const PACED = { words: 300, apart: 5 };
const STREAMS = 8;

const wordsOf = (count: number, apart = 0) => `words:${count}:${apart}`;
const prompt = "Say so many words.";

/** @returns rows for `report` */
export async function turnsRows(): Promise<BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), "sentient-ai-bench-"));
  await using child = spawnChild(new URL("model-child.ts", import.meta.url));
  try {
    const { url } = await child.message<{ url: string }>(({ url: it }) => typeof it === "string");
    const house = houseOf(url);
    await using sentient = await createSentient({ url: `rocksdb://${folder}/turns`, agents: [house.talk] });
    return [...(await turns(house, sentient)), ...(await streams(house, sentient))];
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
  }
}

type House = ReturnType<typeof houseOf>;

function houseOf(baseURL: string) {
  const provider = createOpenAICompatible({ name: "bench", baseURL, includeUsage: true });
  const talk = defineAgent({
    name: "talk",
    input: z.object({ model: z.string(), turns: z.int() }),
    run: async (ctx, { model, turns: count }) => {
      for (let i = 0; i < count; i++) await converse(ctx, { model: fromAiSdk(provider(model)), prompt });
    },
  });
  return { provider, talk };
}

async function turns({ provider, talk }: House, sentient: Sentient): Promise<BenchRow[]> {
  const model = wordsOf(20);
  const bare = () => streamText({ model: provider(model), prompt, maxRetries: 0 }).text;
  const port = async () => {
    const turn = {
      messages: [{ role: "user" as const, content: [{ type: "text" as const, text: prompt }] }],
      tools: [],
    };
    for await (const _ of fromAiSdk(provider(model))(turn, new AbortController().signal));
  };
  const inRounds = await roundsOf({
    bare: () => timed(TURNS, bare),
    port: () => timed(TURNS, port),
    run: () => timed(1, () => sentient.execute(talk, { model, turns: TURNS })).then((ms) => ms / TURNS),
    alone: () => timed(TURNS, () => sentient.execute(talk, { model, turns: 1 })),
  });
  const beside = (name: string, ours: number[]) => rowOf(name, "ms", ours, median(inRounds.bare));
  return [
    beside("a turn of 20 words, the port alone", inRounds.port),
    beside("the same, of a run of 20 turns", inRounds.run),
    beside("the same, as a run of its own", inRounds.alone),
    rowOf("what a turn of a run takes more than the AI SDK", "ms", pairwise(inRounds.run, inRounds.bare)),
  ];
}

async function streams(house: House, sentient: Sentient): Promise<BenchRow[]> {
  await using door = await doorOf(house, sentient);
  const fast = (kind: Kind) => async () => {
    const began = performance.now();
    const seen = await door.read(kind, wordsOf(TOKENS));
    return (seen.length * 1_000) / (performance.now() - began);
  };
  const paced = (kind: Kind, readers: number) => async () => {
    const all = Array.from({ length: readers }, () => door.read(kind, wordsOf(PACED.words, PACED.apart)));
    return (await Promise.all(all)).flat();
  };
  const rates = await roundsOf({ ours: fast("run"), bare: fast("bare") });
  const one = await roundsOf({ ours: paced("run", 1), bare: paced("bare", 1) });
  const many = await roundsOf({ ours: paced("run", STREAMS), bare: paced("bare", STREAMS) });
  const late = (what: string, waits: typeof one) => [
    rowOf(`${what}: p50`, "ms", at(0.5, waits.ours), median(at(0.5, waits.bare))),
    rowOf(`${what}: p99`, "ms", at(0.99, waits.ours), median(at(0.99, waits.bare))),
    rowOf(`${what}: p99 added`, "ms", pairwise(at(0.99, waits.ours), at(0.99, waits.bare))),
  ];
  return [
    rowOf("words to a reader of SSE, as fast as they come", "/s", rates.ours, median(rates.bare)),
    ...late("a word to its reader, 200/s", one),
    ...late(`the same, ${STREAMS} at once`, many),
  ];
}

const at = (share: number, waits: number[][]) => waits.map((each) => percentile(each, share));

type Kind = "run" | "bare";

/** A server as a program would have it, and somebody who reads from it. */
async function doorOf({ provider, talk }: House, sentient: Sentient) {
  const streamOf = async (kind: string, model: string) => {
    if (kind === "run") return toUiStream(await sentient.start(talk, { model, turns: 1 }));
    const { stream } = streamText({ model: provider(model), prompt, maxRetries: 0 });
    return toUIMessageStream({ stream });
  };
  const answer = async (url: string, response: ServerResponse) => {
    const [, kind, model] = decodeURIComponent(url).split("/");
    const { status, headers, body } = createUIMessageStreamResponse({
      stream: await streamOf(kind!, model!),
    });
    response.writeHead(status, Object.fromEntries(headers));
    Readable.fromWeb(body as NodeStream).pipe(response);
  };
  const server = createServer(({ url }, response) => void answer(url!, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    read: (kind: Kind, model: string) =>
      waitsOf(`http://127.0.0.1:${port}/${kind}/${encodeURIComponent(model)}`),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}

/** How long each word was on its way, in milliseconds. */
async function waitsOf(url: string): Promise<number[]> {
  const waits: number[] = [];
  let rest = "";
  for await (const text of (await fetch(url)).body!.pipeThrough(new TextDecoderStream())) {
    const frames = (rest + text).split("\n\n");
    rest = frames.pop()!;
    for (const frame of frames) {
      if (!frame.includes('"text-delta"')) continue;
      const { delta } = JSON.parse(frame.slice("data: ".length)) as { delta: string };
      for (const word of delta.trim().split(" ")) waits.push(now() - Number(word)); // several, where they were packed
    }
  }
  return waits;
}

/** In turns, so that all see the same machine; what the first round gives is thrown away. */
async function roundsOf<T, K extends string>(works: Record<K, () => Promise<T>>): Promise<Record<K, T[]>> {
  const given = Object.fromEntries(Object.keys(works).map((key) => [key, [] as T[]])) as Record<K, T[]>;
  for (let round = 0; round <= ROUNDS; round++)
    for (const key of Object.keys(works) as K[]) {
      const value = await works[key]();
      if (round > 0) given[key].push(value);
    }
  return given;
}

/** @returns milliseconds a call */
async function timed(calls: number, work: () => PromiseLike<unknown>): Promise<number> {
  const began = performance.now();
  for (let i = 0; i < calls; i++) await work();
  return (performance.now() - began) / calls;
}

const pairwise = (ours: number[], bare: number[]) => ours.map((value, i) => value - bare[i]!);

function rowOf(name: string, unit: string, values: number[], raw?: number): BenchRow {
  const row: BenchRow = {
    name,
    unit,
    median: median(values),
    min: Math.min(...values),
    max: Math.max(...values),
  };
  return raw === undefined ? row : { ...row, raw, ratio: row.median / raw };
}
