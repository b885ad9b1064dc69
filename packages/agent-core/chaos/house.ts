// The house of a chaos run: a database in a process of its own, workers in theirs, and a line to it for each, which can be
// made to misbehave. Owns: that there are so many workers, whatever happens to them.

import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { DatabaseOptions } from "@sentient/db-pool";
import {
  EffectLedger,
  freshNames,
  servedEngine,
  spawnChild,
  tcpProxy,
  until,
  type Child,
  type ServedEngine,
  type TcpProxy,
} from "@sentient/testkit";
import type { Options } from "./options.ts";
import type { Orders } from "./orders.ts";
import type { Note } from "./work.ts";

/** Who goes over a line. */
export interface Lane {
  name: string;
  proxy: TcpProxy;
  /** None on the line of who starts runs, and where it is about to be started. */
  worker: Child | undefined;
  /** Whether something is done to it at the moment. */
  isStruck: boolean;
  /** A file with what its clock shows too much. */
  clock: string;
}

export interface House {
  engine: ServedEngine;
  /** One for each worker; the last is that of who starts runs and asks for things. */
  lanes: Lane[];
  ledger: EffectLedger<Note>;
  /** Past all lines. */
  direct: DatabaseOptions;
  over: (lane: Lane) => DatabaseOptions;
  /** What workers ended of that nobody had ended. */
  crashes: string[];
  /** Of what is amiss, as workers told it, by what they said. */
  said: Map<string, number>;
  /** Whether all workers are there. */
  isWhole: () => boolean;
  close: () => Promise<void>;
}

const PATIENCE_MS = 60_000;
/** Of code that processes compile, as many of them are started. */
const CACHE = join(tmpdir(), "sentient-compile-cache");

export async function openHouse({ workers, lease, sabotage }: Options): Promise<House> {
  const folder = await mkdtemp(join(tmpdir(), "sentient-chaos-"));
  const entry = new URL("../test/fixtures/serve-child.ts", import.meta.url);
  const engine = await servedEngine({ entry, folder: join(folder, "engine") });
  const names = freshNames("chaos");
  const { token } = engine;
  const direct = { url: engine.url, token, ...names };
  const over = ({ proxy }: Lane) => ({ url: `ws://${proxy.host}:${proxy.port}/rpc`, token, ...names });
  const ledger = join(folder, "ledger");
  const lanes = await Promise.all(
    Array.from({ length: workers + 1 }, async (_, i): Promise<Lane> => {
      const proxy = await tcpProxy({ port: Number(new URL(engine.url).port) });
      const clock = join(folder, `clock-${i}`);
      writeFileSync(clock, "0");
      return {
        name: i < workers ? `worker ${i}` : "driver",
        proxy,
        worker: undefined,
        isStruck: false,
        clock,
      };
    }),
  );
  const house = {
    engine,
    lanes,
    direct,
    over,
    ledger: new EffectLedger<Note>(ledger),
    crashes: [],
    said: new Map(),
  };
  const closing = new AbortController();
  const kept = lanes.slice(0, workers).map((lane, i) => {
    const orders: Orders = {
      connection: over(lane),
      worker: { lease, slots: 24 },
      ledger,
      lane: i,
      clock: lane.clock,
      sabotage,
    };
    return keep(lane, orders, house, closing.signal);
  });
  return {
    ...house,
    isWhole: () => lanes.slice(0, workers).every(({ worker }) => worker !== undefined),
    close: async () => {
      closing.abort();
      for (const { worker } of lanes) void worker?.kill();
      await Promise.all(kept);
      await Promise.all(lanes.map(({ proxy }) => proxy.close()));
      await engine.close();
      await rm(folder, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

/** Starts a worker, and another one whenever that one has ended, as whoever supervises processes would. */
async function keep(
  lane: Lane,
  orders: Orders,
  { crashes, said }: Pick<House, "crashes" | "said">,
  closing: AbortSignal,
): Promise<void> {
  const env = { WORK: JSON.stringify(orders), NODE_COMPILE_CACHE: CACHE };
  while (!closing.aborted) {
    await using child = spawnChild(new URL("worker-child.ts", import.meta.url), { env });
    const isReady = await child
      .message(({ ready }) => ready === true, PATIENCE_MS)
      .then(
        () => true,
        () => false,
      );
    if (isReady && !closing.aborted) {
      lane.worker = child;
      const { code, signal } = await child.exited;
      if (lane.worker === child && !closing.aborted)
        crashes.push(`${lane.name} ended by itself (${signal ?? code}): ${child.stderr.slice(-2_000)}`);
      lane.worker = undefined;
    } else await sleep(200); // the database may be away
    for (const { log } of child.messages)
      if (typeof log === "string") said.set(log, (said.get(log) ?? 0) + 1);
  }
}

/** Takes the worker off its line, so that whatever ends it is somebody's doing. */
export function takeWorker(lane: Lane): Child {
  const { worker } = lane;
  lane.worker = undefined;
  return worker!;
}

export function untilWhole({ isWhole }: House): Promise<unknown> {
  return until(isWhole, { deadline: PATIENCE_MS * 2, every: 50, what: "all workers to be there" });
}
