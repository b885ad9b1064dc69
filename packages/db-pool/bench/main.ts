// What the pool costs, beside the raw SDK on the same kind of engine in the same run.
// In process: ours on one folder, the SDK on another, both rocksdb with fsync.
// Served: ours and the SDK on one served engine in a child process, over loopback.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createNodeEngines } from "@surrealdb/node";
import { Surreal } from "surrealdb";
import { measure, percentile, report, servedEngine, type BenchRow } from "@sentient/testkit";
import { openDatabase, RecordId, surql, type Database } from "../src/index.ts";

const folder = mkdtempSync(join(tmpdir(), "sentient-bench-"));
const root = fileURLToPath(new URL("../../..", import.meta.url));
const OVERHEAD = { text: "≤ 1.10× raw", met: (ratio: number) => ratio <= 1.1 };
const one = new RecordId("item", 1);

interface Pair {
  ours: Database;
  raw: Surreal;
}

const rows: BenchRow[] = [];
const inProcess = await openInProcess();
const { served, ...remote } = await openServed();

rows.push(...(await calls("in process", inProcess)));
rows.push(...(await calls("served", remote)));
rows.push(...(await throughput("in process", inProcess)));
rows.push(...(await throughput("served", remote)));
rows.push(await servedOverInProcess());
rows.push(await acquiring());

await Promise.all([inProcess.ours.close(), inProcess.raw.close(), remote.ours.close(), remote.raw.close()]);
await served.close();
rmSync(folder, { recursive: true });
report("db-pool", root, rows);

async function openInProcess(): Promise<Pair> {
  const ours = await openDatabase({
    url: `rocksdb://${join(folder, "ours")}`,
    namespace: "bench",
    database: "bench",
  });
  const raw = new Surreal({ engines: createNodeEngines() });
  await raw.connect(`rocksdb://${join(folder, "raw")}`);
  await raw.use({ namespace: "bench", database: "bench" });
  await ours.query(surql`CREATE ${one} SET n = 1, text = ${"x".repeat(200)}`);
  await raw.query("CREATE item:1 SET n = 1, text = $text", { text: "x".repeat(200) });
  return { ours, raw };
}

async function openServed() {
  const engine = await servedEngine({
    entry: new URL("../test/fixtures/serve-child.ts", import.meta.url),
    folder: join(folder, "served"),
  });
  const ours = await openDatabase({
    url: engine.url,
    token: engine.token,
    namespace: "bench",
    database: "bench",
  });
  const raw = new Surreal();
  await raw.connect(engine.url, { authentication: engine.token, namespace: "bench", database: "bench" });
  await ours.query(surql`CREATE ${one} SET n = 1, text = ${"x".repeat(200)}`);
  return { ours, raw, served: engine };
}

async function calls(where: string, { ours, raw }: Pair): Promise<BenchRow[]> {
  return [
    await measure({
      name: `${where}: RETURN 1`,
      unit: "µs",
      calls: 3_000,
      ours: () => ours.query(surql`RETURN 1`),
      raw: () => raw.query("RETURN 1").collect(),
      goal: OVERHEAD,
    }),
    await measure({
      name: `${where}: point read`,
      unit: "µs",
      calls: 3_000,
      ours: () => ours.query(surql`SELECT * FROM ONLY ${one}`),
      raw: () => raw.query("SELECT * FROM ONLY $id", { id: one }).collect(),
      goal: OVERHEAD,
    }),
    await measure({
      name: `${where}: durable write`,
      unit: "µs",
      calls: 300,
      ours: (n) => ours.query(surql`CREATE row CONTENT ${{ n, tags: ["a", "b"], at: new Date() }}`),
      raw: (n) =>
        raw.query("CREATE row CONTENT $row", { row: { n, tags: ["a", "b"], at: new Date() } }).collect(),
      goal: OVERHEAD,
    }),
  ];
}

async function throughput(where: string, { ours, raw }: Pair): Promise<BenchRow[]> {
  const list: BenchRow[] = [];
  for (const inFlight of [1, 16, 64]) {
    list.push(
      await measure({
        name: `${where}: point reads, ${inFlight} in flight`,
        unit: "/s",
        calls: 4_000,
        inFlight,
        ours: () => ours.query(surql`SELECT * FROM ONLY ${one}`),
        raw: () => raw.query("SELECT * FROM ONLY $id", { id: one }).collect(),
      }),
      await measure({
        name: `${where}: transactions of 3 writes, ${inFlight} in flight`,
        unit: "/s",
        calls: 600,
        inFlight,
        ours: (n) =>
          ours.transaction([
            surql`CREATE a SET n = ${n}`,
            surql`CREATE b SET n = ${n}`,
            surql`CREATE c SET n = ${n}`,
          ]),
        raw: (n) =>
          raw
            .query("BEGIN; CREATE a SET n = $n; CREATE b SET n = $n; CREATE c SET n = $n; COMMIT", { n })
            .collect(),
      }),
    );
  }
  return list;
}

async function servedOverInProcess(): Promise<BenchRow> {
  return measure({
    name: "served over in process: point read (raw = ours in process)",
    unit: "µs",
    calls: 3_000,
    ours: () => remote.ours.query(surql`SELECT * FROM ONLY ${one}`),
    raw: () => inProcess.ours.query(surql`SELECT * FROM ONLY ${one}`),
  });
}

/** How long 64 callers wait for one of the 10 connections, p99 of each of seven rounds. */
async function acquiring(): Promise<BenchRow> {
  const p99: number[] = [];
  for (let round = 0; round < 8; round++) {
    const waits: number[] = [];
    const off = remote.ours.on("acquire", ({ waited }) => waits.push(waited));
    let left = 4_000;
    const caller = async () => {
      while (left-- > 0) await remote.ours.query(surql`SELECT * FROM ONLY ${one}`);
    };
    await Promise.all(Array.from({ length: 64 }, caller));
    off();
    if (round > 0) p99.push(percentile(waits, 0.99));
  }
  return {
    name: "acquire p99, 64 callers on 10 connections",
    unit: "ms",
    median: percentile(p99, 0.5),
    min: Math.min(...p99),
    max: Math.max(...p99),
  };
}
