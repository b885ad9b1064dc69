// A whole database in a file, and from there in another one.

import { ident, surql, type Database, type Snapshot } from "@sentient/db-pool";
import { createEventBus } from "@sentient/event-bus";
import { check, runtimeTables } from "@sentient/schema";
import { sabotage } from "@sentient/testkit";
import { createHash } from "node:crypto";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { Fence } from "../src/backup-fence.ts";
import { backupToFile, checkBackup, restoreBackup, type State } from "../src/index.ts";
import { freshDatabase, freshFolder, freshState, stateOn } from "./support/fresh.ts";
import { claimed, codeOf, done, held, range, running, serves, started } from "./support/runs.ts";

const freshPath = async () => join(await freshFolder(), "backup.jsonl");

/** A database with something in every corner, and a run that a worker holds. */
async function busy() {
  const fresh = await freshState();
  const { state, bus } = fresh;
  await state.agents.register({ name: "research", version: "1", capabilities: ["search"] });
  await state.schedules.put("nightly", { name: "research", cron: "0 3 * * *" });
  await state.limits.set("queue:default", { concurrency: 10 });
  const { secret } = await state.accessTokens.create({ name: "ada", scopes: ["read"] });
  const over = await running(state, { input: { to: "Ada" }, tags: ["x"] });
  await state.commit(over, { steps: [done("main/large#1", "x".repeat(100_000))], state: { mood: "calm" } });
  await state.chunks.append(over, 0, [{ step: "main/large#1", attempt: 1, kind: "data", data: "piece" }]);
  await state.commit(over, { end: { complete: 7 } });
  await state.fork(over.run.id, { n: 2 });
  const [fork] = await claimed(state, "w0", { max: 10 });
  await state.commit(fork!, { end: { wait: [{ for: "signal", at: "main/paid#1", name: "paid" }] } } as never);
  await state.signal(fork!.run.id, "other", { total: 12 });
  await bus.publish({ type: "order.placed", data: { total: 12 }, eventId: "order-17" });
  const consumer = await bus.consumer("mailer", {}, () => {});
  await consumer.stop();
  const lease = await running(state);
  await state.commit(lease, { steps: [done("main/a#1")] });
  return { ...fresh, secret, lease, over: over.run.id };
}

/** Calls a function before each statement with which a backup reads. */
function whileBackedUp(db: Database, meanwhile: () => Promise<unknown>, isOneMoment = true): void {
  const snapshot = db.snapshot.bind(db);
  const between = (then: Pick<Snapshot, "query">) =>
    ({
      query: async (...asked: Parameters<Snapshot["query"]>) => {
        await meanwhile();
        return then.query(...asked);
      },
    }) as Snapshot;
  const spy = vi.spyOn(db, "snapshot");
  spy.mockImplementation((work, options) =>
    isOneMoment ? snapshot((then) => work(between(then)), options) : work(between(db)),
  );
  onTestFinished(() => spy.mockRestore());
}

/** What runs remember, and what the log tells of it. */
async function stepsOf(state: State): Promise<{ remembered: number; told: number }> {
  const { runs } = await state.list({ limit: 500 });
  const counts = await Promise.all(
    runs.map(async ({ id, forkOf }) => {
      const { events } = await state.history(id, { limit: 500 });
      return {
        remembered: forkOf ? 0 : (await state.journal(id)).size,
        told: events.filter(({ type }) => type === "step.completed").length,
      };
    }),
  );
  const sum = (which: "remembered" | "told") => counts.reduce((total, each) => total + each[which], 0);
  return { remembered: sum("remembered"), told: sum("told") };
}

async function wipe(db: Database): Promise<void> {
  const { tables } = await db.query(surql<{ tables: object }>`INFO FOR DB`);
  for (const name of Object.keys(tables)) await db.query(surql`REMOVE TABLE ${ident(name)}`);
}

async function expectEmpty(db: Database): Promise<void> {
  expect((await db.query(surql<{ tables: object }>`INFO FOR DB`)).tables).toEqual({});
}

describe("a backup", () => {
  test("is of one moment while runs are worked on, and they go on from there elsewhere", async () => {
    const { db, state, lease, secret, over } = await busy();
    let n = 1;
    const work = async () => {
      await state.commit(lease, { steps: [done(`main/b#${n++}`)] });
      await started(state);
    };
    whileBackedUp(db, work);
    const path = await freshPath();
    const report = await backupToFile(db, path);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(n).toBeGreaterThan(50);

    const elsewhere = await freshDatabase();
    expect(await restoreBackup(elsewhere, path)).toEqual(report);
    expect((await check(elsewhere, runtimeTables)).filter(({ kind }) => kind !== "table")).toEqual([]);
    const { state: there, bus } = await stateOn(elsewhere);
    const { remembered, told } = await stepsOf(there);
    expect(remembered).toBe(told);
    expect((await there.journal(lease.run.id)).size).toBeLessThan((await state.journal(lease.run.id)).size);
    expect(await there.load(over)).toEqual(await state.load(over));
    expect([...(await there.journal(over)).values()]).toEqual([...(await state.journal(over)).values()]);
    expect(await there.stateAt(over)).toEqual({ mood: "calm" });
    expect(await there.accessTokens.check(secret)).toMatchObject({ name: "ada" });
    expect((await there.schedules.list()).schedules).toEqual((await state.schedules.list()).schedules);
    expect(
      await bus.publish({ type: "order.placed", data: { total: 12 }, eventId: "order-17" }),
    ).toBeLessThan(report.head);
    const { events } = await bus.history({ order: "desc", limit: 1 });
    expect(events).toMatchObject([
      {
        position: report.head + 1,
        type: "system.alerted",
        data: { code: "restored", sha256: report.sha256 },
      },
    ]);

    const all = await there.claim({ worker: "w9", serves, max: 100 });
    expect(all.map(({ run }) => run.id)).toContain(lease.run.id);
    for (const each of all) await there.commit(each, { end: { complete: 1 } });
    expect(await there.load(lease.run.id)).toMatchObject({ status: "completed" });

    await sabotage("it is read without a snapshot", async () => {
      whileBackedUp(db, work, false);
      const other = await freshPath();
      await backupToFile(db, other);
      const broken = await freshDatabase();
      await restoreBackup(broken, other);
      const steps = await stepsOf((await stateOn(broken)).state);
      expect(steps.remembered).toBe(steps.told);
    });
  });

  test("that takes the place of its database keeps out who worked on that before", async () => {
    const restoredInPlace = async () => {
      const fresh = await busy();
      const path = await freshPath();
      await backupToFile(fresh.db, path);
      await fresh.state.commit(fresh.lease, { steps: [done("main/lost#1")] });
      await wipe(fresh.db);
      await restoreBackup(fresh.db, path);
      return fresh;
    };
    const expectFenced = async ({ db, state, bus, lease }: Awaited<ReturnType<typeof busy>>) => {
      const before = await db.query(
        surql`RETURN [(SELECT * FROM run), (SELECT * FROM step), (SELECT * FROM event)]`,
      );
      expect(await codeOf(() => state.commit(lease, { steps: [done("main/c#1")] }))).toBe(
        "event_bus.restored",
      );
      expect(await codeOf(() => bus.publish({ type: "order.placed" }))).toBe("event_bus.restored");
      expect((await state.renew([lease])).held).toEqual([]);
      const after = await db.query(
        surql`RETURN [(SELECT * FROM run), (SELECT * FROM step), (SELECT * FROM event)]`,
      );
      expect(after).toEqual(before);
      const { state: there } = await stateOn(db);
      const taken = await held(there, "w9");
      expect(taken.run.id).toBe(lease.run.id);
      expect(taken.token).toBeGreaterThan(lease.token + 100_000);
      expect([...(await there.journal(lease.run.id)).keys()]).toEqual(["main/a#1"]);
    };
    await expectFenced(await restoredInPlace());
    await sabotage("rows are brought back as they were", async () => {
      const spy = vi.spyOn(Fence.prototype, "of").mockImplementation((_, bytes) => bytes);
      const fresh = await restoredInPlace();
      spy.mockRestore();
      await expectFenced(fresh);
    });
  });

  test("holds tables of one's own, and every value in them as it was", async () => {
    const db = await freshDatabase();
    for (const statement of [
      surql`DEFINE ANALYZER words TOKENIZERS blank FILTERS lowercase`,
      surql`DEFINE FUNCTION fn::twice($n: int) { RETURN $n * 2 }`,
      surql`DEFINE TABLE thing SCHEMALESS`,
      surql`DEFINE INDEX byText ON thing FIELDS text FULLTEXT ANALYZER words BM25`,
      surql`DEFINE TABLE likes TYPE RELATION IN thing OUT thing SCHEMAFULL`,
      surql`DEFINE FIELD since ON likes TYPE datetime`,
      surql`DEFINE TABLE noted SCHEMALESS`,
      surql`DEFINE EVENT note ON thing WHEN $event = "CREATE" THEN { CREATE noted SET of = $after.id }`,
      surql`DEFINE TABLE counted AS SELECT count() AS n FROM thing GROUP ALL`,
      surql`CREATE thing:[1, "a", { b: 2 }] SET f = 1f, i = 1, d = 1.5dec, du = 3h, u = u"01a21631-ec56-7112-9363-0422c82287a5", at = d"2026-01-01T00:00:00.123456789Z", ref = thing:two, g = (1.0, 2.0), none = NONE, null = NULL, range = 1..5, bytes = <bytes>"abc", text = "a quiet place"`,
      surql`CREATE thing:two SET text = "a loud place"`,
      surql`RELATE thing:two->likes->thing:[1, "a", { b: 2 }] SET since = d"2026-01-01T00:00:00.000000001Z"`,
    ])
      await db.query(statement);
    const path = await freshPath();
    const { rows } = await backupToFile(db, path);
    expect(rows).toEqual({ likes: 1, noted: 2, thing: 2 });
    const other = await freshDatabase();
    await restoreBackup(other, path);
    const all = surql`RETURN {
      things: (SELECT VALUE <string> $this FROM thing), likes: (SELECT VALUE <string> $this FROM likes),
      noted: (SELECT VALUE <string> of FROM noted), liked: thing:two->likes->thing,
      found: (SELECT VALUE <string> id FROM thing WHERE text @@ "quiet"), twice: fn::twice(4)
    }`;
    expect(await other.query(all)).toEqual(await db.query(all));
    await other.query(surql`CREATE thing:three`);
    expect(await other.query(surql`SELECT VALUE n FROM counted`)).toEqual([3]);
    expect(await other.query(surql`RETURN array::len((SELECT * FROM noted))`)).toBe(3);
  });

  test("of a large database holds no more of it at once than a little", async () => {
    const { db, bus } = await freshState();
    const data = "x".repeat(20_000);
    for (let i = 0; i < 10; i++) await bus.publish(range(50).map(() => ({ type: "order.placed", data })));
    const sizes: number[] = [];
    whileBackedUp(db, async () => {});
    const path = await freshPath();
    await backupToFile(db, path);
    for (const line of (await readFile(path, "utf8")).split("\n")) sizes.push(line.length);
    expect(Math.max(...sizes)).toBeLessThan(4 * 1024 * 1024);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeGreaterThan(12 * 1024 * 1024);
  });
});

describe("what is not as it was written", () => {
  const resealed = (lines: readonly string[]) => {
    const hash = createHash("sha256");
    for (const line of lines) hash.update(line).update("\n");
    return [...lines, JSON.stringify({ kind: "end", lines: lines.length, sha256: hash.digest("hex") })];
  };

  test("is not restored, nor is anything of it", async () => {
    const { db } = await busy();
    const path = await freshPath();
    await backupToFile(db, path);
    const lines = (await readFile(path, "utf8")).trimEnd().split("\n");
    const body = lines.slice(0, -1);
    const [header, ...rest] = body as [string, ...string[]];
    const rowsAt = body.findIndex((line) => line.startsWith('{"kind":"rows","table":"run"'));
    type Said = Record<string, unknown>;
    const withHeader = (change: (header: Said) => Said) =>
      resealed([JSON.stringify(change(JSON.parse(header) as Said)), ...rest]);
    const files: Record<string, string[]> = {
      empty: [],
      "cut off before its end": body,
      "cut off within a line": [...lines.slice(0, rowsAt), lines[rowsAt]!.slice(0, 200)],
      "changed in a row": lines.map((line, at) =>
        at === rowsAt ? line.replace(/"([A-Za-z0-9+/]{9})/, '"AAAAAAAAA') : line,
      ),
      "without some rows": lines.filter((_, at) => at !== rowsAt),
      "without some rows, and sealed anew": resealed(body.filter((_, at) => at !== rowsAt)),
      "with something behind its end": [...lines, lines[1]!],
      "of a newer format": withHeader((said) => ({ ...said, format: 2 })),
      "of newer tables": withHeader((said) => ({ ...said, migrations: 1_000 })),
      "with more than definitions": withHeader((said) => ({
        ...said,
        definitions: { before: ["DEFINE TABLE x; REMOVE DATABASE y"], after: [] },
      })),
      "with another statement": withHeader((said) => ({
        ...said,
        definitions: { before: ["REMOVE DATABASE y"], after: [] },
      })),
      "of something else": ['{"kind":"export","format":1}'],
    };
    const target = await freshDatabase();
    for (const [what, text] of Object.entries(files)) {
      const file = await freshPath();
      await writeFile(file, `${text.join("\n")}\n`);
      expect(await codeOf(() => checkBackup(file)), what).toBe("state.bad_backup");
      expect(await codeOf(() => restoreBackup(target, file)), what).toBe("state.bad_backup");
      await expectEmpty(target);
    }
    expect(await restoreBackup(target, path)).toEqual(await checkBackup(path));
    expect(await codeOf(() => restoreBackup(target, path))).toBe("state.not_empty");
    expect(await codeOf(() => restoreBackup(db, path))).toBe("state.not_empty");
  });

  test("is worked with by nobody, where it was restored in part", async () => {
    const { db } = await busy();
    const path = await freshPath();
    await backupToFile(db, path);
    const target = await freshDatabase();
    const query = target.query.bind(target);
    const spy = vi.spyOn(target, "query").mockImplementation((statement, options) => {
      if (/INSERT INTO `event`/.test(statement.text)) return Promise.reject(new Error("the disk is full"));
      return query(statement, options);
    });
    expect(await codeOf(() => restoreBackup(target, path))).toBe("state.half_restored");
    spy.mockRestore();
    const bus = createEventBus(target);
    onTestFinished(() => bus.close());
    await expect(bus.ready()).rejects.toMatchObject({ code: "schema.migration_failed" });
    expect(await codeOf(() => restoreBackup(target, path))).toBe("state.not_empty");
  });
});
