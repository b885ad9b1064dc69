// An assistant that reads by itself, asks a person before it pays, and is held to a budget.
//
//   npm run example assistant
//
// prints
//
//   invoice-7: 120 euros, due on Friday
//   a person is asked: May clerk use pay (danger) with {"invoice":"invoice-7","euros":120}?
//   paid 120 euros for invoice-7
//   clerk: It is paid.
//   3 turns of the model, 45 tokens of 100000
//
// The model is a script here. `fromAiSdk(provider("name"))` makes one of any model of the AI SDK.

import { createSentient } from "@sentient/agent-core";
import { createBudgets, defineAssistant, defineTool } from "@sentient/ai";
import { scripted } from "@sentient/ai/testing";
import { openDatabase } from "@sentient/db-pool";
import { z } from "zod";

const model = scripted([
  { calls: [{ name: "read_invoice", args: { invoice: "invoice-7" } }] },
  { calls: [{ name: "pay", args: { invoice: "invoice-7", euros: 120 } }] },
  "It is paid.",
]);

const readInvoice = defineTool({
  name: "read_invoice",
  description: "Reads an invoice.",
  effect: "read",
  input: z.object({ invoice: z.string() }),
  run: ({ invoice }) => {
    console.log(`${invoice}: 120 euros, due on Friday`);
    return { euros: 120, due: "Friday" };
  },
});
const pay = defineTool({
  name: "pay",
  description: "Pays an invoice.",
  effect: "danger", // so a person approves this very use, and it is begun once, whatever dies
  input: z.object({ invoice: z.string(), euros: z.number() }),
  run: ({ invoice, euros }) => console.log(`paid ${euros} euros for ${invoice}`),
});

await using database = await openDatabase({ url: "mem://" });
const budgets = await createBudgets(database);
const clerk = defineAssistant({
  name: "clerk",
  model,
  tools: [readInvoice, pay],
  meter: budgets.meter({ tokens: 100_000 }),
});

await using sentient = await createSentient({ database, agents: [clerk] });
const handle = await sentient.start(clerk, { prompt: "Pay invoice-7." });
for await (const { type } of handle.events()) {
  if (type !== "question.asked") continue;
  const { questions } = await sentient.questions.list({ run: handle.id });
  const { key, text } = questions[0]!;
  console.log(`a person is asked: ${text.split(" Answer")[0]}`);
  const binding = /binding (\w+)/.exec(text)![1]!;
  await sentient.answer(handle.id, key, { approve: true, binding }, { by: "ada" });
}
const { text, turns } = await handle.result();
const { used, limits } = (await budgets.of(handle.id))!;
console.log(`clerk: ${text}`);
console.log(`${turns} turns of the model, ${used.tokens} tokens of ${limits.tokens}`);
