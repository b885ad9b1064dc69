import { defineConfig } from "vitest/config";

export default defineConfig({ test: { include: ["test/installed/*.test.ts"], testTimeout: 60_000 } });
