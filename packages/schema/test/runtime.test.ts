// The runtime's own nouns: code, migrations, database and JSON Schema say the same.

import { surql, type Database, type RecordId } from "@sentient/db-pool";
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
  type Noun,
} from "../src/index.ts";
import { freshDatabase, freshFolder } from "./support/migrate.ts";
import { samples } from "./support/runtime-values.ts";

const nouns = Object.keys(samples) as Noun[];

async function migrated(url = "mem://"): Promise<Database> {
  const db = await freshDatabase({ url });
  await migrateRuntime(db);
  return db;
}

async function keep(db: Database, noun: Noun, value: object): Promise<unknown> {
  const { id, ...content } = samples[noun].table.serialise(value as never) as { id: RecordId };
  return db.query(surql`CREATE ONLY ${id} CONTENT ${content}`);
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
  const { table, values, schema } = samples[noun];

  test("comes back equal in every variant", async () => {
    const db = await migrated();
    for (const value of values) expect(table.parse(await keep(db, noun, value))).toStrictEqual(value);
  });

  test("comes along from every migration before", async () => {
    const migrations = await runtimeMigrations();
    for (let from = 1; from <= migrations.length; from++) {
      const db = await freshDatabase();
      await migrate(db, { migrations, to: from });
      for (const value of values) await keep(db, noun, value);
      await migrate(db, { migrations });
      const rows = await db.query(surql<unknown[]>`SELECT * FROM type::table(${table.name})`);
      expect(rows.map(table.parse)).toHaveLength(values.length);
    }
  });

  test("lets no field go missing, and takes no other", async () => {
    const db = await migrated();
    const { id, ...content } = table.serialise(values[0] as never) as { id: RecordId };
    const required = Object.keys(content).filter(
      (key) => !z.safeEncode(schema, without(values[0]!, key)).success,
    );
    for (const key of required) {
      expect(() => table.serialise(without(values[0]!, key) as never), key).toThrow(
        expect.objectContaining({ code: "schema.invalid_value" }),
      );
    }
    if (table.definition.clause.includes("SCHEMALESS")) return;
    await expect(db.query(surql`CREATE ${id} CONTENT ${{ ...content, surprise: 1 }}`)).rejects.toMatchObject({
      code: "db.invalid_field",
    });
  });

  test("is described for other languages", () => {
    const description = jsonSchemas()[noun];
    const read = z.fromJSONSchema(description);
    for (const value of values)
      expect(
        read.safeParse(JSON.parse(JSON.stringify(value, bytesAsText))).success,
        JSON.stringify(value),
      ).toBe(true);
    expect(read.safeParse({}).success).toBe(false);
    expect(description.$id).toBe(`https://sentient.dev/schema/${noun}.json`);
  });
});

function without(value: object, key: string): object {
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== key));
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
    for (const input of [nested(64), "x".repeat(1024 * 1024 - 2)]) {
      const value = { ...queued, id: `run-${String(input).length}`, input };
      expect(runTable.parse(await keep(db, "run", value))).toStrictEqual(value);
    }
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

  test.each([
    ["a user's own type", () => placed!],
    ["a type of a newer release", () => ({ ...started!, type: "run.teleported" })],
    ["data of a newer release that this one cannot read", () => ({ ...started!, data: { worker: 7 } })],
    ["a type that every object has", () => ({ ...started!, type: "constructor" })],
  ])("of %s is opaque, and no error", (_what, event) => {
    expect(readEvent(event())).toEqual({ ...event(), opaque: true });
  });

  test("keeps what a newer release adds to its data", () => {
    expect(readEvent({ ...started!, data: { worker: "w", attempt: 1, zone: "b" } }).data).toMatchObject({
      zone: "b",
    });
  });

  test("has a type that is noun.past", () => {
    for (const type of EVENT_TYPES) expect(type).toMatch(/^[a-z]+\.[a-z]+(?:ed|ing)$/);
  });
});
