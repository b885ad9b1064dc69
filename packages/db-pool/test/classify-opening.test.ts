// Opening a database that is not there, or is none: an answer in words, in time, and nothing left open.

import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { until, VirtualClock } from "@sentient/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import { type DatabaseOptions, type DbError, openDatabase, serve } from "../src/index.ts";
import { failureOf } from "./support/failure.ts";
import { freshDatabase } from "./support/fresh.ts";

const TIMEOUT = 400;

async function portOf(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** A port that nobody listens on: somebody did a moment ago. */
async function deadPort(): Promise<number> {
  const server = createServer();
  const port = await portOf(server);
  server.close();
  await once(server, "close");
  return port;
}

/** A server that takes connections and says nothing. */
async function silentPort(): Promise<{ port: number; connections: () => Promise<number> }> {
  const server = createServer((socket) => socket.on("error", () => {}).resume());
  onTestFinished(() => void server.close());
  const port = await portOf(server);
  return {
    port,
    connections: () => new Promise((resolve) => server.getConnections((_error, n) => resolve(n))),
  };
}

/** A web server that is no database. */
async function webPort(): Promise<number> {
  const server = createHttpServer((_request, response) => response.end("<html>hello</html>"));
  onTestFinished(() => void server.close());
  return portOf(server);
}

const opening = (url: string, options: DatabaseOptions = {}) =>
  failureOf(() => openDatabase({ url, anonymous: true, connectTimeout: TIMEOUT, ...options }));

/** How `opening` fails; it has to do so at `connectTimeout`, and not before. */
async function failureAtTimeout(clock: VirtualClock, failing: Promise<DbError>): Promise<DbError> {
  let ended = false;
  void failing.finally(() => (ended = true)).catch(() => {});
  await clock.advance(TIMEOUT - 1);
  expect(ended).toBe(false);
  await clock.advance(1);
  return failing;
}

describe.each(["ws", "http"])("over %s", (scheme) => {
  test("a port that nobody listens on is db.unreachable, after trying until connectTimeout", async () => {
    const clock = new VirtualClock();
    const failing = opening(`${scheme}://127.0.0.1:${await deadPort()}`, { clock });
    await until(() => clock.pending === 2, { what: "the pause before the next attempt" });
    const failure = await failureAtTimeout(clock, failing);
    expect(failure).toMatchObject({ code: "db.unreachable", outcome: "not_applied", retryable: true });
    expect(failure.message).toMatch(/127\.0\.0\.1:\d+/);
    expect(clock.pending).toBe(0);
  });

  test("a server that says nothing is db.unreachable at connectTimeout, and is let go", async () => {
    const { port, connections } = await silentPort();
    const clock = new VirtualClock();
    const failing = opening(`${scheme}://127.0.0.1:${port}`, { clock });
    await until(async () => (await connections()) === 1, { what: "the connection" });
    const failure = await failureAtTimeout(clock, failing);
    expect(failure).toMatchObject({ code: "db.unreachable", outcome: "not_applied", retryable: true });
    await until(async () => (await connections()) === 0, { what: "the end of the connection" });
  });

  test("a web server that is no database is told from one", async () => {
    const failure = await opening(`${scheme}://127.0.0.1:${await webPort()}`);
    expect(failure.code).toMatch(/^db\.(unreachable|undecodable)$/);
    expect(failure.outcome).toBe("not_applied");
  });

  test("the wrong token is db.auth_failed, at once", async () => {
    await using served = await serve(await freshDatabase(), { token: "right-right-right" });
    const url = served.url.replace("ws:", `${scheme}:`);
    const failure = await failureOf(() => openDatabase({ url, token: "wrong-wrong-wrong" }));
    expect(failure).toMatchObject({ code: "db.auth_failed", outcome: "not_applied", retryable: false });
    await using db = await openDatabase({ url, token: "right-right-right" });
    expect(db.url).toBe(url);
  });
});

test("a host whose name nobody knows is db.unreachable", async () => {
  const failure = await opening("wss://db.invalid");
  expect(failure).toMatchObject({ code: "db.unreachable", outcome: "not_applied", retryable: true });
});
