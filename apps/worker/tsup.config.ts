import { defineConfig } from "tsup";

export default defineConfig({
  entry: ["src/index.ts", "src/main.ts"],
  format: ["esm"],
  target: "node24",
  dts: false, // tsc writes the declarations
  sourcemap: true,
  clean: true,
});
