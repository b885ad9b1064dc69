import { getEventListeners } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { VirtualClock } from "@sentient/testkit";
import { expect, test } from "vitest";
import { Deadline } from "./deadline.ts";
import { DbError } from "./errors.ts";

const never = () => new Promise<never>(() => {});
const outcome = () => "not_applied" as const;
const failure = (work: Promise<unknown>) => work.catch((error: DbError) => error);

test("what is done in time is handed on, and no timer stays", async () => {
  const clock = new VirtualClock();
  {
    using deadline = new Deadline(clock, 100);
    expect(await deadline.guard(Promise.resolve("done"), "working", outcome)).toBe("done");
    await expect(deadline.guard(Promise.reject(new Error("no")), "working", outcome)).rejects.toThrow("no");
    expect(deadline.ended).toBe(false);
    expect(clock.pending).toBe(1);
  }
  expect(clock.pending).toBe(0);
});

test("all that waits when the time is up is rejected, each with what it was doing and may have done", async () => {
  const clock = new VirtualClock();
  using deadline = new Deadline(clock, 100);
  const waiting = failure(deadline.guard(never(), "waiting for a connection", outcome));
  const sent = failure(deadline.guard(never(), "waiting for the answer", () => "unknown"));
  await clock.advance(99);
  expect(deadline.ended).toBe(false);
  await clock.advance(1);
  expect(await waiting).toMatchObject({ code: "db.timeout", outcome: "not_applied", retryable: true });
  expect(await waiting).toHaveProperty(
    "message",
    expect.stringMatching(/100 ms while waiting for a connection/),
  );
  expect(await sent).toMatchObject({ code: "db.timeout", outcome: "unknown", retryable: false });
});

test("an abort ends it early, once, with its reason", async () => {
  const clock = new VirtualClock();
  const end = new AbortController();
  using deadline = new Deadline(clock, 100, end.signal);
  const waiting = failure(deadline.guard(never(), "working", outcome));
  end.abort("enough");
  await clock.advance(1_000);
  expect(await waiting).toMatchObject({ code: "db.cancelled", cause: "enough", retryable: false });
  expect(clock.pending).toBe(0);
});

test("once over, nothing begins, and the work of others is looked after", async () => {
  const clock = new VirtualClock();
  using deadline = new Deadline(clock, 100, AbortSignal.abort());
  expect(() => deadline.check("sending")).toThrow(DbError);
  const late = failure(deadline.guard(Promise.reject(new Error("of somebody else")), "working", outcome));
  expect(await late).toMatchObject({ code: "db.cancelled" });
  await turn(); // an unhandled rejection would fail this test
});

test("a listener on a signal that many calls share is taken off again", () => {
  const clock = new VirtualClock();
  const end = new AbortController();
  const listening = () => getEventListeners(end.signal, "abort").length;
  for (let call = 0; call < 20; call++) {
    using deadline = new Deadline(clock, 100, end.signal);
    expect([listening(), deadline.ended]).toEqual([1, false]);
  }
  expect(listening()).toBe(0);
});

test.each([Infinity, Number.NaN, 0, -1, 2 ** 31, "50" as never])("a limit of %o is refused", (limit) => {
  expect(() => new Deadline(new VirtualClock(), limit)).toThrow(
    expect.objectContaining({ code: "db.bad_option" }),
  );
});
