import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { type Message, spawnChild } from "../src/index.ts";

const echo = new URL("./fixtures/echo.ts", import.meta.url);
const fail = new URL("./fixtures/fail.ts", import.meta.url);
const tick = new URL("./fixtures/tick.ts", import.meta.url);
const parentOfOne = new URL("./fixtures/parent.ts", import.meta.url);

const isTick = (message: Message) => "tick" in message;

test("a child gets arguments, environment and conditions, and its JSON lines are messages", async () => {
  await using child = spawnChild(echo, {
    args: ["a", "b"],
    env: { GREETING: "hello", HOME: undefined },
  });
  const ready = await child.message<{ ready: boolean; flags: string[] }>((message) => message.ready === true);
  expect(ready.flags).toContain("--conditions=@sentient/source");
  expect(child.messages[0]).toEqual({ args: ["a", "b"], greeting: "hello" });
  expect(child.messages).toHaveLength(2);
  expect(child.stdout).toContain("a line that is no message\n{not json either\n");
});

test("a message is handed out once, however often it is asked for", async () => {
  await using child = spawnChild(tick);
  expect(await child.message(isTick)).toEqual({ tick: 1 });
  expect(await child.message(isTick)).toEqual({ tick: 2 });
});

test("a message that does not come in time is an error", async () => {
  await using child = spawnChild(echo);
  await expect(child.message(() => false, 50)).rejects.toThrow("did not send the message within 50 ms");
});

test("waiting for a message ends when the child does, with its stderr", async () => {
  await using child = spawnChild(fail);
  await expect(child.message((message) => message.ready === true)).rejects.toThrow(
    /exited \(2\) without the message; its stderr:\nno such store/,
  );
  expect(await child.message((message) => message.last === "words")).toBeDefined();
  expect(await child.exited).toEqual({ code: 2, signal: null });
});

test("an entry that does not exist is an exit, not a hang", async () => {
  await using child = spawnChild("/nowhere/entry.ts");
  expect((await child.exited).code).toBe(1);
  expect(child.stderr).toContain("/nowhere/entry.ts");
});

test("kill is SIGKILL unless another signal is named", async () => {
  await using killed = spawnChild(echo);
  await using asked = spawnChild(echo);
  await Promise.all([killed, asked].map((child) => child.message((message) => message.ready === true)));
  expect(await killed.kill()).toEqual({ code: null, signal: "SIGKILL" });
  expect(await asked.kill("SIGTERM")).toEqual({ code: 3, signal: null });
  expect(await killed.kill()).toEqual({ code: null, signal: "SIGKILL" });
});

test("a stopped child is silent until it continues", async () => {
  await using child = spawnChild(tick);
  await child.message(isTick);
  child.stop();
  await expect(drain(() => child.message(isTick, 200))).rejects.toThrow("within 200 ms");
  child.continue();
  await child.message(isTick);
});

test("a child is gone at the end of its block", async () => {
  let exited;
  {
    await using child = spawnChild(echo);
    ({ exited } = child);
  }
  expect(await exited).toEqual({ code: null, signal: "SIGKILL" });
});

test("a child does not outlive its parent, even one that was killed", async () => {
  await using server = createServer();
  const accepted = once(server.listen(0, "127.0.0.1"), "connection");
  await once(server, "listening");
  await using parent = spawnChild(parentOfOne, {
    args: [String((server.address() as AddressInfo).port)],
  });
  const [grandchild] = (await accepted) as [Socket];
  const gone = new Promise((resolve) =>
    grandchild
      .on("error", () => {})
      .once("close", resolve)
      .resume(),
  );
  expect(await parent.kill()).toEqual({ code: null, signal: "SIGKILL" });
  await gone;
});

/** Takes what is left until `take` rejects. */
async function drain(take: () => Promise<unknown>): Promise<never> {
  for (;;) await take();
}
