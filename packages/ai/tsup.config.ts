import { defineConfig } from "tsup";

export default defineConfig({
  entry: [
    "src/index.ts",
    "src/mcp/index.ts",
    "src/untrusted/inside.ts",
    "src/memory/index.ts",
    "src/testing/index.ts",
  ],
  format: ["esm"],
  target: "node24",
  dts: false, // tsc writes the declarations
  sourcemap: true,
  clean: true,
});
