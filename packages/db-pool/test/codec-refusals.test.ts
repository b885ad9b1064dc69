// C1 of the codec, the other way: what would not come back equal is refused before anything is written, naming where
// it stands.

import { BoundIncluded, DateTime, Future, Range, StringRecordId } from "surrealdb";
import { beforeEach, describe, expect, test } from "vitest";
import { type Database, Decimal, PreciseDate, RecordId, surql } from "../src/index.ts";
import { failureOf } from "./support/failure.ts";
import { freshDatabase } from "./support/fresh.ts";

interface Refusal {
  name: string;
  value: unknown;
  /** Where in the value the trouble stands, if not the value itself. */
  at?: string;
  why: RegExp;
}

class Money {
  readonly amount = 1;
}

const ring: unknown[] = [];
ring.push({ ring });

/** As a request body brings it: a key of its own, unlike `{ __proto__: … }` in code. */
const withProto: unknown = JSON.parse('{"a":{"__proto__":{"admin":true}}}');

const refusals: Refusal[] = [
  { name: "a function", value: () => 1, why: /a function cannot be stored/ },
  { name: "a symbol", value: Symbol("s"), why: /a symbol cannot be stored/ },
  { name: "a symbol as a key", value: { [Symbol("s")]: 1 }, why: /symbol keys/ },
  { name: "an undefined property", value: { a: { b: undefined } }, at: ".a.b", why: /undefined.*null/ },
  { name: "a __proto__ key", value: JSON.parse('{"__proto__":1}'), at: ".__proto__", why: /prototype/ },
  { name: "a __proto__ key further in", value: withProto, at: ".a.__proto__", why: /prototype/ },
  { name: "a high surrogate alone", value: "a\ud83d", why: /lone surrogate/ },
  { name: "a low surrogate alone", value: "\udc00b", why: /lone surrogate/ },
  { name: "a lone surrogate in a key", value: { "\ud83d": 1 }, at: ".\ud83d", why: /lone surrogate/ },
  { name: "an instance of a class", value: new Money(), why: /a Money would come back as a plain object/ },
  { name: "an object made from another", value: Object.create(Object.create(null)), why: /unnamed class/ },
  { name: "a Map", value: new Map([["a", 1]]), why: /Object\.fromEntries/ },
  { name: "an ArrayBuffer", value: new ArrayBuffer(2), why: /new Uint8Array/ },
  { name: "a DataView", value: new DataView(new ArrayBuffer(2)), why: /DataView/ },
  { name: "a Float32Array", value: new Float32Array([0.5]), why: /Array\.from/ },
  { name: "a Float64Array", value: new Float64Array([0.5]), why: /Array\.from/ },
  { name: "an Int16Array", value: new Int16Array([1]), why: /Int16Array/ },
  { name: "a RegExp", value: /a+/, why: /RegExp/ },
  { name: "an Error", value: new Error("e"), why: /Error/ },
  { name: "a Promise", value: Promise.resolve(1), why: /Promise/ },
  { name: "a URL", value: new URL("http://127.0.0.1"), why: /URL/ },
  { name: "a boxed number", value: Object(1), why: /Number/ },
  { name: "a boxed string", value: Object("a"), why: /String/ },
  { name: "a boxed boolean", value: Object(true), why: /Boolean/ },
  { name: "a boxed bigint", value: Object(1n), why: /BigInt/ },
  { name: "an invalid Date", value: new Date(Number.NaN), why: /Date is invalid/ },
  { name: "a Date later than the database can tell", value: new Date(8.64e15), why: /Date/ },
  { name: "a Date earlier than the database can tell", value: new Date(-8.64e15), why: /Date/ },
  { name: "a date with negative nanoseconds", value: new PreciseDate(0, -1), why: /nanoseconds/ },
  { name: "a date with a millisecond of nanoseconds", value: new PreciseDate(0, 1e6), why: /nanoseconds/ },
  { name: "2^53, which may be a rounded number", value: 2 ** 53, why: /not a safe integer/ },
  { name: "−2^53", value: -(2 ** 53), why: /not a safe integer/ },
  { name: "1e300", value: 1e300, why: /not a safe integer/ },
  { name: "a bigint that a number could hold", value: 1n, why: /Number\(value\)/ },
  { name: "the largest such bigint", value: 2n ** 53n - 1n, why: /Number\(value\)/ },
  { name: "the smallest such bigint", value: -(2n ** 53n - 1n), why: /Number\(value\)/ },
  { name: "a bigint above 64 bits", value: 2n ** 63n, why: /64 bits/ },
  { name: "a bigint below 64 bits", value: -(2n ** 63n) - 1n, why: /64 bits/ },
  { name: "a Decimal of too many digits", value: new Decimal(`0.${"12".repeat(15)}`), why: /Decimal/ },
  { name: "a Decimal that is too large", value: new Decimal("9".repeat(30)), why: /Decimal/ },
  { name: "a Set with two equal objects", value: new Set([{ a: 1 }, { a: 1 }]), why: /Set/ },
  { name: "a Set with two equal dates", value: new Set([new Date(0), new Date(0)]), why: /Set/ },
  { name: "the SDK's DateTime", value: new DateTime(), why: /pass a Date/ },
  { name: "the SDK's StringRecordId", value: new StringRecordId("a:1"), why: /pass a RecordId/ },
  { name: "the SDK's Future", value: new Future("1 + 1"), why: /code, not data/ },
];

/** What the SDK's classes let through to the inside of a record id or a range. */
const refusedInside: Refusal[] = [
  { name: "a record id with a fraction", value: new RecordId("t", 1.5), why: /record id|RecordId/ },
  { name: "a record id of NaN", value: new RecordId("t", Number.NaN), why: /record id|RecordId/ },
  { name: "a record id of an unsafe integer", value: new RecordId("t", 2 ** 60), why: /not a safe integer/ },
  { name: "a record id of a bigint above 64 bits", value: new RecordId("t", 2n ** 70n), why: /64 bits/ },
  { name: "a record id of a small bigint", value: new RecordId("t", 2n), why: /Number\(value\)/ },
  { name: "a record id with a lone surrogate", value: new RecordId("t", "\ud83d"), why: /lone surrogate/ },
  { name: "a record id with a cycle", value: new RecordId("t", ring), why: /nested deeper/ },
  { name: "a record id with a Map", value: new RecordId("t", [new Map()]), why: /Object\.fromEntries/ },
  {
    name: "a range to a function",
    value: new Range(new BoundIncluded(() => 1), undefined),
    why: /a function/,
  },
];

/** `depth` arrays in each other. */
function nested(depth: number): unknown {
  let value: unknown = 0;
  for (let level = 0; level < depth; level++) value = [value];
  return value;
}

let db: Database;
beforeEach(async () => {
  db = await freshDatabase();
  await db.query(surql`DEFINE TABLE kept`);
});

const writeBoth = (value: unknown) =>
  db.query(surql`{ CREATE kept:1; CREATE kept:2 SET value = ${{ list: [0, { bad: value }] }} }`);

const rows = () => db.query(surql`SELECT VALUE id FROM kept`);

describe("is refused before anything is written, saying where it stands:", () => {
  test.each([...refusals, ...refusedInside])("$name", async ({ value, at = "", why }) => {
    const failure = await failureOf(() => writeBoth(value));
    expect(failure).toMatchObject({ code: "db.unencodable", outcome: "not_applied", retryable: false });
    expect(failure.message).toMatch(why);
    expect(failure.message).toContain(`value 1 of the statement.list[1].bad${at}`);
    expect(await rows()).toEqual([]);
  });

  test("an object in itself", async () => {
    const failure = await failureOf(() => writeBoth(ring));
    expect(failure).toMatchObject({ code: "db.unencodable", outcome: "not_applied" });
    expect(failure.message).toMatch(/^value 1 of the statement\.list\[1\]\.bad\[0\]\.ring\[0\].*in itself/);
    expect(await rows()).toEqual([]);
  });
});

test("the same statement with a good value writes both rows", async () => {
  await writeBoth("good");
  expect(await rows()).toStrictEqual([new RecordId("kept", 1), new RecordId("kept", 2)]);
});

test("containers stand in each other 101 deep, and no deeper", async () => {
  for (const depth of [100, 101]) {
    expect(await db.query(surql`RETURN ${nested(depth)}`)).toStrictEqual(nested(depth));
  }
  const failure = await failureOf(() => db.query(surql`RETURN ${nested(102)}`));
  expect(failure.code).toBe("db.unencodable");
  expect(failure.message).toMatch(/nested deeper than 100 levels/);
});

test("the value is named by its place among the values of the statement", async () => {
  const failure = await failureOf(() =>
    db.query(surql`CREATE kept SET a = ${1}, b = ${2}, c = ${[() => 3]}`),
  );
  expect(failure.message).toMatch(/^value 3 of the statement\[0\] was not written/);
});

test("a value that is refused in a transaction stops the statements before it, too", async () => {
  const failure = await failureOf(() =>
    db.transaction([surql`CREATE kept:1 SET a = ${1}`, surql`CREATE kept:2 SET a = ${new Map()}`]),
  );
  expect(failure.code).toBe("db.unencodable");
  expect(failure.message).toMatch(/^value 2 of the statement/);
  expect(await rows()).toEqual([]);
});

test("an object in a record id is data, whatever its keys resemble", async () => {
  const lookalike: unknown = JSON.parse('{"constructor":{"name":"Tagged"},"tag":12,"value":[0,0]}');
  const bare: unknown = Object.assign(Object.create(null), { year: 2026 });
  for (const id of [lookalike, bare] as Record<string, unknown>[]) {
    const made = await db.query(surql<{ id: RecordId }>`CREATE ONLY ${new RecordId("kept", id)}`);
    expect(JSON.parse(JSON.stringify(made.id.id))).toEqual(JSON.parse(JSON.stringify(id)));
  }
});
