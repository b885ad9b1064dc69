// Shapes that people describe, each with values that fit and values that do not.

import { Decimal, Duration, RecordId, Uuid } from "@sentient/db-pool";
import { z } from "zod";
import { bytes, decimal, duration, jsonText, link, stored, uuid } from "../../src/index.ts";

export interface Example {
  schema: z.ZodType;
  valid: unknown[];
  /** Refused by zod and by the database. */
  invalid: unknown[];
  /** Refused by zod alone, which is then listed as a gap. */
  onParse?: unknown[];
}

const ada = new RecordId("person", "ada");
const isoDate = z.codec(z.iso.datetime(), z.date(), {
  decode: (text) => new Date(text),
  encode: (date) => date.toISOString(),
});
const big = 2n ** 60n;

export const corpus: Record<string, Example> = {
  // text
  string: {
    schema: z.string(),
    valid: ["", "x", "a\nb", "😀", 'it\'s \\ "q" `b`'],
    invalid: [1, null, ["x"]],
  },
  "string of 2 to 5": {
    schema: z.string().min(2).max(5),
    valid: ["ab", "abcde", "😀x", "😀😀😀😀😀"],
    invalid: ["", "a", "😀", "abcdef"],
  },
  "string of exactly 3": { schema: z.string().length(3), valid: ["abc"], invalid: ["ab", "abcd", ""] },
  "not empty": { schema: z.string().nonempty(), valid: ["x", "😀"], invalid: [""] },
  "starts, ends, includes": {
    schema: z.string().startsWith("it's").endsWith("!").includes("\\"),
    valid: ["it's \\ !"],
    invalid: ["its \\ !", "it's \\", "it's !"],
  },
  "a pattern": {
    schema: z.string().regex(/^[a-z]+-\d{2,}$/),
    valid: ["ab-12"],
    invalid: ["AB-12", "ab-1", "ab-١٢"],
  },
  "a pattern with quotes": {
    schema: z.string().regex(/^['"`;{}\\/]+$/),
    valid: [`'"\`;{}\\/`],
    invalid: ["a", ""],
  },
  "a pattern that looks back": {
    schema: z.string().regex(/^(a|b)\1$/),
    valid: ["aa"],
    invalid: [],
    onParse: ["ab"],
  },
  lowercase: { schema: z.string().lowercase(), valid: ["abc", "ß1"], invalid: ["Abc"] },
  uppercase: { schema: z.string().uppercase(), valid: ["ABC"], invalid: ["aBC"] },
  "trimmed on parse": { schema: z.string().trim(), valid: ["x"], invalid: [1] },
  email: {
    schema: z.email(),
    valid: ["a.b+c@x-y.org", "o'neil@x.co"],
    invalid: ["a@b", ".a@b.co", "a..b@c.co", "@x.co", "a b@c.co"],
  },
  url: {
    schema: z.url(),
    valid: ["https://x.org/a?b#c", "mailto:a@b.c"],
    invalid: ["nope", ""],
    onParse: ["https://"],
  },
  uuid: {
    schema: z.uuid(),
    valid: ["018f1e9e-7d3a-7000-8000-000000000000"],
    invalid: ["018f1e9e", "zzzzzzzz-7d3a-7000-8000-000000000000"],
  },
  "uuid v4": {
    schema: z.uuidv4(),
    valid: ["f47ac10b-58cc-4372-a567-0e02b2c3d479"],
    invalid: ["018f1e9e-7d3a-7000-8000-000000000000"],
  },
  guid: { schema: z.guid(), valid: ["ffffffff-ffff-ffff-ffff-fffffffffff0"], invalid: ["ffffffff"] },
  ulid: { schema: z.ulid(), valid: ["01ARZ3NDEKTSV4RRFFQ69G5FAV"], invalid: ["01ARZ3"] },
  nanoid: { schema: z.nanoid(), valid: ["V1StGXR8_Z5jdHi6B-myT"], invalid: ["short"] },
  cuid2: { schema: z.cuid2(), valid: ["tz4a98xxat96iws9zmbrgj3a"], invalid: ["Nope!"] },
  ipv4: { schema: z.ipv4(), valid: ["127.0.0.1"], invalid: ["256.0.0.1", "1.2.3"] },
  ipv6: { schema: z.ipv6(), valid: ["::1"], invalid: [1], onParse: ["nope"] },
  "cidr v4": { schema: z.cidrv4(), valid: ["10.0.0.0/8"], invalid: ["10.0.0.0", "10.0.0.0/33"] },
  base64: { schema: z.base64(), valid: ["aGk="], invalid: [2], onParse: ["a"] },
  e164: { schema: z.e164(), valid: ["+4930123456"], invalid: ["030 123"] },
  "iso date": { schema: z.iso.date(), valid: ["2024-02-29"], invalid: ["2023-02-29", "yesterday"] },
  "iso time": { schema: z.iso.time(), valid: ["23:59:59"], invalid: ["24:00:00"] },
  "iso datetime": {
    schema: z.iso.datetime(),
    valid: ["2024-01-01T00:00:00Z"],
    invalid: ["2024-01-01 00:00"],
  },
  jwt: {
    schema: z.jwt(),
    valid: ["eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2ln"],
    invalid: [1],
    onParse: ["nope"],
  },
  "a template": {
    schema: z.templateLiteral(["v", z.int(), "-", z.enum(["a", "b"])]),
    valid: ["v1-a"],
    invalid: ["v-a", "v1-c"],
  },
  "a refinement": {
    schema: z.string().refine((text) => text !== "no"),
    valid: ["yes"],
    invalid: [1],
    onParse: ["no"],
  },
  "a refinement of an enum": {
    schema: z.enum(["a", "b"]).refine((text) => text !== "b"),
    valid: ["a"],
    invalid: ["c"],
    onParse: ["b"],
  },
  "a refinement of what may be missing": {
    schema: z
      .int()
      .optional()
      .refine((n) => n !== 3),
    valid: [1],
    invalid: ["x"],
    onParse: [3],
  },
  // numbers
  number: {
    schema: z.number(),
    valid: [0, -1.5, 1e-7, 5, -0],
    invalid: ["1", Number.NaN, Infinity, -Infinity],
  },
  "number above and below": {
    schema: z.number().gt(0).lte(1.5),
    valid: [0.1, 1.5],
    invalid: [0, -1, 1.6, Infinity, Number.NaN],
  },
  int: { schema: z.int(), valid: [0, -5, Number.MAX_SAFE_INTEGER], invalid: [1.5, "1"] },
  "int from 3 to 7": { schema: z.number().int().min(3).max(7), valid: [3, 7], invalid: [2, 8, 3.5] },
  "multiple of 5": { schema: z.int().multipleOf(5), valid: [0, 10, -5], invalid: [3] },
  "multiple of a quarter": {
    schema: z.number().multipleOf(0.25),
    valid: [0.5],
    invalid: ["x"],
    onParse: [0.3],
  },
  int32: { schema: z.int32(), valid: [2147483647], invalid: [2147483648] },
  uint32: { schema: z.uint32(), valid: [4294967295], invalid: [-1, 4294967296] },
  float32: { schema: z.float32(), valid: [1.5], invalid: [1e39] },
  nan: { schema: z.nan(), valid: [Number.NaN], invalid: [1] },
  bigint: { schema: z.bigint(), valid: [0n, -5n, big], invalid: ["1", 1.5] },
  "bigint from 10": { schema: z.bigint().min(10n), valid: [10n, big], invalid: [9] },
  int64: { schema: z.int64(), valid: [2n ** 63n - 1n, -(2n ** 63n)], invalid: ["x"] },
  uint64: { schema: z.uint64(), valid: [0n, 2n ** 63n - 1n], invalid: [-1] },
  decimal: { schema: decimal(), valid: [new Decimal("1.10")], invalid: ["x"] },
  // other scalars
  boolean: { schema: z.boolean(), valid: [true, false], invalid: ["true", 1] },
  date: {
    schema: z.date(),
    valid: [new Date(0), new Date("2024-02-29T12:00:00.123Z")],
    invalid: ["2024-01-01", 0],
  },
  "date from 2020 on": {
    schema: z.date().min(new Date("2020-01-01")),
    valid: [new Date("2020-01-01")],
    invalid: [new Date(0)],
  },
  bytes: { schema: bytes(), valid: [new Uint8Array([0, 255]), new Uint8Array()], invalid: ["x", [1]] },
  duration: { schema: duration(), valid: [new Duration("1h30m")], invalid: ["1h"] },
  "uuid value": { schema: uuid(), valid: [new Uuid("018f1e9e-7d3a-7000-8000-000000000000")], invalid: ["x"] },
  "a link": { schema: link("person"), valid: [ada], invalid: ["person:ada", new RecordId("post", 1)] },
  "a link to either": {
    schema: link("person", "post"),
    valid: [ada, new RecordId("post", 1)],
    invalid: [new RecordId("tag", 1)],
  },
  "stored by name": {
    schema: stored(
      z.custom<string>((value) => typeof value === "string"),
      "string",
    ),
    valid: ["x"],
    invalid: [1],
  },
  null: { schema: z.null(), valid: [null], invalid: [1] },
  unknown: { schema: z.unknown(), valid: [1, "x", { a: [{ b: null }] }, []], invalid: [] },
  json: { schema: z.json(), valid: [{ a: [1, "x", null, { b: true }] }, 3], invalid: [] },
  "json text": { schema: jsonText("eventBytes"), valid: [{ b: 1, a: [{}] }, "x", null], invalid: [] },
  literal: { schema: z.literal("it's"), valid: ["it's"], invalid: ["its", 1] },
  literals: {
    schema: z.literal(["a", 3, true, null]),
    valid: ["a", 3, true, null],
    invalid: ["b", 4, false],
  },
  enum: { schema: z.enum(["red", "green"]), valid: ["red", "green"], invalid: ["blue", 1] },
  "brand and describe": {
    schema: z.string().min(1).brand<"Id">().describe("it's an id"),
    valid: ["x"],
    invalid: [""],
  },
  // what may be missing
  optional: { schema: z.string().min(2).optional(), valid: ["ab"], invalid: ["a", null] },
  nullable: { schema: z.string().min(2).nullable(), valid: [null, "ab"], invalid: ["a", 1] },
  nullish: { schema: z.int().min(2).nullish(), valid: [null, 2], invalid: [1] },
  default: { schema: z.string().min(2).default("ab"), valid: ["cd"], invalid: ["a"] },
  "default of a list": { schema: z.array(z.int()).default([1, 2]), valid: [[], [3]], invalid: [["x"]] },
  "default made anew": { schema: z.date().default(() => new Date()), valid: [new Date(5)], invalid: ["x"] },
  "not optional": { schema: z.string().optional().nonoptional(), valid: ["x"], invalid: [null] },
  catch: { schema: z.int().catch(3), valid: [1], invalid: [] },
  "what may be undefined": {
    schema: z.union([z.string(), z.undefined()]),
    valid: ["x", undefined],
    invalid: [1],
  },
  "anything, nothing too": { schema: z.unknown(), valid: [undefined, 1], invalid: [] },
  nothing: { schema: z.undefined(), valid: [undefined], invalid: [1] },
  // lists
  array: { schema: z.array(z.string().max(2)), valid: [[], ["a", "bc"]], invalid: [["abc"], [1], "a"] },
  "array of 1 to 2": {
    schema: z.array(z.int()).min(1).max(2),
    valid: [[1], [1, 2]],
    invalid: [[], [1, 2, 3]],
  },
  "array of arrays": {
    schema: z.array(z.array(z.int().min(1))),
    valid: [[[1], []], []],
    invalid: [[[0]], [["x"]]],
  },
  "array of objects": {
    schema: z.array(z.object({ n: z.int().min(1), t: z.string().max(1).optional() })),
    valid: [[{ n: 1 }, { n: 2, t: "x" }]],
    invalid: [[{ n: 0 }], [{ n: 1, t: "xx" }], [{ t: "x" }]],
  },
  "array of what may be missing": {
    schema: z.array(z.string().max(2).optional()),
    valid: [[undefined, "ab"], []],
    invalid: [["abc"]],
  },
  "array of what may be null or missing": {
    schema: z.array(z.int().min(2).nullish()),
    valid: [[undefined, null, 2]],
    invalid: [[1]],
  },
  set: {
    schema: z.set(z.int().min(1)),
    valid: [new Set([1, 2]), new Set()],
    invalid: [new Set([0]), [1], new Set(["x"])],
  },
  "set of 2": {
    schema: z.set(z.string()).size(2),
    valid: [new Set(["a", "b"])],
    invalid: [new Set(["a"]), new Set(["a", "b", "c"])],
  },
  tuple: {
    schema: z.tuple([z.string().max(1), z.int()]),
    valid: [["a", 1]],
    invalid: [["aa", 1], ["a"], ["a", 1, 2], [1, 1]],
  },
  "tuple with a rest": {
    schema: z.tuple([z.string()], z.int()),
    valid: [["a"], ["a", 1, 2]],
    invalid: ["x"],
    onParse: [["a", "b"]],
  },
  // objects
  object: {
    schema: z.object({ city: z.string().max(3), zip: z.string().optional() }),
    valid: [{ city: "Ulm" }, { city: "Ulm", zip: "89073" }],
    invalid: [{ city: "Berlin" }, {}, { city: 1 }, "x"],
  },
  "object in object": {
    schema: z.object({ a: z.object({ b: z.object({ c: z.int().min(1) }) }) }),
    valid: [{ a: { b: { c: 1 } } }],
    invalid: [{ a: { b: { c: 0 } } }, { a: { b: {} } }, { a: {} }],
  },
  "strict object": { schema: z.strictObject({ a: z.int() }), valid: [{ a: 1 }], invalid: [{ a: 1, b: 2 }] },
  "loose object": {
    schema: z.looseObject({ a: z.int() }),
    valid: [{ a: 1, b: { c: [1] } }],
    invalid: [],
    onParse: [{ a: "x" }],
  },
  "empty object": { schema: z.object({}), valid: [{}], invalid: [1] },
  "odd keys": {
    schema: z.object({
      "a-b": z.int().min(1),
      select: z.string(),
      "it's `q`": z.boolean(),
      NaN: z.int(),
      über: z.int(),
    }),
    valid: [{ "a-b": 1, select: "x", "it's `q`": true, NaN: 1, über: 2 }],
    invalid: [{ "a-b": 0, select: "x", "it's `q`": true, NaN: 1, über: 2 }],
  },
  record: {
    schema: z.record(z.string(), z.int().min(1)),
    valid: [{}, { a: 1, "b-c": 2 }],
    invalid: [],
    onParse: [{ a: 0 }, { a: "x" }],
  },
  "record of objects": {
    schema: z.record(z.string(), z.object({ n: z.int() })),
    valid: [{ a: { n: 1 } }],
    invalid: [],
    onParse: [{ a: { n: "x" } }],
  },
  "record of known keys": {
    schema: z.record(z.enum(["a", "b"]), z.int()),
    valid: [{ a: 1, b: 2 }],
    invalid: [{ a: 1 }, { a: 1, b: "x" }],
  },
  "partial record": {
    schema: z.partialRecord(z.enum(["a", "b"]), z.int()),
    valid: [{}, { a: 1 }],
    invalid: [{ a: "x" }],
  },
  "object or nothing": {
    schema: z.object({ a: z.int().min(1) }).nullable(),
    valid: [null, { a: 1 }],
    invalid: [{ a: 0 }, {}],
  },
  intersection: {
    schema: z.intersection(z.object({ a: z.int() }), z.object({ b: z.string() })),
    valid: [{ a: 1, b: "x" }],
    invalid: [{ a: 1 }, { b: "x" }],
  },
  "record or nothing": {
    schema: z.record(z.string(), z.string().max(3)).nullable(),
    valid: [null, { a: "x" }],
    invalid: [1],
    onParse: [{ a: 5 }],
  },
  "loose record": {
    schema: z.looseRecord(z.string().regex(/^a/), z.int()),
    valid: [{ a: 1, b: "x" }],
    invalid: [1],
    onParse: [{ a: "x" }],
  },
  // either, or
  "anything in a list, or an object": {
    schema: z.union([z.array(z.unknown()), z.object({ a: z.int() })]),
    valid: [[1, { b: [2] }], { a: 1 }],
    invalid: ["x"],
    onParse: [{ a: "x" }],
  },
  "a big number, nothing, or text": {
    schema: z.union([z.bigint().nullable(), z.string().max(2)]),
    valid: [5n, null, "ab"],
    invalid: [true, "abc"],
  },
  "big numbers within": {
    schema: (() => {
      const Node = z.object({
        n: z.bigint(),
        get next() {
          return Node.optional();
        },
      }) as z.ZodType;
      return Node;
    })(),
    valid: [{ n: 1n, next: { n: 2n } }],
    invalid: [{ n: "x" }],
  },
  "big numbers at the end": {
    schema: z.tuple([z.string()], z.bigint()),
    valid: [["a", 1n, 2n]],
    invalid: [1],
  },
  "bounds beyond what there is": {
    schema: z.object({ d: z.date().max(new Date(8.64e15)), b: z.bigint().max(10n ** 30n) }),
    valid: [{ d: new Date(0), b: 1n }],
    invalid: [{ d: "x", b: 1 }],
  },
  "text or number": {
    schema: z.union([z.string().max(2), z.int().min(5)]),
    valid: ["ab", 5],
    invalid: ["abc", 4, true],
  },
  "two kinds of text": {
    schema: z.union([z.email(), z.literal("none")]),
    valid: ["a@b.co", "none"],
    invalid: [1],
    onParse: ["x"],
  },
  tagged: {
    schema: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("circle"), r: z.number().positive() }),
      z.object({ kind: z.enum(["square", "box"]), side: z.int().min(1), note: z.string().optional() }),
    ]),
    valid: [
      { kind: "circle", r: 1.5 },
      { kind: "box", side: 2, note: "x" },
      { kind: "square", side: 1 },
    ],
    invalid: [
      { kind: "circle", r: -1 },
      { kind: "square", side: 0 },
      { kind: "circle", side: 1 },
      { kind: "blob" },
    ],
  },
  "tagged, with bigints": {
    schema: z.discriminatedUnion("k", [
      z.object({ k: z.literal("b"), n: z.bigint() }),
      z.object({ k: z.literal("i"), n: z.int() }),
    ]),
    valid: [
      { k: "b", n: 5n },
      { k: "i", n: 5 },
    ],
    invalid: [{ k: "x", n: 5 }],
  },
  "objects without a tag": {
    schema: z.union([z.object({ a: z.unknown() }), z.object({ b: z.string().max(2) })]),
    valid: [{ a: 1 }, { b: "x" }, { a: undefined }],
    invalid: [1, { b: 1 }],
  },
  "an expression": {
    schema: (() => {
      const Expression = z.union([
        z.object({ value: z.number() }),
        z.object({
          get items() {
            return z.array(Expression);
          },
        }),
      ]) as z.ZodType;
      return Expression;
    })(),
    valid: [{ value: 1 }, { items: [{ value: 2 }, { items: [] }] }],
    invalid: [1],
  },
  "open objects in a list": {
    schema: z.array(z.looseObject({ x: z.int(), q: z.string().optional() })),
    valid: [[{ x: 1, more: [1] }], [{ x: 1, q: "a" }]],
    invalid: [1],
    onParse: [[{ x: 1, q: 5 }]],
  },
  // what is kept is not what is used
  codec: { schema: isoDate, valid: [new Date(0)], invalid: [1] },
  stringbool: { schema: z.stringbool(), valid: [true, false], invalid: [1] },
  piped: { schema: z.string().min(2).pipe(z.string().max(3)), valid: ["ab", "abc"], invalid: ["a", "abcd"] },
  readonly: { schema: z.array(z.int()).readonly(), valid: [[1]], invalid: [["x"]] },
  lazy: { schema: z.lazy(() => z.int().min(1)), valid: [1], invalid: [0] },
  "a tree": {
    schema: (() => {
      const Tree = z.object({
        n: z.int(),
        get children() {
          return z.array(Tree);
        },
      }) as z.ZodType;
      return Tree;
    })(),
    valid: [{ n: 1, children: [{ n: 2, children: [] }] }],
    invalid: [{ n: "x", children: [] }],
    onParse: [{ n: 1, children: [{ n: "x", children: [] }] }],
  },
};
