// Store. Owns: the database as the log needs it: what must be there is there before the first call.

import {
  surql,
  type Answers,
  type CallOptions,
  type Database,
  type Doorbell,
  type Statement,
} from "@sentient/db-pool";
import { migrateRuntime } from "@sentient/schema";
import { beginLog, BELL } from "./queries.ts";

/**
 * Embedded stores whose bell this process has hung, or is hanging: it holds the folder until it ends. Answers whether it
 * hangs; if it does not, whoever comes next tries.
 */
const hung = new Map<string, Promise<boolean>>();

export class Store {
  readonly #db: Database;
  readonly #migrate: boolean;
  #ready: Promise<void> | undefined;

  /** @param migrate whether the runtime's tables are brought up to date first */
  constructor(db: Database, { migrate }: { migrate: boolean }) {
    this.#db = db;
    this.#migrate = migrate;
  }

  get closed(): boolean {
    return this.#db.closed;
  }

  async query<T>(statement: Statement<T>, options?: CallOptions): Promise<T> {
    await this.ready();
    return this.#db.query(statement, options);
  }

  async transaction<const S extends readonly Statement[]>(
    statements: S,
    options?: CallOptions,
  ): Promise<Answers<S>> {
    await this.ready();
    return this.#db.transaction(statements, options);
  }

  /** Whether others may follow whom this process cannot tell by itself: the bell has to be rung for them. */
  get isShared(): boolean {
    return this.#db.isShared;
  }

  /** Rings for who follows by this very database, without writing anything. */
  ring(except: Doorbell | undefined): void {
    this.#db.ring(BELL, { except });
  }

  /** The doorbell of the log. */
  watch(): Doorbell {
    return this.#db.watch(BELL);
  }

  /** Tables, the ends of the log, its bell. What fails is tried again by the next call. */
  ready(): Promise<void> {
    this.#ready ??= this.#prepare().catch((error: unknown) => {
      this.#ready = undefined;
      throw error;
    });
    return this.#ready;
  }

  async #prepare(): Promise<void> {
    if (this.#migrate) await migrateRuntime(this.#db);
    await this.#db.query(beginLog(), { repeatable: true });
    await hangBell(this.#db);
  }
}

/**
 * LIVE queries of processes that are gone stay in an embedded store, cannot be killed, and tax every write to their table
 * for ever. Removing the table takes them along, which only the owner of the store may do, and only once.
 */
async function hangBell(db: Database): Promise<void> {
  const store = `${db.url} ${db.namespace} ${db.database}`;
  const isOwner = /^(?:rocksdb|surrealkv):/.test(db.url);
  for (let other = hung.get(store); other; other = hung.get(store)) if (await other) break;
  if (!isOwner || hung.has(store)) {
    await db.query(surql`DEFINE TABLE IF NOT EXISTS bell SCHEMALESS`, { repeatable: true });
    return;
  }
  const hanging = db.transaction([surql`REMOVE TABLE IF EXISTS bell`, surql`DEFINE TABLE bell SCHEMALESS`]);
  const done = hanging.then(
    () => true,
    () => !hung.delete(store),
  );
  hung.set(store, done);
  await hanging;
}
