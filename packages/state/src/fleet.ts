// Fleet. Owns: which of the runs that several workers could take each of them takes first, so that they do not all want the
// same. Nobody assigns them: each worker reckons it from who is there. Who sees it otherwise for a while meets the others.

import type { RecordId } from "@sentient/db-pool";
import type { Name } from "@sentient/schema";
import type { Context } from "./changing.ts";
import { LIVE_MS } from "./workers.ts";
import { readLive, type LiveWorker } from "./workers-queries.ts";

/** How long it is relied on who is there, in milliseconds. */
const RELIED_ON_MS = 2_000;

/** A worker's part of the runs that several could take. */
export interface Share {
  /** Among how many they are divided; undefined if the worker has not told of itself, and nobody knows. */
  workers: number | undefined;
  isOwn: (run: RecordId<"run", string>) => boolean;
}

/** Of who has not told of itself. */
export const ALL: Share = { workers: undefined, isOwn: () => true };

export class Fleet {
  readonly #context: Pick<Context, "db" | "time">;
  #live: LiveWorker[] = [];
  #readAt = -Infinity;

  constructor(context: Pick<Context, "db" | "time">) {
    this.#context = context;
  }

  /** Runs are divided among those who are at one of the queues and have a slot. */
  async shareOf(worker: string, queues: readonly Name[]): Promise<Share> {
    const now = performance.now();
    if (now - this.#readAt >= RELIED_ON_MS) {
      this.#readAt = now;
      const { db, time } = this.#context;
      this.#live = await db.query(readLive(LIVE_MS, time.now));
    }
    const fellows = this.#live.filter(
      ({ id, slots, running, queues: others }) =>
        id === worker || (running < slots && others.some((queue) => queues.includes(queue as Name))),
    );
    const place = fellows.findIndex(({ id }) => id === worker);
    if (place < 0) return ALL;
    return { workers: fellows.length, isOwn: ({ id }) => hashOf(id) % fellows.length === place };
  }
}

/** FNV-1a, 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
