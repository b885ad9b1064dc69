// The fence of a restore. Owns: what is changed in rows as they are brought back, so that who worked on the database before has
// no part in it any more.
// N1. Whoever held a run or a consumer holds it no more, and no lease that was granted since then is ever granted again: tokens
//     go on far behind any that may have been given.
// N2. Nobody who knew the log appends to it: it begins a new era.
// N3. Who was there is there no more: workers, members of consumers and producers tell of themselves anew.

import { decode, encode, type RecordId } from "@sentient/db-pool";
import { epochOfNewEra } from "@sentient/event-bus";
import { randomInt } from "node:crypto";

const GONE = new Set(["worker", "consumer_member", "producer"]);
const STEP = 1_000_000;
const MOST_STEPS = 1_000;
/** Who holds what was held when the backup was made. */
const RESTORED = "restored";

interface RunRow {
  status: string;
  token: number;
  endedAt?: Date;
  lease?: { worker: string; token: number; until: Date };
  seek: { dueAt?: Date };
}
interface ConsumerRow {
  token: number;
  lease?: unknown;
}
interface HeadRow {
  id: RecordId;
  epoch?: number;
  turn?: unknown;
}

export class Fence {
  readonly #step = STEP * (1 + randomInt(MOST_STEPS));
  /** When leases have run out that were held. */
  readonly #past: Date;

  constructor(past: Date) {
    this.#past = past;
  }

  /** @returns undefined for a row that is not brought back */
  of(table: string, bytes: Uint8Array): Uint8Array | undefined {
    if (GONE.has(table)) return undefined;
    if (table === "run") return encode(this.#run(decode(bytes) as RunRow));
    if (table === "consumer") return encode(this.#consumer(decode(bytes) as ConsumerRow));
    if (table === "log") return encode(this.#mark(decode(bytes) as HeadRow));
    return bytes;
  }

  /** N1. One that was held is claimed like any whose worker is gone. */
  #run(row: RunRow): object {
    if (row.endedAt !== undefined) return row;
    const token = row.token + this.#step;
    if (!row.lease) return { ...row, token };
    const lease = { ...row.lease, worker: RESTORED, token, until: this.#past };
    return { ...row, token, lease, seek: { ...row.seek, dueAt: this.#past } };
  }

  /** N1. */
  #consumer({ lease: _, ...row }: ConsumerRow): object {
    return { ...row, token: row.token + this.#step };
  }

  /** N2. */
  #mark({ turn: _, ...mark }: HeadRow): object {
    return mark.id.id === "head" ? { ...mark, epoch: epochOfNewEra(mark.epoch ?? 0) } : mark;
  }
}
