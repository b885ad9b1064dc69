import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { chooseDatabase, freshNames } from "../src/index.ts";

const refuse = () => Promise.reject(new Error("nobody asked for a served engine"));

beforeEach(() => {
  for (const name of ["URL", "USER", "PASSWORD", "TOKEN"]) vi.stubEnv(`SENTIENT_TEST_${name}`, "");
});
afterEach(() => vi.unstubAllEnvs());

test("the environment's database comes first, and its description keeps the secrets", async () => {
  vi.stubEnv("SENTIENT_TEST_URL", "ws://root:hidden@db.example:8000/rpc");
  vi.stubEnv("SENTIENT_TEST_USER", "root");
  vi.stubEnv("SENTIENT_TEST_PASSWORD", "secret");
  const database = await chooseDatabase({ serve: refuse });
  expect(database).toMatchObject({
    tier: "env",
    url: "ws://root:hidden@db.example:8000/rpc",
    credentials: { username: "root", password: "secret" },
    description: "SENTIENT_TEST_URL, ws://db.example:8000/rpc",
  });
  await database.close();
});

test("the environment may give a token, or nothing to sign in with, but not half of it", async () => {
  vi.stubEnv("SENTIENT_TEST_URL", "ws://db.example:8000/rpc");
  expect((await chooseDatabase({ serve: refuse })).credentials).toBeUndefined();
  vi.stubEnv("SENTIENT_TEST_TOKEN", "t0ken");
  expect((await chooseDatabase({ serve: refuse })).credentials).toEqual({ token: "t0ken" });
  vi.stubEnv("SENTIENT_TEST_TOKEN", "");
  vi.stubEnv("SENTIENT_TEST_USER", "root");
  await expect(chooseDatabase({ serve: refuse })).rejects.toThrow("one is missing");
});

test("a container runtime that never answers is given up, and an engine is served", async () => {
  const folder = mkdtempSync(join(tmpdir(), "silent-runtime-"));
  const silent = createServer();
  silent.listen(join(folder, "docker.sock"));
  await once(silent, "listening");
  const asked = once(silent, "connection");
  vi.stubEnv("DOCKER_HOST", `unix://${folder}/docker.sock`);
  const close = vi.fn<() => Promise<void>>(async () => {});
  const database = await chooseDatabase({
    serve: async () => ({ url: "ws://127.0.0.1:20000/rpc", token: "t0ken", close }),
  });
  expect(database).toMatchObject({
    tier: "served",
    url: "ws://127.0.0.1:20000/rpc",
    credentials: { token: "t0ken" },
    description: "served engine at ws://127.0.0.1:20000/rpc (no container runtime answers)",
  });
  await asked; // it was silent, and not merely absent
  await database.close();
  expect(close).toHaveBeenCalledOnce();
  silent.close();
  rmSync(folder, { recursive: true });
});

test("fresh names are identifiers and never the same twice", () => {
  const [one, two] = [freshNames("lease"), freshNames("lease")];
  expect(one.namespace).toMatch(/^lease_ns_[0-9a-f]{16}$/);
  expect(one.database).toMatch(/^lease_db_[0-9a-f]{16}$/);
  expect(one).not.toEqual(two);
  for (const prefix of ["", "1st", "a-b", "a; REMOVE NAMESPACE x"])
    expect(() => freshNames(prefix)).toThrow(TypeError);
});
