// States: 200 checkpoints of a state of 20 KB that changes a little each time, beside 200 snapshots of it; and reading one.

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { surql } from "@sentient/db-pool";
import type { BenchRow } from "@sentient/testkit";
import { claimed } from "./steps.ts";
import { folder, milliseconds, rawIn, rowOf, stateIn } from "./support.ts";

const CHECKPOINTS = 200;
const base = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`field${i}`, "x".repeat(86)]));
const stateAt = (i: number) => ({ ...base, progress: i, [`field${i}`]: `changed by ${i}` });

export async function states(): Promise<BenchRow[]> {
  await using ours = await stateIn("states");
  const raw = await rawIn("states-raw");
  const [lease] = await claimed(ours, 1);
  const [before, rawBefore] = [bytesIn("states"), bytesIn("states-raw")];
  const took = await milliseconds(async () => {
    for (let i = 0; i < CHECKPOINTS; i++)
      await ours.state.commit(lease!, { state: stateAt(i), checkpoint: { name: `c${i}` } });
  });
  const rawTook = await milliseconds(async () => {
    for (let i = 0; i < CHECKPOINTS; i++)
      await raw.query("CREATE state SET at = time::now(), state = $state RETURN NONE", {
        state: JSON.stringify(stateAt(i)),
      });
  });
  const rows = await ours.db.query(
    surql<number>`RETURN math::sum((SELECT VALUE string::len(ops ?? state ?? "") FROM patch))`,
  );
  const times: number[] = [];
  for (let i = 0; i < 100; i++)
    times.push(await milliseconds(() => ours.state.stateAt(lease!.run.id, { n: 1 + i * 2 })));
  await raw.close();
  const snapshot = Buffer.byteLength(JSON.stringify(stateAt(1)));
  return [
    rowOf(
      "200 checkpoints of 20 KB: bytes on disk (raw: 200 snapshots)",
      "B",
      [bytesIn("states") - before],
      [bytesIn("states-raw") - rawBefore],
    ),
    rowOf(
      "200 checkpoints of 20 KB: text in rows, in snapshots (raw: 200)",
      "×",
      [rows / snapshot],
      [CHECKPOINTS],
    ),
    rowOf("200 checkpoints of 20 KB: time (raw: 200 snapshots)", "ms", [took], [rawTook]),
    rowOf("the state at one of 200 points", "ms", times),
  ];
}

function bytesIn(name: string): number {
  return readdirSync(join(folder, name), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name: file }) => sum + statSync(join(parentPath, file)).size, 0);
}
