// What a described row costs, beside zod alone and beside the raw SDK's codec; and how long migrating takes.
// Rows: one event and one run, as the runtime writes them. Migrating: rocksdb in this process, fsync on, a folder each.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { decode, encode, ident, openDatabase, RecordId, surql } from "@sentient/db-pool";
import { measure, median, report, type BenchRow } from "@sentient/testkit";
import { CborCodec } from "surrealdb";
import { z } from "zod";
import {
  defineTable,
  eventTable,
  migrate,
  runtimeMigrations,
  runtimeTables,
  runTable,
  type Table,
} from "../src/index.ts";
import { generatedStatements } from "../src/generate-statements.ts";
import { tableTexts } from "../src/generate-ddl.ts";
import { samples } from "../test/support/runtime-values.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "sentient-schema-bench-"));
const sdk = new CborCodec({});
const ROUNDS = 7;

const rows: BenchRow[] = [
  ...(await rowCosts("event", eventTable as unknown as Table, samples.event.values[1]!)),
  ...(await rowCosts("run", runTable as unknown as Table, samples.run.values[1]!)),
  ...(await written()),
  ...(await migrating()),
];
rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
report("schema", root, rows);
process.exit(0);

async function rowCosts(name: string, table: Table, value: object): Promise<BenchRow[]> {
  const schema = table.schema as z.ZodType;
  const stored = table.serialise(value);
  const { id, ...content } = stored as { id: { id: unknown } };
  const key = table.name === "event" ? "position" : "id";
  const forZod = { ...content, [key]: id.id };
  const bytes = encode(stored);
  const calls = 20_000;
  const at = (what: string, ours: () => unknown, raw: () => unknown) =>
    measure({
      name: `${name}: ${what}`,
      unit: "µs",
      calls,
      ours: async () => ours(),
      raw: async () => raw(),
    });
  return [
    await at(
      "serialise, beside zod alone",
      () => table.serialise(value),
      () => z.safeEncode(schema, value),
    ),
    await at(
      "parse, beside zod alone",
      () => table.parse(stored),
      () => schema.safeParse(forZod),
    ),
    await at(
      "serialise and encode, beside the SDK's encode",
      () => encode(table.serialise(value)),
      () => sdk.encode(stored),
    ),
    await at(
      "decode and parse, beside the SDK's decode",
      () => table.parse(decode(bytes)),
      () => sdk.decode(bytes),
    ),
  ];
}

/** What types and asserts add to a row that is inserted: events in batches of 100, beside a table without a schema. */
async function written(): Promise<BenchRow[]> {
  await using db = await openDatabase({ url: `rocksdb://${join(folder, "written")}` });
  const batch = 100;
  const schema = eventTable.schema;
  const named = (name: string, asserts: boolean) => defineTable({ name, schema, key: "position", asserts });
  const tables = [named("typed", false), named("asserted", true)] as unknown as Table[];
  await db.transaction(
    generatedStatements([
      "DEFINE TABLE bare SCHEMALESS",
      ...tables.flatMap((table) => tableTexts(table.name, table.definition)),
    ]),
  );
  let position = 0;
  const rows = (name: string) =>
    Array.from({ length: batch }, () => {
      position++;
      const { id: _id, ...content } = eventTable.serialise({
        ...(samples.event.values[1] as z.infer<typeof schema>),
        eventId: `e-${position}` as never,
      });
      return { id: new RecordId(name, position), ...content };
    });
  const insert = (name: string) => async () =>
    void (await db.query(surql`INSERT INTO ${ident(name)} ${rows(name)} RETURN NONE`));
  const perRow = ({ median: middle, min, max, raw, ...rest }: BenchRow): BenchRow => ({
    ...rest,
    unit: "µs/row",
    median: middle / batch,
    min: min / batch,
    max: max / batch,
    ...(raw === undefined ? {} : { raw: raw / batch }),
  });
  return [
    perRow(
      await measure({
        name: "insert events with types, beside a table without a schema",
        unit: "µs",
        calls: 20,
        ours: insert("typed"),
        raw: insert("bare"),
      }),
    ),
    perRow(
      await measure({
        name: "insert events with asserts, beside types alone",
        unit: "µs",
        calls: 20,
        ours: insert("asserted"),
        raw: insert("typed"),
      }),
    ),
  ];
}

async function migrating(): Promise<BenchRow[]> {
  const migrations = await runtimeMigrations();
  const definitions = runtimeTables.flatMap(({ name, definition }) => tableTexts(name, definition));
  const times = {
    fresh: [] as number[],
    bare: [] as number[],
    again: [] as number[],
    reopened: [] as number[],
  };
  for (let round = 0; round <= ROUNDS; round++) {
    const keep = round > 0 ? times : { fresh: [], bare: [], again: [], reopened: [] };
    const url = `rocksdb://${join(folder, `migrated-${round}`)}`;
    const db = await openDatabase({ url });
    keep.fresh.push(await timed(() => migrate(db, { migrations })));
    await db.close();
    keep.reopened.push(
      await timed(async () => {
        await using reopened = await openDatabase({ url });
        keep.again.push(await timed(() => migrate(reopened, { migrations })));
      }),
    );
    await using bare = await openDatabase({ url: `rocksdb://${join(folder, `bare-${round}`)}` });
    keep.bare.push(await timed(() => bare.transaction(generatedStatements(definitions))));
  }
  const raw = median(times.bare);
  return [
    { ...row("migrate a fresh database", times.fresh, 300), raw, ratio: median(times.fresh) / raw },
    row("migrate with nothing to do, after opening again", times.again, 20),
    row("open again, migrate with nothing to do, close", times.reopened),
  ];
}

function row(name: string, times: readonly number[], goal?: number): BenchRow {
  const middle = median(times);
  return {
    name,
    unit: "ms",
    median: middle,
    min: Math.min(...times),
    max: Math.max(...times),
    ...(goal === undefined ? {} : { goal: `≤ ${goal} ms`, met: middle <= goal }),
  };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}
