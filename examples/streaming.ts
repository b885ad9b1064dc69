// Streaming. What a step streams is there for anybody, as it comes: in this process or another, from the beginning or behind
// a piece that one has. What an attempt that failed has streamed is followed by a reset.
//
//   npm run example streaming
//
// prints
//
//   It was a dark and
//   (that attempt failed; again)
//   It was a dark and stormy night.
//   and once more, from another place: stormy night.

import { createSentient, defineAgent } from "@sentient/agent-core";

const WORDS = ["It", "was", "a", "dark", "and", "stormy", "night."];

const novelist = defineAgent({
  name: "novelist",
  run: (ctx) =>
    ctx.step("write", ({ attempt, chunk }) => {
      for (const word of WORDS) {
        if (attempt === 1 && word === "stormy") throw new Error("the model hung up");
        chunk(word);
      }
      return WORDS.join(" ");
    }),
});

await using sentient = await createSentient({ url: "mem://", agents: [novelist] });

const handle = await sentient.start(novelist);
const numbers: number[] = [];
for await (const piece of handle.chunks()) {
  if (piece.kind === "reset") process.stdout.write("\n(that attempt failed; again)\n");
  if (piece.kind === "data") numbers.push(piece.n);
  if (piece.kind === "data") process.stdout.write(`${piece.data as string} `);
}

// A reader that was cut off says what it has, and gets the rest.
process.stdout.write("\nand once more, from another place: ");
for await (const piece of sentient.handle(handle.id).chunks({ after: numbers.at(-3)! }))
  if (piece.kind === "data") process.stdout.write(`${piece.data as string} `);
process.stdout.write("\n");
