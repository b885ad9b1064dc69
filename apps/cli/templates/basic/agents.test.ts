import assert from "node:assert/strict";
import { test } from "node:test";
import { createTestSentient } from "@sentient/agent-core/testing";
import { hello, party } from "./agents.ts";

const house = { agents: [hello], workflows: [party] };
const guests = ["Ada", "Grace"];

test("everybody is greeted once somebody says so, and what sleeps takes no time", async () => {
  await using sentient = await createTestSentient({ ...house, answers: { begin: true } });
  assert.deepEqual(await sentient.execute(party, { guests }), ["Hello, Ada!", "Hello, Grace!"]);
});

test("a greeting whose process dies is greeted by the next one", async () => {
  await using sentient = await createTestSentient(house);
  sentient.crashAt("greet");
  assert.equal(await sentient.execute(hello, { to: "Ada" }), "Hello, Ada!");
});
