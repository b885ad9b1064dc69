import { defineConfig } from "tsup";

export default defineConfig({
  entry: ["src/index.ts", "src/main.ts", "src/demo-worker.ts"],
  format: ["esm"],
  target: "node24",
  dts: false, // tsc writes the declarations
  removeNodeProtocol: false, // node:test has no other name
  sourcemap: true,
  clean: true,
});
