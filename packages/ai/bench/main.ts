// What agents that think cost, embedded on rocksdb with fsync: turns and streams beside the bare AI SDK, and memory.

import { fileURLToPath } from "node:url";
import { report, type BenchRow } from "@sentient/testkit";
import { memoryRows } from "./memory.ts";
import { turnsRows } from "./turns.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const parts = { turns: turnsRows, memory: memoryRows };
const only = process.argv[2];
const rows: BenchRow[] = [];
for (const [name, part] of Object.entries(parts)) {
  if (only !== undefined && only !== name) continue;
  rows.push(...(await part()));
  report("ai", root, rows); // what is there if a later part fails
}
process.exit(0);
