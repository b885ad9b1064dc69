// The tests with their database in another process, over a line that misbehaves now and then. `pnpm test:proxy` runs all that
// this can be done with; the check runs the few that `test` names.

import { databaseTests } from "@sentient/testkit/vitest";
import { mergeConfig } from "vitest/config";

export default mergeConfig(databaseTests({ isolate: true }), {
  test: { env: { SENTIENT_PROXY: "1" } },
});
