import { defineConfig } from "vitest/config";

const conditions = ["@sentient/source"];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: { include: ["test/**/*.test.ts"], testTimeout: 120_000 },
});
