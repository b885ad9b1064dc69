// Vectors by an embedding model: through the real provider, against a real server.

import { until } from "@sentient/testkit";
import { expect, test } from "vitest";
import { embedderFromAiSdk } from "../src/from-ai-sdk-embedding.ts";
import type { Answer } from "./support/model-server.ts";
import { failureOf, never, serverFor } from "./support/models.ts";

async function embedderFor(answer: Answer) {
  const server = await serverFor(answer);
  return { server, embedder: embedderFromAiSdk(server.provider().embeddingModel("owl-vectors @1"), 2) };
}

test("each text has its vector, in order", async () => {
  const { server, embedder } = await embedderFor(({ body }) => ({
    vectors: body.input!.map((text) => [text.length, 1]),
  }));
  expect(embedder).toMatchObject({ name: "owl-vectors--1", dimension: 2 });
  expect(await embedder.embed(["a", "bb", "ccc"], never)).toEqual([
    [1, 1],
    [2, 1],
    [3, 1],
  ]);
  expect(server.asked[0]).toMatchObject({ path: "/v1/embeddings", body: { model: "owl-vectors @1" } });
});

test("what fails may be asked again, and is asked once; what is refused is not to be", async () => {
  const { server, embedder } = await embedderFor((_, nth) => ({ status: nth === 1 ? 429 : 401 }));
  expect(await failureOf(embedder.embed(["a"], never))).toMatchObject({
    code: "ai.model_failed",
    retryable: true,
  });
  expect(await failureOf(embedder.embed(["a"], never))).toMatchObject({ code: "ai.model_refused" });
  expect(server.asked).toHaveLength(2);
});

test("whoever aborts closes the request, with what they say", async () => {
  const { server, embedder } = await embedderFor(() => new Promise<never>(() => {}));
  const abort = new AbortController();
  const failure = failureOf(embedder.embed(["a"], abort.signal));
  await until(() => server.asked.length === 1);
  abort.abort(new Error("enough"));
  expect((await failure).message).toBe("enough");
  await server.asked[0]!.closed;
});
