import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { servedEngine } from "../src/index.ts";

const entry = new URL("./fixtures/serve.ts", import.meta.url);
const root = mkdtempSync(join(tmpdir(), "served-engine-"));
let folders = 0;
const freshFolder = () => join(root, String(++folders));

afterAll(() => rmSync(root, { recursive: true }));

test("an engine is served on the folder, with a token of its own", async () => {
  await using engine = await servedEngine({ entry, folder: freshFolder() });
  expect(await ask(engine.url)).toEqual({ starts: 1, token: engine.token, scheme: "rocksdb" });
});

test("the scheme and the environment are the caller's", async () => {
  await using engine = await servedEngine({
    entry,
    folder: freshFolder(),
    engine: "surrealkv",
    env: { FAIL: "" },
  });
  expect(await ask(engine.url)).toMatchObject({ scheme: "surrealkv" });
});

test("a killed engine breaks its connections and comes back on the same port and folder", async () => {
  await using engine = await servedEngine({ entry, folder: freshFolder() });
  const { url, pid } = engine;
  const socket = connect(addressOf(url));
  await once(socket, "connect");
  const broken = new Promise((resolve) => socket.on("error", () => {}).once("close", resolve));
  await engine.kill();
  await broken;
  await expect(ask(url)).rejects.toThrow("ECONNREFUSED");

  await engine.restart();
  expect(engine.url).toBe(url);
  expect(engine.pid).not.toBe(pid);
  expect(await ask(url)).toMatchObject({ starts: 2, token: engine.token });
});

test("a running engine can be restarted, many times over", async () => {
  await using engine = await servedEngine({ entry, folder: freshFolder() });
  for (let starts = 2; starts <= 4; starts++) {
    await engine.restart();
    expect(await ask(engine.url)).toMatchObject({ starts });
  }
});

test("a paused engine accepts and does not answer until it is resumed", async () => {
  await using engine = await servedEngine({ entry, folder: freshFolder() });
  engine.pause();
  const answer = ask(engine.url);
  expect(await Promise.race([answer, elapsed(100)])).toBe("elapsed");
  engine.resume();
  expect(await answer).toMatchObject({ starts: 1 });
});

test("close ends even a paused engine in good order, and twice is once", async () => {
  const engine = await servedEngine({ entry, folder: freshFolder() });
  engine.pause();
  await engine.close();
  await engine.close();
  await expect(ask(engine.url)).rejects.toThrow("ECONNREFUSED");
});

test("an engine that does not start says why", async () => {
  const starting = servedEngine({ entry, folder: freshFolder(), env: { FAIL: "start" } });
  await expect(starting).rejects.toThrow("the store is locked");
});

test("an engine that does not close well is an error", async () => {
  const engine = await servedEngine({ entry, folder: freshFolder(), env: { FAIL: "close" } });
  await expect(engine.close()).rejects.toThrow("did not close well (1)");
});

function addressOf(url: string) {
  const { hostname: host, port } = new URL(url);
  return { host, port: Number(port) };
}

async function ask(url: string): Promise<unknown> {
  const socket = connect(addressOf(url));
  socket.write("?");
  const [answer] = await once(socket, "data");
  socket.destroy();
  return JSON.parse(String(answer));
}

const elapsed = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms, "elapsed"));
