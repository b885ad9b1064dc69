// Fork and compare. A run that is over can be taken up from any of its points, with something edited: the new run remembers
// what was done before, does the rest, and can be compared with the old one.
//
//   npm run example fork-and-compare
//
// prints
//
//   plan, draft, title
//   Bees: an essay on flowers and honey
//   draft, title
//   Wasps: an essay on nests and stings
//   main/plan#1: ["flowers","honey"] → ["nests","stings"]
//   main/draft#1: "an essay on flowers and honey" → "an essay on nests and stings"
//   main/title#1: "Bees" → "Wasps"

import { createSentient, defineAgent } from "@sentient/agent-core";
import { z } from "zod";

let done: string[] = [];
const doing = <T>(what: string, result: T): T => {
  done.push(what);
  return result;
};

const essay = defineAgent({
  name: "essay",
  state: z.object({ subject: z.string().default("Bees") }),
  output: z.string(),
  run: async (ctx) => {
    const plan = await ctx.step("plan", () => doing("plan", ["flowers", "honey"]));
    await ctx.checkpoint("planned");
    const draft = await ctx.step("draft", () => doing("draft", `an essay on ${plan.join(" and ")}`));
    const title = await ctx.step("title", () => doing("title", ctx.state.subject));
    return `${title}: ${draft}`;
  },
});

await using sentient = await createSentient({ url: "mem://", agents: [essay] });

const first = await sentient.start(essay);
const text = await first.result();
console.log(done.join(", "));
console.log(text);

done = [];
const fork = await sentient.fork(first.id, {
  checkpoint: "planned",
  state: { subject: "Wasps" },
  steps: { "main/plan#1": ["nests", "stings"] },
});
const other = await fork.result();
console.log(done.join(", "));
console.log(String(other));

const { steps } = await sentient.state.diff(first.id, fork.id);
for (const { key, a, b } of steps.changed) console.log(`${key}: ${resultOf(a)} → ${resultOf(b)}`);

function resultOf(step: object): string {
  return JSON.stringify("result" in step ? step.result : undefined);
}
