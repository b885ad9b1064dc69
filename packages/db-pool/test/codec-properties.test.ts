// C1 for values nobody thought of: 2,000 through the codec alone, 100 through the database.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { decode, Decimal, Duration, encode, PreciseDate, RecordId, surql, Uuid } from "../src/index.ts";
import { freshDatabase } from "./support/fresh.ts";

/** What the engine's calendar holds; JavaScript's goes a little further. */
const CALENDAR = { min: new Date(Date.UTC(-262_000, 0)), max: new Date(Date.UTC(262_000, 0)) };

const text = fc.string({ unit: "binary" }); // any code points, NUL among them, but no lone surrogates
const double = fc.double().filter((n) => !Number.isInteger(n) || Number.isSafeInteger(n));
const bigint = fc.oneof(
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }),
  fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
);
const date = fc.date({ ...CALENDAR, noInvalidDate: true });
const preciseDate = fc
  .tuple(date, fc.integer({ min: 1, max: 999_999 }))
  .map(([at, nanoseconds]) => new PreciseDate(at.getTime(), nanoseconds));
const id = fc.oneof(
  text,
  fc.maxSafeInteger(),
  bigint,
  fc.array(fc.oneof(text, fc.integer()), { maxLength: 3 }),
);

const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    text,
    double,
    fc.maxSafeInteger(),
    fc.constantFrom(null, true, false, -0, Number.NaN, Infinity, -Infinity),
    bigint,
    date,
    preciseDate,
    fc.uint8Array(),
    fc.uniqueArray(text).map((items) => new Set(items)),
    id.map((key) => new RecordId("kept", key)),
    fc.uuid().map((hex) => new Uuid(hex)),
    fc.integer({ min: 0 }).map((ns) => new Duration(`${ns}ns`)),
    fc.integer().map((n) => new Decimal(`${n}.50`)),
    fc.array(fc.oneof(tie("value"), fc.constant(undefined))),
    fc.dictionary(
      text.filter((key) => key !== "__proto__"),
      tie("value"),
      { noNullPrototype: true },
    ),
  ),
}));

test("whatever can be encoded is decoded equal", () => {
  fc.assert(
    fc.property(value, (given) => {
      expect(decode(encode(given))).toStrictEqual(given);
    }),
    { numRuns: 2_000 },
  );
});

test("whatever can be encoded comes back from the database equal", async () => {
  const db = await freshDatabase();
  const property = fc.asyncProperty(value, async (given) => {
    await db.query(surql`UPSERT kept:1 CONTENT ${{ value: given }}`);
    expect(await db.query(surql`SELECT VALUE value FROM ONLY kept:1`)).toStrictEqual(given);
  });
  await fc.assert(property, { numRuns: 100 });
});
