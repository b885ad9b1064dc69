// What runs cost, beside the raw SDK on the same kind of engine in the same run; fsync is on everywhere.

import { rmSync } from "node:fs";
import { report, type BenchRow } from "@sentient/testkit";
import { claims, runs } from "./runs.ts";
import { states } from "./states.ts";
import { steps } from "./steps.ts";
import { folder, root } from "./support.ts";

const parts = { steps, runs, claims, states };
const only = process.argv[2];
const rows: BenchRow[] = [];
for (const [name, part] of Object.entries(parts)) {
  if (only !== undefined && only !== name) continue;
  rows.push(...(await part()));
  report("state", root, rows); // what is there if a later part fails
}
rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
process.exit(0);
