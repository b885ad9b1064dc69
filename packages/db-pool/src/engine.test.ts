import { setImmediate as turn } from "node:timers/promises";
import { Uuid } from "surrealdb";
import { expect, test } from "vitest";
import { Engine } from "./engine.ts";
import type { NativeEngine } from "./native.ts";

test("an engine is not freed while it is asked for its notifications: that would abort the process", async () => {
  const asked = Promise.withResolvers<{ recv(): Promise<null> }>();
  let isFreed = false;
  const native: NativeEngine = {
    execute: () => Promise.reject(new Error("nobody calls it here")),
    notifications: () => asked.promise,
    free: () => void (isFreed = true),
  };
  const engine = new Engine({ kind: "mem", folder: "" }, native, () => {});
  engine.retain();
  engine.onLive(Uuid.v4(), () => {});
  const released = engine.release();
  for (let i = 0; i < 10; i++) await turn();
  expect(isFreed).toBe(false);
  asked.resolve({ recv: () => Promise.resolve(null) });
  await released;
  expect(isFreed).toBe(true);
});
