import { once } from "node:events";
import { connect, createServer, type AddressInfo } from "node:net";
import { setImmediate } from "node:timers/promises";
import { sabotage } from "@sentient/testkit";
import { expect, onTestFinished, test } from "vitest";
import { afterReading, systemClock } from "./clock.ts";

/** What comes first where the process is frozen until the time is over, and an answer came meanwhile. */
async function firstAfterFreeze(after: (ms: number, fn: () => void) => () => void): Promise<string> {
  const server = createServer((socket) => socket.end("answer")).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const socket = connect(port, "127.0.0.1");
  const served = once(server, "connection");
  await Promise.all([served, once(socket, "connect")]);
  const first = Promise.withResolvers<string>();
  socket.once("data", () => first.resolve("the answer"));
  after(10, () => first.resolve("the end of patience"));
  for (const end = performance.now() + 50; performance.now() < end;);
  return first.promise;
}

test("who gives up when its time is over has heard before what came while its process was frozen", async () => {
  expect(await firstAfterFreeze((ms, fn) => afterReading(systemClock, ms, fn))).toBe("the answer");
  await sabotage("a bare timer", async () =>
    expect(await firstAfterFreeze((ms, fn) => systemClock.after(ms, fn))).toBe("the answer"),
  );
});

test("what is cancelled while it lets things be read does not happen", async () => {
  const due = { now: () => 0, after: (_: number, fn: () => void) => (fn(), () => {}) };
  let happened = false;
  afterReading(due, 1, () => (happened = true))();
  await setImmediate();
  expect(happened).toBe(false);
});
