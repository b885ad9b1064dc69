// Order. A reader that follows a log asks for what comes after the last it saw, so nothing may appear before that later.

import { BoundExcluded, BoundIncluded, RecordIdRange, Uuid } from "surrealdb";
import { describe, expect, test } from "vitest";
import { WriteLane } from "../../src/write-lane.ts";
import { atOnce, EVERYWHERE, open, type RawEngine } from "./support.ts";

const WRITERS = 16;
const EACH = 25;

const APPEND = `{
  LET $seq = (UPSERT ONLY stream:one SET head += 1 RETURN VALUE head);
  CREATE type::record('event', ['one', $seq]) RETURN NONE;
  RETURN $seq;
}`;

/** What a reader sees who asks, window by window, for what comes after the last it saw; until all is written and read. */
async function follow(engine: RawEngine, writing: Promise<unknown>): Promise<number[]> {
  let written = false;
  void writing.finally(() => (written = true));
  const read: number[] = [];
  for (;;) {
    const last = written;
    const text = "SELECT VALUE id[1] FROM event:['one', $after + 1]..=['one', $after + 50]";
    const window = await engine.run<number[]>(text, { after: read.at(-1) ?? 0 });
    read.push(...window);
    if (last && window.length === 0) return read;
  }
}

describe.for(EVERYWHERE)("on %s", (kind) => {
  test("numbers taken from a head row in the block that writes appear without gaps, in order", async () => {
    await using engine = await open(kind);
    await engine.run("DEFINE TABLE stream; DEFINE TABLE event; CREATE stream:one SET head = 0");
    const lane = new WriteLane(); // where the store needs it, as the pool has it
    const inTurn = kind === "mem" || kind === "surrealkv";
    const append = () => engine.insist<number>(APPEND);

    const writing = atOnce(WRITERS, async () => {
      const own: number[] = [];
      for (let i = 0; i < EACH; i++) own.push(await (inTurn ? lane.run(append) : append()));
      return own;
    });
    const [numbers, read] = await Promise.all([writing, follow(engine, writing)]);

    const dense = Array.from({ length: WRITERS * EACH }, (_, i) => i + 1);
    expect(read).toEqual(dense);
    expect(numbers.flat().sort((a, b) => a - b)).toEqual(dense);
  });

  test("ids made in the order of time do not appear in it: a reader that follows them misses the late commit", async () => {
    await using engine = await open(kind);
    await engine.run("DEFINE TABLE event");
    const [slow, fast] = [await engine.rpc<Uuid>("begin"), await engine.rpc<Uuid>("begin")];
    const create = (txn: Uuid) =>
      engine.run<Uuid>("CREATE ONLY event:uuid() RETURN VALUE record::id(id)", {}, { txn });
    const [earlier, later] = [await create(slow), await create(fast)];
    expect(String(earlier) < String(later)).toBe(true);

    await engine.rpc("commit", [fast]);
    const first = await idsAfter(engine, new Uuid("00000000-0000-7000-8000-000000000000"));
    await engine.rpc("commit", [slow]);
    const second = await idsAfter(engine, first.at(-1)!);

    expect([...first, ...second].map(String)).toEqual([String(later)]);
    expect(await engine.run("RETURN count(SELECT id FROM event)")).toBe(2);
  });

  test("a number from a head row cannot be late: who took it meanwhile makes the slow one conflict", async () => {
    await using engine = await open(kind);
    await engine.run("DEFINE TABLE event; CREATE stream:one SET head = 0");
    const [slow, fast] = [await engine.rpc<Uuid>("begin"), await engine.rpc<Uuid>("begin")];
    await engine.run(APPEND, {}, { txn: slow });
    await engine.run(APPEND, {}, { txn: fast });
    await engine.rpc("commit", [fast]);
    await expect(engine.rpc("commit", [slow])).rejects.toThrow("can be retried");
  });
});

function idsAfter(engine: RawEngine, id: Uuid): Promise<Uuid[]> {
  const end = new BoundIncluded(new Uuid("ffffffff-ffff-7fff-bfff-ffffffffffff"));
  const range = new RecordIdRange("event", new BoundExcluded(id), end);
  return engine.run("SELECT VALUE record::id(id) FROM $range", { range });
}
