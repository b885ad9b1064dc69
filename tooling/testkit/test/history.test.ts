import { expect, test } from "vitest";
import { History, type RegisterAction } from "../src/index.ts";

test("operations are recorded in the order they were invoked, with their outcomes in real-time order", () => {
  const history = new History<RegisterAction>();
  const write = history.invoke("a", { op: "write", value: 1 }, "x");
  const read = history.invoke("b", { op: "read" }, "x");
  read.ok(1);
  write.ok();
  expect(history.operations).toEqual([
    {
      process: "a",
      key: "x",
      action: { op: "write", value: 1 },
      outcome: "ok",
      result: undefined,
      invoked: 1,
      completed: 4,
    },
    { process: "b", key: "x", action: { op: "read" }, outcome: "ok", result: 1, invoked: 2, completed: 3 },
  ]);
});

test("what failed did complete; what is unknown, or was never settled, did not", () => {
  const history = new History<RegisterAction>();
  history.invoke("a", { op: "read" }).fail();
  history.invoke("b", { op: "read" }).info();
  history.invoke("c", { op: "read" });
  expect(history.operations.map(({ outcome, completed }) => [outcome, completed])).toEqual([
    ["fail", 2],
    ["info", Infinity],
    ["info", Infinity],
  ]);
});

test("a call has one outcome", () => {
  const call = new History<RegisterAction>().invoke("a", { op: "write", value: 5 });
  call.info();
  expect(() => call.ok()).toThrow("1–… a write 5 → info: this call has its outcome already");
});
