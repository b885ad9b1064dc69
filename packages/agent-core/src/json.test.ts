import { expect, test } from "vitest";
import { NonRetryable } from "./errors.ts";
import { asJson } from "./json.ts";

const itself: Record<string, unknown> = { holes: [undefined] };
itself["again"] = itself;

test.each([
  [undefined, null],
  [{ b: 1, a: undefined }, { b: 1 }],
  [
    [undefined, -0, [undefined]],
    [null, 0, [null]],
  ],
  [
    { z: [{ y: [undefined] }], a: "é" },
    { a: "é", z: [{ y: [null] }] },
  ],
  [{ at: [new Date(0)] }, { at: ["1970-01-01T00:00:00.000Z"] }],
])("what is JSON, with nothing as null and times as strings: %j", (value, expected) => {
  expect(JSON.stringify(asJson(value, "it"))).toBe(JSON.stringify(expected));
});

test("a copy is not changed along with what it was made of", () => {
  const value = { items: [1] };
  const copy = asJson(value, "it");
  value.items.push(2);
  expect(copy).toEqual({ items: [1] });
});

test.each([
  [{ at: new Date("never") }, "it is not JSON: at: a Date"],
  [{ at: new Map() }, "it is not JSON: at: "],
  [[undefined, { n: Number.NaN }], "it is not JSON: [1].n: NaN"],
  [itself, "levels"],
  [() => 1, "a value of type function"],
])("what is none is refused, and the place is named", (value, message) => {
  const refused = () => asJson(value, "it");
  expect(refused).toThrow(NonRetryable);
  expect(refused).toThrow(message);
});
