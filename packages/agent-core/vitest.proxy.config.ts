// The tests of what runs do, with their database in another process, over a line that misbehaves now and then: all of them by
// `test:proxy`, and a few in `test`.

import { databaseTests } from "@sentient/testkit/vitest";
import { mergeConfig } from "vitest/config";

const runs = databaseTests({ isolate: true });
const names = [
  "agents",
  "branches",
  "branches-shared",
  "children",
  "compensate",
  "control",
  "control-matrix",
  "handle",
  "patch",
  "replay",
  "state",
  "step",
  "step-cut-off",
  "telling",
  "versions",
  "waits",
  "worker",
];
runs.test!.include = names.map((name) => `test/${name}.test.ts`);

export default mergeConfig(runs, { test: { env: { SENTIENT_PROXY: "1" } } });
