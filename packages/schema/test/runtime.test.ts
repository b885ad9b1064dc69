// The runtime's own nouns: code, migrations, database and JSON Schema say the same.

import { ident, RecordId, surql, type Database } from "@sentient/db-pool";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import {
  check,
  configureLimits,
  Event,
  EVENT_TYPES,
  isGenerated,
  jsonSchemas,
  limits,
  migrate,
  migrateRuntime,
  migrationStatus,
  readEvent,
  RUN_STATUSES,
  RUNTIME_HISTORY,
  runtimeMigrations,
  runtimeTables,
  runTable,
  Wait,
  type AnyTable,
  type Noun,
} from "../src/index.ts";
import { freshDatabase, freshFolder } from "./support/migrate.ts";
import { eventSamples, samples } from "./support/runtime-values.ts";

const nouns = Object.keys(samples) as Noun[];

async function migrated(url = "mem://"): Promise<Database> {
  const db = await freshDatabase({ url });
  await migrateRuntime(db);
  return db;
}

async function keep(db: Database, noun: Noun, value: object): Promise<unknown> {
  return insert(db, samples[noun].table, samples[noun].table.serialise(value as never));
}

/** Writes a row that nobody has checked, and answers it. */
async function insert(db: Database, table: AnyTable, row: object): Promise<unknown> {
  const what = isEdges(table) ? surql`RELATION INTO` : surql`INTO`;
  const [kept] = await db.query(surql<unknown[]>`INSERT ${what} ${ident(table.name)} ${row}`);
  return kept;
}

function isEdges({ definition }: AnyTable): boolean {
  return definition.clause.startsWith("TYPE RELATION");
}

test("the migrations are what the tables in code ask for", async () => {
  expect(await isGenerated({ folder: new URL("../surql/", import.meta.url), tables: runtimeTables })).toBe(
    true,
  );
  expect(runtimeTables.map(({ name }) => name).sort()).toEqual([...nouns].sort());
});

test.each(["mem://", "rocksdb"])(
  "a migrated database on %s has no drift, and nothing to do",
  async (engine) => {
    const db = await migrated(engine === "rocksdb" ? `rocksdb://${await freshFolder()}/data` : engine);
    expect(await check(db, runtimeTables)).toEqual([]);
    expect((await migrateRuntime(db)).applied).toEqual([]);
    const migrations = await runtimeMigrations();
    expect((await migrationStatus(db, { migrations, history: RUNTIME_HISTORY })).pending).toEqual([]);
  },
);

describe.each(nouns)("%s", (noun) => {
  const { table, values, schema, since = {}, first = 1 } = samples[noun];

  test("comes back equal in every variant", async () => {
    const db = await migrated();
    for (const value of values) expect(table.parse(await keep(db, noun, value))).toStrictEqual(value);
  });

  test("comes along from every migration before", async () => {
    const migrations = await runtimeMigrations();
    for (let from = first; from <= migrations.length; from++) {
      const db = await freshDatabase();
      await migrate(db, { migrations, to: from });
      const later = Object.keys(since).filter((field) => since[field]! > from);
      for (const value of values) await keep(db, noun, later.reduce<object>(without, value));
      await migrate(db, { migrations });
      const rows = await db.query(surql<unknown[]>`SELECT * FROM type::table(${table.name})`);
      expect(rows.map(table.parse)).toHaveLength(values.length);
    }
  });

  test("lets no field go missing, and takes no other", async () => {
    const db = await migrated();
    for (const value of values) {
      const row = table.serialise(value as never);
      const required = Object.keys(value).filter((key) => !z.safeEncode(schema, without(value, key)).success);
      expect(required).not.toEqual([]);
      for (const key of required) {
        expect(() => table.serialise(without(value, key) as never), key).toThrow(
          expect.objectContaining({ code: "schema.invalid_value" }),
        );
        expect(() => table.parse(without(row, key in row ? key : "id")), key).toThrow(
          expect.objectContaining({ code: "schema.invalid_row" }),
        );
      }
      expect(table.serialise({ ...value, surprise: 1 } as never)).toStrictEqual(row);
      if (table.definition.clause.includes("SCHEMALESS")) continue;
      await expect(insert(db, table, { ...row, surprise: 1 })).rejects.toMatchObject({
        code: "db.invalid_field",
      });
    }
  });

  test("is described for other languages", () => {
    const description = jsonSchemas()[noun];
    const read = z.fromJSONSchema(description);
    for (const value of values) {
      const json = asJson(value);
      expect(read.safeParse(json).success, JSON.stringify(value)).toBe(true);
      expect(read.safeParse({ ...json, surprise: 1 }).success).toBe(false);
    }
    expect(read.safeParse({}).success).toBe(false);
    expect(description.$id).toBe(`https://sentient.dev/schema/${noun}.json`);
  });
});

test("what events have led to before is found by their runs too", async () => {
  const db = await freshDatabase();
  const migrations = await runtimeMigrations();
  await migrate(db, { migrations, to: 1 });
  const edge = (id: string, event: number) => ({
    id: new RecordId("caused", id),
    in: new RecordId("event", event),
    out: new RecordId("run", id),
    at: new Date(0),
  });
  await db.query(surql`INSERT INTO event [{ id: 7, run: "one", n: 1 }, { id: 8 }]`);
  await db.query(surql`INSERT RELATION INTO caused ${[edge("a", 7), edge("b", 8), edge("c", 9)]}`);
  await migrate(db, { migrations });
  expect(await db.query(surql`SELECT VALUE record::id(id) FROM caused WHERE run = "one"`)).toEqual(["a"]);
  expect(await db.query(surql`SELECT VALUE record::id(id) FROM caused WHERE run = NONE`)).toEqual(["b", "c"]);
});

describe.each(nouns.filter((noun) => isEdges(samples[noun].table)))("an edge %s", (noun) => {
  const { table, values } = samples[noun];
  const row = table.serialise(values[0] as never);

  test.each(["in", "out"])("has its end %s, and there no record of another table", async (end) => {
    const db = await migrated();
    await expect(insert(db, table, without(row, end))).rejects.toMatchObject({
      code: "db.engine",
      message: expect.stringContaining(`'${end}' is: NONE`) as unknown,
    });
    await expect(insert(db, table, { ...row, [end]: new RecordId("agent", "a") })).rejects.toMatchObject({
      code: "db.invalid_field",
      message: expect.stringContaining(`\`${end}\``) as unknown,
    });
    expect(z.fromJSONSchema(jsonSchemas()[noun]).safeParse(without(asJson(values[0]!), end)).success).toBe(
      false,
    );
  });

  test("leaves its id to the database, and its ends need not be there", async () => {
    const kept = table.parse(await keep(await migrated(), noun, without(values[0]!, "id")));
    expect(kept).toStrictEqual({ ...values[0], id: expect.any(RecordId) as unknown });
  });
});

function without(value: object, key: string): object {
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== key));
}

function asJson(value: object): object {
  return JSON.parse(JSON.stringify(value, bytesAsText)) as object;
}

function bytesAsText(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value;
}

describe("a run", () => {
  const [queued] = samples.run.values;

  test("has what belongs to its status, and nothing else", () => {
    expect(new Set(samples.run.values.map((value) => (value as { status: string }).status))).toEqual(
      new Set(RUN_STATUSES),
    );
    expect(() => runTable.serialise({ ...queued, status: "completed" } as never)).toThrow("output: ");
    expect("output" in runTable.serialise({ ...queued, output: "early" } as never)).toBe(false);
  });

  test.each([
    ["an id that is none", { id: "../etc/passwd" }, "schema.invalid_value", "id: letters, digits"],
    ["a status that is none", { status: "idle" }, "schema.invalid_value", "status"],
    ["a revision below nothing", { revision: -1 }, "schema.invalid_value", "revision"],
    [
      "an input too large",
      { input: "x".repeat(1024 * 1024) },
      "schema.limit",
      "1048578 bytes, and 1048576 are allowed",
    ],
    ["an input too deep", { input: nested(65) }, "schema.limit", "65 levels, and 64 are allowed"],
    [
      "an input with too many keys",
      { input: Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`k${i}`, 1])) },
      "schema.limit",
      "1001 keys",
    ],
    [
      "an input that is no JSON",
      { input: { at: new Date(0) } },
      "schema.invalid_value",
      "at at: a Date is no JSON",
    ],
    ["an input with half a character", { input: "\ud800" }, "schema.invalid_value", "half a character"],
    [
      "an input that would replace a prototype",
      { input: JSON.parse('{"__proto__":{"admin":true}}') as object },
      "schema.invalid_value",
      "__proto__",
    ],
  ])("with %s is refused before it is written", (_what, change, code, sentence) => {
    expect(() => runTable.serialise({ ...queued, ...change } as never)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(sentence) as unknown }),
    );
  });

  test("at the limits is kept", async () => {
    const db = await migrated();
    for (const [i, input] of [nested(64), "x".repeat(1024 * 1024 - 2)].entries()) {
      const value = { ...queued, id: `run-${i}`, input, seek: { newest: -i } };
      expect(runTable.parse(await keep(db, "run", value))).toStrictEqual(value);
    }
  });

  test.each([
    ["byName", { status: "paused", pausedBy: "ada" }],
    ["byStatus", { name: "another" }],
  ])("shares its place in %s with no other", async (index, change) => {
    const db = await migrated();
    await keep(db, "run", queued!);
    await expect(keep(db, "run", { ...queued, id: "another", ...change })).rejects.toMatchObject({
      code: "db.unique",
      message: expect.stringContaining(`\`${index}\``) as unknown,
    });
  });

  test("is kept with every kind of wait", () => {
    const waits = samples.run.values.flatMap((value) => (value as { waitingFor?: Wait[] }).waitingFor ?? []);
    expect(new Set(waits.map((wait) => wait.for))).toEqual(
      new Set(Wait.options.map((option) => option.shape.for.value)),
    );
  });

  test("that was kept under a wider limit can still be read", async () => {
    const db = await migrated();
    const row = await keep(db, "run", queued!);
    configureLimits({ payloadBytes: 10 });
    try {
      expect(() => runTable.serialise(queued as never)).toThrow(
        expect.objectContaining({ code: "schema.limit" }),
      );
      expect(runTable.parse(row)).toStrictEqual(queued);
    } finally {
      configureLimits({ payloadBytes: 1024 * 1024 });
    }
    expect(() => configureLimits({ payloadBytes: limits.payloadBytes + 1 })).toThrow(
      expect.objectContaining({ code: "schema.limit" }),
    );
  });
});

function nested(levels: number): unknown {
  return levels === 0 ? 1 : [nested(levels - 1)];
}

describe("an event", () => {
  const [started, , placed] = samples.event.values.map((value) =>
    Event.parse({ ...value, data: JSON.stringify((value as { data: unknown }).data) }),
  );

  test("of a known type has data that is checked", () => {
    expect(readEvent(started!)).toMatchObject({ opaque: false, type: "run.started", data: { attempt: 1 } });
  });

  test.each(EVENT_TYPES)("of type %s is known by its data", (type) => {
    for (const data of eventSamples[type])
      expect(readEvent({ ...started!, type, data })).toMatchObject({ opaque: false, type, data });
  });

  test.each([
    ["a user's own type", () => placed!],
    ["a type of a newer release", () => ({ ...started!, type: "run.teleported" })],
    ["data of a newer release that this one cannot read", () => ({ ...started!, data: { worker: 7 } })],
    ["a type that every object has", () => ({ ...started!, type: "constructor" })],
  ])("of %s is opaque, and no error", (_what, event) => {
    expect(readEvent(event())).toEqual({ ...event(), opaque: true });
  });

  test("keeps what a newer release adds to its data", () => {
    const data = { worker: "w", token: 0, attempt: 1, zone: "b" };
    expect(readEvent({ ...started!, data })).toMatchObject({ opaque: false, data });
  });

  test("has a type that is noun.past", () => {
    for (const type of EVENT_TYPES) expect(type).toMatch(/^[a-z]+\.(?:[a-z]+(?:ed|ing)|withdrawn)$/);
  });
});
