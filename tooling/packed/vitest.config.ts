import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/*.test.ts"],
    globalSetup: "test/install.ts",
    testTimeout: 240_000,
    hookTimeout: 420_000,
  },
});
