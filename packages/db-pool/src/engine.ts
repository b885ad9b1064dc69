// Embedded engines. Owns: the engines of this process, who shares them, and their end.
// E1. One engine a folder a process, shared and counted.
// E2. No call reaches an engine that is closing: it would abort the whole process.
// E3. A folder that cannot be opened is told at once and in words, never by a hang.

import { existsSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Uuid } from "surrealdb";
import { classify } from "./classify.ts";
import { settlesWithin, systemClock } from "./clock.ts";
import { decode } from "./codec.ts";
import { closedError, DbError } from "./errors.ts";
import { InFlight } from "./in-flight.ts";
import { LiveRouter } from "./live-router.ts";
import { lockedBy, takeLock, type Holder } from "./lock-file.ts";
import { openNative, type NativeEngine } from "./native.ts";
import {
  decodeBare,
  encodeRequest,
  isNotification,
  type Notification,
  type Request,
  type Wire,
} from "./wire.ts";
import { WriteLane } from "./write-lane.ts";

export type EmbeddedKind = "rocksdb" | "surrealkv" | "mem";

export interface EmbeddedLocation {
  kind: EmbeddedKind;
  /** The absolute folder; empty for `mem`. */
  folder: string;
  /** When a commit is on disk; the engine's default (`every` commit) if left out. */
  sync?: string | undefined;
}

const KILLED_WITHIN_MS = 1_000;

export class Engine implements Wire {
  readonly kind: EmbeddedKind;
  readonly sync: string | undefined;
  readonly stateful = true;
  readonly lane: WriteLane | undefined;
  readonly lost: Promise<DbError>;
  /** Whose process had the folder before and died with it. */
  readonly predecessor: Holder | undefined;
  readonly #native: NativeEngine;
  readonly #onFreed: () => void;
  readonly #live = new LiveRouter<Uint8Array>();
  #receiver: ReturnType<NativeEngine["notifications"]> | undefined;
  #listening: Promise<void> | undefined;
  #users = 0;
  readonly #inFlight = new InFlight();
  #freed = false;
  /** Set while the last user leaves; who opens the folder meanwhile waits for it. */
  closing: Promise<void> | undefined;

  constructor(
    { kind, sync }: EmbeddedLocation,
    native: NativeEngine,
    onFreed: () => void,
    predecessor?: Holder,
  ) {
    this.predecessor = predecessor;
    this.kind = kind;
    this.sync = sync;
    this.#native = native;
    this.#onFreed = onFreed;
    this.lane = kind === "rocksdb" ? undefined : new WriteLane();
    this.lost = new Promise(() => {}); // an engine in this process goes when the process goes
  }

  retain(): void {
    this.#users++;
  }

  /** Whether more than one uses it now: databases of this process, and servers of it. */
  get isShared(): boolean {
    return this.#users > 1;
  }

  async call(request: Request): Promise<unknown> {
    return decodeBare(await this.execute(encodeRequest(request).bytes));
  }

  /** Runs what may write, in the lane if this engine needs one. */
  write<T>(work: () => Promise<T>): Promise<T> {
    return this.lane ? this.lane.run(work) : work();
  }

  /** One encoded request, one encoded answer. E2: counted, and refused once the engine is freed. */
  async execute(request: Uint8Array): Promise<Uint8Array> {
    if (this.#freed) throw closedError();
    try {
      return await this.#inFlight.run(() => this.#native.execute(request));
    } catch (error) {
      throw classify({ message: (error as Error).message }).with({ outcome: "unknown", cause: error });
    }
  }

  onLive(id: Uuid, listener: (notification: Notification, raw: Uint8Array) => void): () => void {
    const stop = this.#live.listen(id, listener);
    this.#listening ??= this.#pump();
    return stop;
  }

  /** It is left with `release`: others may be using it. */
  destroy(): void {}

  /** Leaves the engine. The last to leave waits for the calls in flight, then closes it. */
  async release(): Promise<void> {
    if (--this.#users > 0) return;
    this.closing = this.#close();
    await this.closing;
    this.closing = undefined;
  }

  async #close(): Promise<void> {
    await this.#inFlight.idle();
    if (this.#users > 0) return; // somebody came while we waited
    // RocksDB keeps its lock until the process ends, whatever is freed, and SurrealKV for a while (surrealdb.js#582, #592).
    // So the engine stays, asleep and holding nothing that keeps the process alive, and a later open of the folder wakes it.
    if (this.kind !== "mem" && (await this.#fellSilent())) return;
    this.#freed = true;
    this.#native.free();
    this.#onFreed();
  }

  /** Whether nothing listens any more. The KILLED that ends the last read may be on its way still. */
  async #fellSilent(): Promise<boolean> {
    if (!this.#listening) return true;
    if (this.#live.size > 0) return false;
    return settlesWithin(systemClock, KILLED_WITHIN_MS, this.#listening);
  }

  /** A read that waits keeps the process alive, so it ends with the last LIVE query, which its KILLED tells of. */
  async #pump(): Promise<void> {
    // It has kept what came before it was asked for. To ask is a call as well (E2).
    this.#receiver ??= this.#inFlight.run(() => this.#native.notifications());
    const receiver = await this.#receiver;
    do {
      const raw = await receiver.recv();
      if (raw === null) return;
      const notification = decode(raw);
      if (isNotification(notification)) this.#live.deliver(notification, raw);
    } while (this.#live.size > 0);
    this.#listening = undefined; // at once: who listens next has to begin anew
  }
}

const engines = new Map<string, Promise<Engine>>();

/**
 * The engine at a location, opened by this call or shared with an earlier one (E1). Leave it with `release()`.
 *
 * @throws `db.locked`, `db.open_failed`, `db.corrupt`, `db.storage_full`
 */
export async function openEngine(location: EmbeddedLocation): Promise<Engine> {
  if (location.kind === "mem") {
    const engine = new Engine(location, await native(location), () => {});
    engine.retain();
    return engine;
  }
  const folder = canonical(location.folder);
  const key = `${location.kind}:${folder}`;
  for (;;) {
    let opening = engines.get(key);
    if (!opening) {
      opening = open({ ...location, folder }, () => engines.delete(key));
      engines.set(key, opening);
      opening.catch(() => engines.delete(key));
    }
    const engine = await opening;
    if (engine.sync !== location.sync) throw otherSync(location, engine);
    if (!engine.closing) {
      engine.retain();
      return engine;
    }
    await engine.closing;
  }
}

async function open(location: EmbeddedLocation, forget: () => void): Promise<Engine> {
  const lock = takeLock(location.folder, new Date());
  try {
    const onFreed = () => {
      lock.release();
      forget();
    };
    return new Engine(location, await native(location), onFreed, lock.before);
  } catch (error) {
    if (error instanceof DbError && error.code === "db.locked")
      throw lockedBy(location.folder, lock.restore());
    lock.release();
    throw error;
  }
}

async function native({ kind, folder, sync }: EmbeddedLocation): Promise<NativeEngine> {
  try {
    return await openNative(`${kind}://${folder}${sync ? `?sync=${sync}` : ""}`);
  } catch (cause) {
    const { message } = cause as Error;
    const said = classify({ message });
    const known = said.code === "db.locked" || said.code === "db.corrupt" || said.code === "db.storage_full";
    throw new DbError({
      code: known ? said.code : "db.open_failed",
      message: `the database at ${kind}://${folder} did not open: ${said.message}`,
      cause,
    });
  }
}

/** One name for a folder, whichever way it was named; it need not exist yet, and what is above it may be a link. */
function canonical(folder: string): string {
  if (existsSync(folder)) return realpathSync(folder);
  const parent = dirname(folder);
  return parent === folder ? folder : join(canonical(parent), basename(folder));
}

function otherSync({ kind, folder, sync = "every" }: EmbeddedLocation, engine: Engine): DbError {
  return new DbError({
    code: "db.bad_option",
    message:
      `${kind}://${folder} was opened in this process with sync=${engine.sync ?? "every"}, and not with sync=${sync}: ` +
      "it stays as it was opened until the process ends",
  });
}
