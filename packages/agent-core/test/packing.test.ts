// Words of a model on their way: few pieces for many words, and none lost or there twice, though a write of them fails.

import type { Json } from "@sentient/schema";
import type { Chunk, Piece } from "@sentient/state";
import { sabotage } from "@sentient/testkit";
import { expect, test, vi } from "vitest";
import { defineWorkflow, type StepContext } from "../src/index.ts";
import { freshProcess, gate, played } from "./support/fresh.ts";

const text = (word: string) => ({ type: "text", text: word });

async function streamOf(work: (step: StepContext) => Promise<void> | void) {
  const flow = defineWorkflow({ name: "flow", retry: { attempts: 1 }, run: (ctx) => ctx.step("say", work) });
  const process = await freshProcess({ workflows: [flow] });
  const { sentient } = process;
  const handle = await sentient.start(flow);
  const end = async () => {
    await played(process);
    await handle.result();
    return sentient.state.chunks.read(handle.id, { limit: 1_000 });
  };
  return { process, sentient, end };
}

const dataOf = (chunks: readonly Chunk[]): Json[] =>
  chunks.flatMap((chunk) => (chunk.kind === "data" ? [chunk.data] : []));

const wordsOf = (chunks: readonly Chunk[]): string =>
  dataOf(chunks)
    .map((data) => (data as { text: string }).text)
    .join("");

test("words that come at once are one piece, and what stands between them stays there", async () => {
  const call = { type: "tool-call", id: "a", name: "look", args: {} };
  const { end } = await streamOf(({ chunk }) => {
    for (const word of ["a ", "rose "]) chunk({ type: "reasoning", text: word });
    for (const word of ["is ", "a ", "rose"]) chunk(text(word));
    chunk(call);
    for (const word of ["is ", "a "]) chunk(text(word));
    chunk({ ...text("rose"), metadata: { sealed: true } });
    for (const word of ["plain", "text"]) chunk(word);
  });
  const chunks = await end();
  expect(dataOf(chunks)).toEqual([
    { type: "reasoning", text: "a rose " },
    text("is a rose"),
    call,
    text("is a "),
    { ...text("rose"), metadata: { sealed: true } },
    "plain",
    "text",
  ]);
  expect(chunks.at(-1)!.kind).toBe("end");
});

test("a piece is not packed to more than anybody would read at once", async () => {
  const { end } = await streamOf(({ chunk }) => {
    for (let i = 0; i < 10; i++) chunk(text("x".repeat(1_000)));
  });
  const data = dataOf(await end()) as { text: string }[];
  expect(data.map(({ text: { length } }) => length)).toEqual([4_000, 4_000, 2_000]);
});

/** The first write is done, and nobody hears of it; more is said before the next. @param change what that one tries to write */
async function saidThrough(change: (pieces: readonly Piece[]) => readonly Piece[]): Promise<string> {
  const hold = gate();
  const { process, sentient, end } = await streamOf(async ({ chunk }) => {
    for (const word of ["one ", "two "]) chunk(text(word));
    await hold.pass();
    for (const word of ["three ", "four"]) chunk(text(word));
  });
  const { chunks } = sentient.state;
  const append = chunks.append.bind(chunks);
  const lost = Promise.withResolvers<void>();
  vi.spyOn(chunks, "append")
    .mockImplementationOnce(async (...args) => {
      await append(...args);
      lost.resolve();
      throw new Error("the line is cut");
    })
    .mockImplementationOnce((lease, after, pieces) => append(lease, after, change(pieces)));
  const ended = end();
  await hold.reached;
  await process.clock.advance(30);
  await lost.promise;
  hold.open();
  return wordsOf(await ended);
}

test("a write that nobody heard of is not done twice", async () => {
  expect(await saidThrough((pieces) => pieces)).toBe("one two three four");
});

test("control: were it packed anew, its words would be there twice", async () => {
  const anew = ([first, second, ...rest]: readonly Piece[]): Piece[] => {
    const joined = [first, second].map((piece) => (piece!.data as { text: string }).text).join("");
    return [{ ...first!, data: text(joined) }, ...rest];
  };
  await sabotage("what was tried stays as it is", async () =>
    expect(await saidThrough(anew)).toBe("one two three four"),
  );
});
