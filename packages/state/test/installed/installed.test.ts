// The package as a stranger gets it: packed, installed into an empty folder, imported by its name.

import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const NAMES = ["db-pool", "schema", "event-bus", "state"];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sentient-state-installed-"));
  for (const name of NAMES) {
    const cwd = fileURLToPath(new URL(`../../../${name}`, import.meta.url));
    await run("pnpm", ["pack", "--pack-destination", folder], { cwd });
  }
  // Each stands in for what the registry would be asked for, also where one asks for another.
  const files = await readdir(folder);
  const packed = Object.fromEntries(
    NAMES.map((name) => [
      `@sentient/${name}`,
      `file:./${files.find((file) => file.startsWith(`sentient-${name}-`))}`,
    ]),
  );
  const overrides = Object.fromEntries(Object.keys(packed).map((name) => [name, `$${name}`]));
  await writeFile(
    join(folder, "package.json"),
    JSON.stringify({ name: "stranger", private: true, type: "module", dependencies: packed, overrides }),
  );
  // A download that stalls is tried again long before the hook gives up.
  const patience = ["--fetch-timeout=20000", "--fetch-retries=5", "--fetch-retry-mintimeout=1000"];
  await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", ...patience], { cwd: folder });
}, 420_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

test("a run goes from its start to its end", async () => {
  const { stdout } = await run(
    process.execPath,
    [
      "--input-type=module",
      "-e",
      `import { openDatabase } from "@sentient/db-pool";
       import { createEventBus } from "@sentient/event-bus";
       import { createState } from "@sentient/state";
       const db = await openDatabase({ url: "rocksdb://./data" });
       const bus = createEventBus(db);
       const state = createState(db, bus);
       const { run } = await state.start({ name: "add", input: [1, 2] });
       const [lease] = await state.claim({ worker: "w", serves: [{ name: "add", versions: ["1"] }] });
       await state.commit(lease, { state: { sum: 3 }, checkpoint: { name: "added" } });
       await state.commit(lease, { state: { sum: 4 }, end: { complete: lease.run.input[0] + lease.run.input[1] } });
       await state.schedules.put("nightly", { kind: "task", name: "add", input: [], cron: "0 3 * * *", timeZone: "Europe/Berlin" });
       const fork = await state.fork(run.id, { checkpoint: "added" });
       console.log((await state.load(run.id)).output, JSON.stringify(await state.stateAt(fork.run.id)));
       await bus.close();
       await db.close();`,
    ],
    { cwd: folder, timeout: 60_000 },
  );
  expect(stdout.trim()).toBe('3 {"sum":3}');
});
