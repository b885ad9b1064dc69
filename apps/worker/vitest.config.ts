import { defineConfig } from "vitest/config";

const conditions = ["@sentient/source"];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    exclude: ["test/installed/**"], // needs the built package: pnpm check:package
    testTimeout: 240_000,
    hookTimeout: 120_000,
  },
});
