// What the log costs, beside the raw SDK on the same kind of engine in the same run; fsync is on everywhere.
// In process: ours in one rocksdb folder, the SDK in another. Served: all on one engine in a child process, over loopback.
// A row of an event: a run of fifty, its n, a type, a source, a workflow and 118 bytes of data.

import { rmSync } from "node:fs";
import { report, type BenchRow } from "@sentient/testkit";
import { appending } from "./appending.ts";
import { following } from "./following.ts";
import { reading } from "./reading.ts";
import { folder, root } from "./support.ts";

const rows: BenchRow[] = [];
for (const part of [appending, following, reading]) {
  rows.push(...(await part()));
  report("event-bus", root, rows); // what is there if a later part fails
}
rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
process.exit(0);
