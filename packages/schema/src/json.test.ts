import * as fc from "fast-check";
import { expect, test } from "vitest";
import { canonicalJson, type Json } from "./json.ts";

test("equal values have one text, whatever the order of their keys", () => {
  expect(canonicalJson({ b: 1, a: { d: [], c: "é" }, "10": 0, "9": 0 })).toBe(
    '{"9":0,"10":0,"a":{"c":"é","d":[]},"b":1}',
  );
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      fc.pre(!JSON.stringify(value).includes('"__proto__":')); // refused
      expect(canonicalJson(value as Json)).toBe(canonicalJson(shuffled(value) as Json));
      expect(JSON.parse(canonicalJson(value as Json))).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

test("what is undefined in an object is left out, and refused in a list", () => {
  expect(canonicalJson({ a: undefined, b: 1 })).toBe('{"b":1}');
  expect(() => canonicalJson([undefined] as never)).toThrow("[0]: a value of type undefined is no JSON");
});

test.each([
  [Number.NaN, "NaN is no JSON"],
  [{ a: [1n] }, "a[0]: a value of type bigint"],
  [{ a: new Map() }, "a: a Map is no JSON"],
  ["\udc00", "lone surrogate"],
  [{ f: () => {} }, "f: a value of type function"],
])("%s is refused, with its path", (value, sentence) => {
  expect(() => canonicalJson(value as never)).toThrow(sentence);
});

function shuffled(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(shuffled);
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, item]) => [key, shuffled(item)]),
  );
}
