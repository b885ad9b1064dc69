// Supervisor. A workflow plans, and hands each task to whoever can do it, by capability and not by name: of those who can,
// one that does least at the moment. It asks a critic, and has the text written again until that one is content.
//
//   npm run example supervisor
//
// prints
//
//   search by librarian: three facts about bees
//   write by poet: bees, in one line
//   review by critic: too short
//   write by poet: bees, in two lines
//   review by critic: good
//   bees, in two lines

import { createSentient, defineAgent, defineWorkflow } from "@sentient/agent-core";
import { z } from "zod";

const Task = z.object({ about: z.string(), draft: z.number().default(1) });

function agent(name: string, capability: string, work: (task: z.output<typeof Task>) => string) {
  return defineAgent({
    name,
    capabilities: [capability],
    input: Task,
    output: z.string(),
    run: (ctx, task) =>
      ctx.step(capability, () => {
        const done = work(task);
        console.log(`${capability} by ${name}: ${done}`);
        return done;
      }),
  });
}

const librarian = agent("librarian", "search", ({ about }) => `three facts about ${about}`);
const poet = agent(
  "poet",
  "write",
  ({ about, draft }) => `${about}, in ${draft === 1 ? "one line" : "two lines"}`,
);
const critic = agent("critic", "review", ({ draft }) => (draft === 1 ? "too short" : "good"));

const supervisor = defineWorkflow({
  name: "supervisor",
  input: z.object({ about: z.string() }),
  run: async (ctx, { about }) => {
    const whoCan = (capability: string, draft = 1) =>
      ctx.call({ capabilities: [capability] }, { about, draft });
    await whoCan("search");
    for (let draft = 1; ; draft++) {
      const text = await whoCan("write", draft);
      if ((await whoCan("review", draft)) === "good") return text;
    }
  },
});

await using sentient = await createSentient({
  url: "mem://",
  agents: [librarian, poet, critic],
  workflows: [supervisor],
});
console.log(await sentient.execute(supervisor, { about: "bees" }));
