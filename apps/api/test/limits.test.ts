// Who asks too much, too slowly or too deep.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { configureLimits, limits } from "@sentient/schema";
import { until } from "@sentient/testkit";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import { askerOf, freshApi, post, served, tokenFor } from "./support/fresh.ts";

const { queued } = limits;
afterEach(() => configureLimits({ queued }));

describe("a body", () => {
  test("that is too large is refused by its length, and where it has none as it comes", async () => {
    const { ask } = await freshApi({ worker: false }, { limits: { bodyBytes: 1_000 } });
    const large = JSON.stringify({ name: "hello", input: "x".repeat(1_000) });
    const sent = { method: "POST", headers: { "content-type": "application/json" } };
    expect((await ask("/v1/runs", { ...sent, raw: large })).body).toMatchObject({
      status: 413,
      code: "api.too_large",
    });
    let pulled = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        pulled++;
        controller.enqueue(new Uint8Array(100).fill(32));
      },
    });
    const streamed = await ask("/v1/runs", { ...sent, raw: endless, duplex: "half" } as never);
    expect(streamed.status).toBe(413);
    expect(pulled).toBeLessThan(20);
  });

  test("that is too deep is refused before it is built", async () => {
    const { ask } = await freshApi({ worker: false });
    const deep = (levels: number) => `{"name":"hello","input":${"[".repeat(levels)}${"]".repeat(levels)}}`;
    const send = (raw: string) =>
      ask("/v1/runs", { method: "POST", raw, headers: { "content-type": "application/json" } });
    expect((await send(deep(60))).status).toBe(201);
    expect((await send(deep(64))).status).toBe(413);
    expect((await send(deep(500_000))).status).toBe(413);
    expect((await send(`{"name":"hello","input":"${"[".repeat(1_000)}"}`)).status).toBe(201);
  });

  test("that does not say that it is JSON, or is none, is refused", async () => {
    const { ask } = await freshApi({ worker: false });
    const send = (raw: string, type: string) =>
      ask("/v1/runs", { method: "POST", raw, headers: { "content-type": type } });
    const body = JSON.stringify({ name: "hello" });
    for (const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data",
      "application/jsonp",
    ])
      expect((await send(body, type)).body, type).toMatchObject({ status: 415, code: "api.not_json" });
    expect((await send(body, "application/json; charset=utf-8")).status).toBe(201);
    expect((await send("{name}", "application/json")).status).toBe(400);
  });
});

describe("who asks too often", () => {
  test("has to wait, and nobody else does", async () => {
    const { app, sentient, ask } = await freshApi({ worker: false }, { limits: { requestsPerSecond: 20 } });
    const other = askerOf(app, await tokenFor(sentient, "read"));
    const answers = await Promise.all(Array.from({ length: 60 }, () => ask("/v1/runs")));
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]!.body).toMatchObject({ code: "api.too_many_requests", retryable: true });
    expect(refused[0]!.headers.get("retry-after")).toBe("1");
    expect((await other("/v1/runs")).status).toBe(200);
    await until(async () => (await ask("/v1/runs")).status === 200, { what: "their turn again" });
  });

  test("fills the queues, is told so, and goes on when there is room", async () => {
    configureLimits({ queued: 5 });
    const { ask } = await freshApi({ worker: false });
    const statuses = [];
    for (let i = 0; i < 7; i++) statuses.push((await ask("/v1/runs", post({ name: "nobody" }))).status);
    expect(statuses).toEqual([201, 201, 201, 201, 201, 429, 429]);
    const { body } = await ask("/v1/runs");
    await ask(`/v1/runs/${body.runs[0].id}/cancel`, post());
    expect((await ask("/v1/runs", post({ name: "nobody" }))).status).toBe(201);
  });
});

describe("who is slow", () => {
  test(
    "to say what they want is cut off, and others are answered meanwhile",
    { timeout: 120_000 },
    async () => {
      const { sentient, token } = await freshApi({ worker: false });
      const { url } = await served(sentient);
      const { hostname, port } = new URL(url);
      const open = async () => {
        const socket = connect(Number(port), hostname)
          .on("error", () => {})
          .resume();
        await once(socket, "connect");
        return socket;
      };
      const idle: Socket[] = [];
      for (let i = 0; i < 300; i++) idle.push(await open());
      const slow = await open();
      let answer = "";
      slow.on("data", (data) => (answer += data.toString()));
      slow.write("POST /v1/runs HTTP/1.1\r\nHost: localhost\r\n");
      const drip = setInterval(() => slow.write("X-Slow: 1\r\n"), 500);
      onTestFinished(() => clearInterval(drip));
      const headers = { authorization: `Bearer ${token}` };
      expect((await fetch(`${url}/v1/runs`, { headers })).status).toBe(200);
      await until(() => slow.destroyed && idle.every(({ destroyed }) => destroyed), {
        what: "all to be cut off",
        deadline: 90_000,
      });
      expect(answer).toMatch(/^HTTP\/1\.1 408/);
      expect((await fetch(`${url}/v1/runs`, { headers })).status).toBe(200);
    },
  );
});

describe("every answer", () => {
  test("says that it is nothing to guess about or to keep", async () => {
    const { ask } = await freshApi({ worker: false });
    for (const path of [
      "/healthz",
      "/v1/runs",
      "/nope",
      "/v1/runs/nobody",
      "/metrics",
      "/reference",
      "/openapi.json",
    ]) {
      const { headers } = await ask(path);
      expect(Object.fromEntries(headers), path).toMatchObject({
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
        "x-request-id": expect.stringMatching(/^[0-9a-f-]{36}$/),
      });
    }
    const { headers, text } = await ask("/reference");
    expect(headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(text).not.toMatch(/<script|https?:\/\/(?!sentient\.dev)/);
  });
});
