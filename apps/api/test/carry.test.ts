// Runs that are carried over HTTP from one database to another, and what looks after them there.

import { until } from "@sentient/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import { createClient } from "../src/client/index.ts";
import { hello } from "./support/agents.ts";
import { freshApi, freshDatabase, post, sentientOn, served, tokenFor } from "./support/fresh.ts";

const lines = (raw: NonNullable<RequestInit["body"]>) => ({
  method: "POST",
  raw,
  headers: { "content-type": "application/x-ndjson" },
});

/** A run that has ended, as it is exported. */
async function exported(): Promise<{ id: string; text: string }> {
  const { sentient, ask } = await freshApi({ agents: [hello] });
  const handle = await sentient.start(hello, { to: "Ada" });
  await handle.result();
  return { id: handle.id, text: (await ask(`/v1/runs/${handle.id}/export`)).text };
}

describe("an import", () => {
  test("brings what an export gave, as it comes, once", async () => {
    const { id, text } = await exported();
    const sentient = await sentientOn(await freshDatabase(), { worker: false });
    const { url } = await served(sentient);
    const client = createClient({ url, token: await tokenFor(sentient, "admin") });
    const bytes = new TextEncoder().encode(text);
    let sent = 0;
    const slowly = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        if (sent >= bytes.length) return controller.close();
        controller.enqueue(bytes.subarray(sent, (sent += 777))); // no line ends where a piece does
      },
    });
    expect(await client.runs.import(slowly)).toEqual({ run: id, imported: [id], existed: [] });
    expect(await client.runs.get(id)).toMatchObject({ status: "completed", output: "hello Ada" });
    expect(await client.runs.import(text)).toMatchObject({ imported: [], existed: [id] });
    expect(await client.runs.storage(id)).toMatchObject({ runs: 1, blobs: { own: 0, shared: 0 } });
    expect(await client.runs.diff(id, { n: 1, with: id })).toMatchObject({
      state: [],
      steps: { onlyA: [], onlyB: [{ key: "main/greet#1" }] },
    });
    await expect(client.runs.verify(id)).resolves.toMatchObject({ ok: false, damage: "unhashed" });
  });

  test("is refused whole where anything of it is not as it was written", async () => {
    const { id, text } = await exported();
    const { ask, sentient } = await freshApi({ worker: false }, { limits: { importBytes: 100_000 } });
    const refused = async (raw: NonNullable<RequestInit["body"]>) =>
      (await ask("/v1/runs/import", lines(raw))).body;
    expect(await refused(text.slice(0, text.lastIndexOf('{"kind":"end"')))).toMatchObject({
      status: 400,
      code: "state.bad_export",
    });
    expect(await refused(text.replace("Ada", "Eve"))).toMatchObject({ code: "state.bad_export" });
    expect(await refused("")).toMatchObject({ code: "state.bad_export" });
    expect(await refused("no json\n")).toMatchObject({ code: "state.bad_export" });
    expect(await refused(new Uint8Array([0xff, 0xfe, 10]))).toMatchObject({ code: "api.bad_request" });
    expect(await refused(" ".repeat(100_001))).toMatchObject({ status: 413, code: "api.too_large" });
    const json = await ask("/v1/runs/import", { method: "POST", json: {} });
    expect(json.body).toMatchObject({ status: 415, code: "api.not_json" });
    expect((await sentient.list()).runs).toEqual([]);
    expect((await ask("/v1/runs/import", lines(text))).body).toMatchObject({ imported: [id] });
  });
});

describe("from outside", () => {
  test("the state of a run that nobody holds is changed at its revision, and its history added to", async () => {
    const { ask } = await freshApi({ worker: false });
    const { body: run } = await ask("/v1/runs", post({ name: "nobody", state: { items: [] } }));
    const { body: before } = await ask(`/v1/runs/${run.id}`);
    const put = (json: object) => ask(`/v1/runs/${run.id}/state`, { method: "PUT", json });
    const patch = [{ op: "add", path: "/items/-", value: "tea" }];
    const changed = await put({ revision: before.revision, patch, tags: ["x"] });
    expect(changed.body).toMatchObject({ state: { items: ["tea"] }, run: { tags: ["x"] } });
    expect((await put({ revision: before.revision, state: {} })).body).toMatchObject({
      status: 409,
      code: "state.revision_mismatch",
    });
    expect((await put({ revision: 1, state: {}, patch })).status).toBe(400);
    const entry = post({ type: "review.noted", data: { stars: 5 }, id: "review-1" });
    const { body: added } = await ask(`/v1/runs/${run.id}/history`, entry);
    expect((await ask(`/v1/runs/${run.id}/history`, entry)).body).toEqual(added);
    expect((await ask(`/v1/runs/${run.id}/history`, post({ type: "run.completed" }))).status).toBe(400);
  });

  test("what an agent remembers is begun, read and changed at its revision", async () => {
    const { ask } = await freshApi({ worker: false });
    const put = (state: unknown, revision: number) =>
      ask("/v1/agents/hello/state", { method: "PUT", json: { state, revision } });
    expect((await ask("/v1/agents/hello/state")).status).toBe(404);
    expect((await put({ mood: "calm" }, 0)).body).toMatchObject({ revision: 1 });
    expect((await put({ mood: "curious" }, 1)).body).toMatchObject({
      revision: 2,
      state: { mood: "curious" },
    });
    expect((await put({ mood: "late" }, 1)).body).toMatchObject({ code: "state.revision_mismatch" });
    expect((await ask("/v1/agents/hello/state")).body).toMatchObject({ name: "hello", revision: 2 });
  });

  test("a consumer is moved back, handles events again, and is forgotten; the log is trimmed", async () => {
    const { ask, sentient } = await freshApi({ worker: false });
    for (let i = 1; i <= 3; i++) await sentient.events.publish({ type: "order.placed", data: i });
    const seen: unknown[] = [];
    const consumer = await sentient.events.consumer(
      "mailer",
      { filter: { types: "order.*" } },
      ({ data }) => {
        seen.push(data);
      },
    );
    onTestFinished(() => consumer.stop());
    await until(() => seen.length === 3, { what: "all of them" });
    const { events } = await sentient.events.history({ types: "order.*" });
    const { position } = events[1]!;
    expect((await ask("/v1/consumers/mailer/move", post({ from: position }))).body).toMatchObject({
      name: "mailer",
    });
    await until(() => seen.length >= 5, { what: "two of them again" });
    expect(seen.slice(0, 5)).toEqual([1, 2, 3, 2, 3]);
    expect((await ask("/v1/consumers/nobody/move", post({ from: 1 }))).status).toBe(404);
    await consumer.stop();
    expect((await ask("/v1/consumers/mailer", { method: "DELETE" })).body).toEqual({ removed: true });
    expect((await ask("/v1/consumers/mailer", { method: "DELETE" })).body).toEqual({ removed: false });
    expect((await ask("/v1/events/trim", post({}))).status).toBe(400);
    expect((await ask("/v1/events/trim", post({ keep: 1 }))).body).toMatchObject({
      trimmed: expect.any(Number),
    });
    expect((await ask("/v1/events?after=0")).status).toBe(410);
  });
});
