import { expect, test } from "vitest";
import { until } from "../src/index.ts";

test("the first truthy value comes back", async () => {
  let looks = 0;
  expect(await until(() => (++looks === 3 ? "there" : undefined), { every: 1 })).toBe("there");
  expect(looks).toBe(3);
});

test("a condition that throws is asked again", async () => {
  let looks = 0;
  const run = await until(
    async () => {
      if (++looks < 3) throw new Error("not yet");
      return { id: 7 };
    },
    { every: 1 },
  );
  expect(run.id).toBe(7);
});

test("at the deadline the error names what was awaited and the last value", async () => {
  const waiting = until(() => 0, { deadline: 20, every: 5, what: "the lease" });
  await expect(waiting).rejects.toThrow(/^gave up waiting for the lease after \d+ ms; last value: 0$/);
});

test("at the deadline the error carries the last error", async () => {
  const cause = new Error("connection refused");
  const waiting = until(() => Promise.reject(cause), { deadline: 20, every: 5 });
  await expect(waiting).rejects.toMatchObject({
    message: expect.stringContaining("connection refused"),
    cause,
  });
});

test("a condition that never answers does not outlast the deadline", async () => {
  const waiting = until(() => new Promise<boolean>(() => {}), { deadline: 20 });
  await expect(waiting).rejects.toThrow("it never answered");
});

/** Stops the event loop, as a machine does that has other things to do. */
function freeze(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

test("what came while the process was frozen is found, though the deadline is over by then", async () => {
  let isThere = false;
  setTimeout(() => setImmediate(() => (isThere = true)), 10);
  const waiting = until(() => isThere, { deadline: 100, every: 5 });
  freeze(200);
  expect(await waiting).toBe(true);
});
