// Hello. An agent is an async function. What it does in a step is remembered, and done once.
//
//   npm run example hello
//
// prints
//
//   hello, Ada
//   main/greet#1 completed

import { createSentient, defineAgent } from "@sentient/agent-core";
import { z } from "zod";

const hello = defineAgent({
  name: "hello",
  input: z.object({ to: z.string() }),
  output: z.string(),
  run: (ctx, { to }) => ctx.step("greet", () => `hello, ${to}`),
});

await using sentient = await createSentient({ url: "mem://", agents: [hello] });

const handle = await sentient.start(hello, { to: "Ada" });
console.log(await handle.result());

for (const { key, status } of (await sentient.state.journal(handle.id)).values())
  console.log(`${key} ${status}`);
