// A line to the database that misbehaves now and then: it is slow, loses answers and is cut off, as networks do.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openDatabase, type Database, type DatabaseOptions } from "@sentient/db-pool";
import { createEventBus } from "@sentient/event-bus";
import { seeded, servedEngine, tcpProxy, type SeededRandom, type TcpProxy } from "@sentient/testkit";

/** How long it is well, at most, in milliseconds. */
const WELL_MS = 300;

type Mishap = (proxy: TcpProxy, random: SeededRandom) => void | Promise<void>;

const MISHAPS: readonly Mishap[] = [
  (proxy) => proxy.reset(),
  (proxy, random) => proxy.cutAfter(1 + random.int(2_000), "down"), // in the midst of an answer
  (proxy, random) => proxy.cutAfter(1 + random.int(4_000), "up"),
  async (proxy, random) => {
    proxy.latency(1 + random.int(20));
    await sleep(random.int(200));
    proxy.latency(0);
  },
  async (proxy, random) => {
    proxy.dropReplies();
    await sleep(random.int(100));
    proxy.reset(); // no connection lives on that has lost bytes
    proxy.pass();
  },
];

async function misbehave(proxy: TcpProxy, random: SeededRandom, stop: AbortSignal): Promise<number> {
  let mishaps = 0;
  while (!stop.aborted) {
    await random.pick(MISHAPS)(proxy, random);
    mishaps++;
    await sleep(random.int(WELL_MS), undefined, { signal: stop }).catch(() => {});
  }
  return mishaps;
}

/** Databases in a process of its own, and the line to it. */
export interface Mischief {
  /** A database that has its tables. */
  open: (names: { namespace: string; database: string }) => Promise<Database>;
  close: () => Promise<void>;
}

/** Its tables are made over a line that is well: who makes them is somebody else. */
async function prepare(connection: DatabaseOptions): Promise<void> {
  await using db = await openDatabase(connection);
  await using bus = createEventBus(db);
  await bus.ready();
}

/** Whoever opens a database tries it for a while. */
async function openPatiently(connection: DatabaseOptions): Promise<Database> {
  for (let tries = 1; ; tries++) {
    try {
      return await openDatabase(connection);
    } catch (error) {
      if (tries === 20) throw error;
    }
  }
}

/** A database in a process of its own, and a line to it that is well. */
export async function farEngine() {
  const folder = await mkdtemp(join(tmpdir(), "sentient-far-"));
  const engine = await servedEngine({
    entry: new URL("../fixtures/serve-child.ts", import.meta.url),
    folder,
  });
  const proxy = await tcpProxy({ port: Number(new URL(engine.url).port) });
  const { url, token } = engine;
  return {
    proxy,
    direct: { url, token },
    far: { url: `ws://${proxy.host}:${proxy.port}/rpc`, token },
    close: async () => {
      await proxy.close();
      await engine.close();
      await rm(folder, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

/** Begins at once, and goes on until it is closed. Its seed is printed. */
export async function mischief(): Promise<Mischief> {
  const { proxy, direct, far, close } = await farEngine();
  const random = seeded();
  const stop = new AbortController();
  const going = misbehave(proxy, random, stop.signal);
  return {
    open: async (names) => {
      await prepare({ ...direct, ...names });
      return openPatiently({ ...far, ...names });
    },
    close: async () => {
      stop.abort();
      console.log(`SEED=${random.seed}, ${await going} mishaps on the line to the database`);
      await close();
    },
  };
}
