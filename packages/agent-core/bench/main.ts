// What agents and workflows cost, embedded on rocksdb with fsync unless a row says otherwise.

import { rmSync } from "node:fs";
import { report, type BenchRow } from "@sentient/testkit";
import { fleet, memory, starts } from "./processes.ts";
import { folder, root } from "./support.ts";
import { flows, tasks } from "./tasks.ts";
import { types } from "./types.ts";

const parts = { tasks, flows, starts, fleet, memory, types };
const only = process.argv[2];
const rows: BenchRow[] = [];
for (const [name, part] of Object.entries(parts)) {
  if (only !== undefined && only !== name) continue;
  rows.push(...(await part()));
  report("agent-core", root, rows); // what is there if a later part fails
}
rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
process.exit(0);
