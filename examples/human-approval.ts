// Human approval. A run asks, and waits for days if need be. The question is a row: list it, show it, answer it from any
// process. An answer that does not fit is refused, and a second one is too.
//
//   npm run example human-approval
//
// prints
//
//   ada is asked: May I refund 120 EUR to Bo?
//   "sure" is refused: state.invalid_answer
//   ada has answered
//   {"approved":false} is refused: state.not_open
//   refunded 100 EUR, approved by ada

import { setTimeout as pause } from "node:timers/promises";
import { createSentient, defineWorkflow, type Sentient } from "@sentient/agent-core";
import { SentientError } from "@sentient/db-pool";
import { z } from "zod";

const Decision = z.object({ approved: z.boolean(), most: z.number().optional() });

const refund = defineWorkflow({
  name: "refund",
  input: z.object({ to: z.string(), amount: z.number() }),
  run: async (ctx, { to, amount }) => {
    const { value, by } = await ctx.ask("approve", {
      text: `May I refund ${amount} EUR to ${to}?`,
      schema: Decision,
      assignee: "ada",
      deadline: 3 * 86_400_000,
      onTimeout: { approved: false },
    });
    if (!value.approved) return "not refunded";
    const paid = await ctx.step("pay", () => Math.min(amount, value.most ?? amount));
    return `refunded ${paid} EUR, approved by ${by}`;
  },
});

await using sentient = await createSentient({ url: "mem://", workflows: [refund] });

const handle = await sentient.start(refund, { to: "Bo", amount: 120 });
const question = await nextQuestion(sentient, "ada");
console.log(`ada is asked: ${question.text}`);

for (const answer of ["sure", { approved: true, most: 100 }, { approved: false }])
  try {
    await sentient.answer(question.run, question.key, answer, { by: "ada" });
    console.log("ada has answered");
  } catch (error) {
    if (!(error instanceof SentientError)) throw error;
    console.log(`${JSON.stringify(answer)} is refused: ${error.code}`);
  }
console.log(await handle.result());

async function nextQuestion({ questions }: Sentient, assignee: string) {
  for (;;) {
    const [first] = (await questions.list({ assignee })).questions;
    if (first) return first;
    await pause(20);
  }
}
