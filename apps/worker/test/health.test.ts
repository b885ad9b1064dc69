import { expect, test } from "vitest";
import { serveHealth } from "../src/health.ts";
import { flagsFrom } from "../src/options.ts";

const condition = { isReady: () => true, answers: async () => true, running: () => 0 };

test.skipIf(process.platform !== "linux")(
  "it answers at the address that it is given, and at no other",
  async () => {
    await using health = await serveHealth({ host: "127.0.0.2", port: 0 }, condition);
    expect((await fetch(`http://127.0.0.2:${health.port}/readyz`)).status).toBe(200);
    await expect(fetch(`http://127.0.0.1:${health.port}/readyz`)).rejects.toThrow();
  },
);

test("its address is said beside its port", () => {
  const { config } = flagsFrom(["--health-port", "9090", "--health-host", "0.0.0.0"]);
  expect(config.worker).toEqual({ healthPort: 9090, healthHost: "0.0.0.0" });
});
