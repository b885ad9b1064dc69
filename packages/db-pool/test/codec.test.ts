// C1 and C2 of the codec: what goes in comes out equal, as plain data. Every value here went through a real engine.

import {
  BoundExcluded,
  BoundIncluded,
  GeometryCollection,
  GeometryLine,
  GeometryPoint,
  GeometryPolygon,
  Range,
} from "surrealdb";
import { describe, expect, test } from "vitest";
import { Decimal, Duration, PreciseDate, RecordId, RecordIdRange, surql, Table, Uuid } from "../src/index.ts";
import { failureOf } from "./support/failure.ts";
import { freshDatabase } from "./support/fresh.ts";

const uuid = new Uuid("018f0b1e-6f5b-7c3c-8f8a-0123456789ab");
const line = new GeometryLine([
  new GeometryPoint([0, 0]),
  new GeometryPoint([1, 1]),
  new GeometryPoint([0, 0]),
]);

/** `depth` containers in each other, arrays and objects in turn. */
function nested(depth: number): unknown {
  let value: unknown = "core";
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { in: value };
  return value;
}

const values: [name: string, value: unknown][] = [
  ["NaN", Number.NaN],
  ["minus zero", -0],
  ["Infinity", Infinity],
  ["minus Infinity", -Infinity],
  ["2^53 − 1", 2 ** 53 - 1],
  ["−(2^53 − 1)", -(2 ** 53 - 1)],
  ["the smallest double", Number.MIN_VALUE],
  ["a sum that is not quite 0.3", 0.1 + 0.2],
  ["2^53 as a bigint", 2n ** 53n],
  ["−2^53 as a bigint", -(2n ** 53n)],
  ["the largest 64-bit integer", 2n ** 63n - 1n],
  ["the smallest 64-bit integer", -(2n ** 63n)],
  ["null", null],
  ["true", true],
  ["an empty string", ""],
  ["NUL in a string", "a\0b"],
  ["control characters", "\u0001\u001f\u007f\u2028\r\n\t"],
  ["emoji, combining marks and right-to-left text", "👩‍👩‍👧 🏴‍☠️ e\u0301 שלום"],
  ["a string that reads like a record id", "person:ada"],
  ["a string that reads like a date", "2026-01-01T00:00:00Z"],
  ["a string of 100,000 characters", "ä".repeat(100_000)],
  ["the epoch", new Date(0)],
  ["a date just before the epoch", new Date(-1)],
  ["the year 1", new Date(-62_135_596_800_000)],
  ["the year 9999", new Date("9999-12-31T23:59:59.999Z")],
  ["the year 200000", new Date(Date.UTC(200_000, 0))],
  ["the year −200000", new Date(Date.UTC(-200_000, 0))],
  ["a date with nanoseconds", new PreciseDate(5, 123_456)],
  ["a date with nanoseconds before the epoch", new PreciseDate(-5, 999_999)],
  ["bytes", new Uint8Array([0, 1, 127, 128, 255])],
  ["no bytes", new Uint8Array()],
  ["a view of some bytes of a larger buffer", new Uint8Array([1, 2, 3, 4]).subarray(1, 3)],
  ["70,000 bytes", new Uint8Array(70_000).fill(7)],
  ["a Set", new Set([1, "a", null])],
  ["an empty Set", new Set()],
  ["a Set of arrays", new Set([[1, 2], [1]])],
  ["a Set of NaN", new Set([Number.NaN])],
  ["an empty array", []],
  ["an empty object", {}],
  ["arrays and objects in each other", [[[]], { a: { b: [{}, null, { c: [-0, true] }] } }]],
  ["1,000 elements", Array.from({ length: 1_000 }, (_, i) => i)],
  ["64 levels", nested(64)],
  ["an empty key", { "": 1 }],
  ["NUL in a key", { "a\0b": 1 }],
  ["an emoji as a key", { "🦀": 1 }],
  ["keys that must be quoted in SurrealQL", { "a b": 1, "`": 2, "⟩": 3, "'": 4, '"': 5, "\\": 6, "\n": 7 }],
  ["keys that every object inherits", { constructor: 1, toString: "x", hasOwnProperty: [], prototype: {} }],
  ["an object that looks like GeoJSON", { type: "Point", coordinates: [1, 2] }],
  ["NONE inside an array", [1, undefined, 2]],
  ["a record id of text", new RecordId("person", "ada")],
  ["a record id of text that must be quoted", new RecordId("person", "a`⟩ b:\\'\"\0")],
  ["a record id of a number", new RecordId("person", 7)],
  ["a record id of a number beyond 2^53", new RecordId("person", 2n ** 60n)],
  ["a record id of an array", new RecordId("person", ["a", 1, new Date(0), null])],
  ["a record id of an object", new RecordId("person", { year: 2026, tags: ["x"] })],
  ["a record id of a uuid", new RecordId("person", uuid)],
  ["a range of record ids", new RecordIdRange("person", new BoundIncluded(1), new BoundExcluded(5))],
  ["a duration", new Duration("1w2d3h4m5s6ms7us8ns")],
  ["a duration of nothing", new Duration("0ns")],
  ["a decimal with a trailing zero", new Decimal("1.10")],
  ["a decimal of 28 digits", new Decimal("-1.234567890123456789012345678")],
  ["a uuid", uuid],
  ["a table", new Table("some table")],
  ["a range", new Range(new BoundIncluded(1), new BoundExcluded("z"))],
  ["a range without bounds", new Range(undefined, undefined)],
  ["a point", new GeometryPoint([1.5, -2.5])],
  ["a line", line],
  ["a polygon", new GeometryPolygon([line])],
  ["a geometry collection", new GeometryCollection([new GeometryPoint([1, 2]), line])],
];

test.each(values)("%s comes back from the database equal", async (_name, value) => {
  const db = await freshDatabase();
  await db.query(surql`CREATE kept:1 SET value = ${value}, inside = ${{ list: [value] }}`);
  const kept = await db.query(surql<{ value: unknown; inside: unknown }>`SELECT * FROM ONLY kept:1`);
  expect(kept.value).toStrictEqual(value);
  expect(kept.inside).toStrictEqual({ list: [value] });
  expect(typeof value !== "number" || Object.is(kept.value, value)).toBe(true);
});

test.each([
  ["0 and −0", 0, -0],
  ["dates a nanosecond apart", new PreciseDate(5, 1), new PreciseDate(5, 2)],
  ["a date with nanoseconds and one without", new PreciseDate(5, 1), new Date(5)],
  ["record ids 1 and 2", new RecordId("t", 1), new RecordId("t", 2)],
  ["record ids 1 and 1n", new RecordId("t", 1), new RecordId("t", 1n)],
  ["record ids 1 and '1'", new RecordId("t", 1), new RecordId("t", "1")],
  ["decimals 1.1 and 1.2", new Decimal("1.1"), new Decimal("1.2")],
  ["points", new GeometryPoint([1, 2]), new GeometryPoint([2, 1])],
  ["ranges", new Range(new BoundIncluded(1), undefined), new Range(new BoundExcluded(1), undefined)],
  ["a table and its name", new Table("t"), "t"],
])("the comparison above tells %s apart", (_name, one, other) => {
  expect([one]).not.toStrictEqual([other]);
});

test("undefined, bound as a whole value, is NONE: the field is absent", async () => {
  const db = await freshDatabase();
  await db.query(surql`CREATE kept:1 SET value = ${undefined}, other = ${null}`);
  expect(await db.query(surql`SELECT * FROM ONLY kept:1`)).toStrictEqual({
    id: new RecordId("kept", 1),
    other: null,
  });
});

test("an object without a prototype comes back with the ordinary one", async () => {
  const db = await freshDatabase();
  const bare: unknown = Object.assign(Object.create(null), { a: 1 });
  expect(await db.query(surql`RETURN ${bare}`)).toStrictEqual({ a: 1 });
});

describe("a time with nanoseconds", () => {
  test("is read, changed in JavaScript's terms not at all, and written back to the nanosecond", async () => {
    const db = await freshDatabase();
    await db.query(surql`CREATE clock:1 SET now = time::now(), then = d'2024-02-29T12:00:00.123456789Z'`);
    const { now, then } = await db.query(surql<{ now: Date; then: Date }>`SELECT * FROM ONLY clock:1`);
    expect(then).toStrictEqual(new PreciseDate(Date.UTC(2024, 1, 29, 12, 0, 0, 123), 456_789));
    await db.query(surql`UPDATE clock:1 SET now_again = ${now}, then_again = ${then}`);
    expect(
      await db.query(surql`SELECT VALUE [now = now_again, then = then_again] FROM ONLY clock:1`),
    ).toEqual([true, true]);
  });

  test("would lose them as a plain Date", async () => {
    const db = await freshDatabase();
    const exact = await db.query(surql<Date>`RETURN d'2024-02-29T12:00:00.123456789Z'`);
    const truncated = new Date(exact.getTime());
    expect(await db.query(surql`RETURN ${exact} = d'2024-02-29T12:00:00.123456789Z'`)).toBe(true);
    expect(await db.query(surql`RETURN ${truncated} = d'2024-02-29T12:00:00.123456789Z'`)).toBe(false);
  });
});

describe("a __proto__ key that another client stored", () => {
  test("comes back as a property like any other, and replaces no prototype", async () => {
    const db = await freshDatabase();
    await db.query(
      surql`CREATE kept:1 SET value = { "__proto__": { admin: true }, deep: [{ "__proto__": null }] }`,
    );
    const value = await db.query(surql<Record<string, unknown>>`SELECT VALUE value FROM ONLY kept:1`);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.getOwnPropertyDescriptor(value, "__proto__")?.value).toStrictEqual({ admin: true });
    expect(value.admin).toBeUndefined();
    const [deep] = value.deep as [object];
    expect(Object.getPrototypeOf(deep)).toBe(Object.prototype);
    expect(Object.keys(deep)).toEqual(["__proto__"]);
    expect(({} as { admin?: unknown }).admin).toBeUndefined();
  });

  test("is refused when what was read is written back", async () => {
    const db = await freshDatabase();
    const value = await db.query(surql`RETURN { "__proto__": 1 }`);
    const { code } = await failureOf(() => db.query(surql`CREATE kept SET value = ${value}`));
    expect(code).toBe("db.unencodable");
  });
});

describe("a stored regular expression, which no client can be given", () => {
  test("answers db.undecodable to who writes it: the row may be there, and here it is", async () => {
    const db = await freshDatabase();
    const failure = await failureOf(() => db.query(surql`CREATE kept:1 SET value = /a+/`));
    expect(failure).toMatchObject({ code: "db.undecodable", outcome: "unknown", retryable: false });
    expect(await db.query(surql`RETURN record::exists(kept:1)`)).toBe(true);
  });

  test("answers db.undecodable to who reads it, each time anew", async () => {
    const db = await freshDatabase();
    await db.query(surql`CREATE kept:1 SET value = /a+/ RETURN NONE`);
    const failure = await failureOf(() => db.query(surql`SELECT * FROM kept`));
    expect(failure).toMatchObject({ code: "db.undecodable", retryable: false });
    expect(await db.query(surql`SELECT VALUE id FROM kept`)).toStrictEqual([new RecordId("kept", 1)]);
  });
});
