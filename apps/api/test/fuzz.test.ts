// Requests that nobody means well with.

import { connect } from "node:net";
import { once } from "node:events";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { seeded, until, type SeededRandom } from "@sentient/testkit";
import { expect, test } from "vitest";
import type { Listed } from "../src/index.ts";
import { hello } from "./support/agents.ts";
import { freshApi, served } from "./support/fresh.ts";
import { anyJson, NUMBERS, TEXTS } from "./support/nasty.ts";

const REQUESTS = Number(process.env.SENTIENT_FUZZ_REQUESTS ?? 10_000);
const METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];
const GROWTH_BYTES = 50 * 1024 * 1024;

/** What routes are well asked with. */
const BODIES: Record<string, object> = {
  startRun: { name: "hello", input: { to: "Ada" } },
  forkRun: { n: 1, input: { to: "Bob" } },
  restoreRun: { n: 1 },
  signalRun: { name: "paid", data: { total: 12 } },
  answerQuestion: { value: true },
  createCheckpoint: { name: "before", metadata: {} },
  publishEvent: { type: "order.placed", data: { total: 12 } },
  putSchedule: { run: "hello", cron: "0 3 * * *", input: { to: "Ada" } },
  putLimit: { concurrency: 500 },
  redriveConsumer: { positions: [1] },
  moveConsumer: { from: 1 },
  updateState: { revision: 1, patch: [{ op: "add", path: "/x", value: 1 }] },
  addHistory: { type: "review.noted", data: { stars: 5 } },
  putAgentState: { revision: 0, state: { mood: "calm" } },
  trimEvents: { keep: 1_000_000 },
  createToken: { name: "ada", scopes: ["read"] },
};

function pathOf({ path }: Listed, random: SeededRandom, ids: readonly string[]): string {
  const filled = path.replace(/\{(\w+)\}/g, () =>
    encodeURIComponent((random.int(2) === 0 ? random.pick(ids) : random.pick(TEXTS)).toWellFormed()),
  );
  const query = Array.from({ length: random.int(4) }, () => {
    const name = random.pick([
      "limit",
      "after",
      "before",
      "status",
      "types",
      "wait",
      "order",
      "live",
      "n",
      random.pick(TEXTS),
    ]);
    const value = name === "wait" ? "1" : random.pick([...TEXTS, ...NUMBERS.map(String)]);
    return `${encodeURIComponent(name.toWellFormed())}=${encodeURIComponent(value.toWellFormed())}`;
  });
  return `${filled}${query.length > 0 ? `?${query.join("&")}` : ""}`;
}

function bodyOf({ name }: Listed, random: SeededRandom): RequestInit["body"] {
  const sensible = BODIES[name] ?? {};
  switch (random.int(12)) {
    case 0:
      return "{";
    case 1:
      return `${"[".repeat(10_000)}${"]".repeat(10_000)}`;
    case 2:
      return random.int(20) === 0 ? JSON.stringify({ input: "x".repeat(3 * 1024 * 1024) }) : "[]";
    case 3:
      return new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]);
    case 4:
      return '{"name":"hello","name":"other","__proto__":{"admin":true},"constructor":{"prototype":{}}}';
    case 5:
      return `{"n":1e999,"limit":${"9".repeat(400)},"name":"\\u0000\\ud800"}`;
    case 6:
      return "\0";
    case 7:
    case 8:
      return JSON.stringify(anyJson(random));
    case 9:
      return JSON.stringify({
        ...sensible,
        [random.pick([...Object.keys(sensible), random.pick(TEXTS)])]: anyJson(random),
      });
    default:
      return JSON.stringify(sensible);
  }
}

function headersOf(random: SeededRandom, token: string): Record<string, string> {
  const odd = () => random.pick(TEXTS).replaceAll(/[^\x20-\x7e]/g, "?");
  return {
    authorization: random.int(10) === 0 ? odd() : `Bearer ${token}`,
    "content-type": random.int(8) === 0 ? odd() : "application/json",
    ...(random.int(6) === 0 ? { "idempotency-key": odd() } : {}),
    ...(random.int(6) === 0 ? { "last-event-id": random.int(2) === 0 ? odd() : "0" } : {}),
    ...(random.int(10) === 0 ? { accept: odd(), "x-forwarded-for": odd() } : {}),
  };
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Of what this process holds, and not of what the engine in it has written, which stays its own affair. */
function heldBytes(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** What a refusal must not tell. What a run has failed with is its own, and has a stack. */
const INSIDE = /\n\s+at .+:\d+:\d+|node_modules|node:internal|\/src\/|SELECT \*|UPSERT|type::record\(\$/;

test(`${REQUESTS} requests, of every route and none of them well meant, are answered or refused by name`, async () => {
  const { app, sentient, token } = await freshApi({ agents: [hello] });
  const random = seeded();
  const first = await sentient.start(hello, { to: "Ada" });
  await first.result();
  const ids = [first.id, "hello", "1", "main/greet#1", "queue:default"];
  const wrong: string[] = [];
  const counts = new Map<number, number>();
  const ask = async () => {
    const route = random.pick(app.routes);
    const method = random.int(8) === 0 ? random.pick(METHODS) : route.method.toUpperCase();
    const path = pathOf(route, random, ids);
    const init = {
      method,
      headers: headersOf(random, token),
      ...(/GET|HEAD/.test(method) ? {} : { body: bodyOf(route, random) }),
    };
    const response = await app.request(path, init);
    const { status, headers } = response;
    const type = headers.get("content-type") ?? "";
    counts.set(status, (counts.get(status) ?? 0) + 1);
    const isStream = type.includes("event-stream");
    const text = isStream ? (await response.body?.cancel(), "") : await response.text();
    const isTyped = status < 400 || method === "HEAD" || type.startsWith("application/problem+json");
    if ((status >= 500 && status !== 503) || !isTyped || (status >= 400 && INSIDE.test(text)))
      wrong.push(`${method} ${path} → ${status} ${text.slice(0, 300)}`);
  };
  const askAll = async (many: number) => {
    for (let i = 0; i < many; i += 20) await Promise.all(Array.from({ length: 20 }, ask));
  };
  await askAll(REQUESTS / 4); // what is loaded once, and the engine's own memory
  const before = heldBytes();
  await askAll((REQUESTS * 3) / 4);
  expect(wrong, `SEED=${random.seed}`).toEqual([]);
  expect([...counts.keys()], `SEED=${random.seed}`).toEqual(
    expect.arrayContaining([200, 201, 400, 401, 404, 405, 413, 415]),
  );
  await until(() => app.streams === 0, { what: "no stream to be left" });
  expect(heldBytes() - before).toBeLessThan(GROWTH_BYTES);
  expect(({} as { admin?: boolean }).admin).toBeUndefined();
  await until(async () => (await app.request("/readyz")).status === 200, { what: "it to be ready" });
}, 600_000);

test("what is no HTTP is cut off, and the server goes on", async () => {
  const { sentient, token } = await freshApi({ worker: false });
  const { url } = await served(sentient);
  const { hostname, port } = new URL(url);
  const lines = [
    "\0\0\0\0",
    "GET",
    "GET / HTTP/9.9\r\n\r\n",
    "GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET //evil HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /v1/runs HTTP/1.1\r\n\r\n",
    "GET /v1/runs HTTP/1.1\r\nHost: \r\n\r\n",
    "GET /v1/runs HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET /v1/runs HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
    "GET /%c0%ae%c0%ae/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "CONNECT evil:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(20_000)}\r\n\r\n`,
    `POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
  ];
  for (const line of lines) {
    const socket = connect(Number(port), hostname);
    let answer = "";
    socket.on("error", () => {}).on("data", (data) => (answer += data.toString()));
    socket.end(line);
    await once(socket, "close");
    expect(
      answer === "" || /^HTTP\/1\.1 (?:4\d\d|200)/.test(answer),
      `${JSON.stringify(line.slice(0, 60))}: ${answer.slice(0, 200)}`,
    ).toBe(true);
    expect(INSIDE.test(answer)).toBe(false);
  }
  await until(async () => (await fetch(`${url}/readyz`)).status === 200, { what: "it to be ready" });
});
