import { fileURLToPath } from "node:url";
import { defineConfig, type ViteUserConfig } from "vitest/config";

const conditions = ["@sentient/source"];

/**
 * How the tests of a package are run that needs a database.
 *
 * @param isolate whether each test file has a process of its own; its start is what a small file costs
 * @example export default databaseTests();
 */
export function databaseTests({ isolate = false } = {}): ViteUserConfig {
  return defineConfig({
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    test: {
      include: ["src/**/*.test.ts", "test/**/*.test.ts"],
      exclude: ["test/installed/**"], // needs the built package: pnpm check:package
      globalSetup: fileURLToPath(new URL("temporary-folder.ts", import.meta.url)),
      isolate,
      maxWorkers: 2,
      testTimeout: 240_000,
      hookTimeout: 240_000,
    },
  });
}
