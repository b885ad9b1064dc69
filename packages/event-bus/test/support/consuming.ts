// Consumers under test: what they are told to handle, what they leave behind, and processes that end without a word.

import { DbError, RecordId, surql, type Database } from "@sentient/db-pool";
import { until } from "@sentient/testkit";
import { onTestFinished } from "vitest";
import { partitionId, type PartitionRow } from "../../src/consumer-queries.ts";
import type {
  Consumer,
  ConsumerHandler,
  ConsumerOptions,
  EventBus,
  EventBusOptions,
} from "../../src/index.ts";
import { busOn } from "./fresh.ts";
import { gateOf, type Gate } from "./gate.ts";

export const range = (length: number, first = 1): number[] => Array.from({ length }, (_, i) => first + i);

/** Tells of so many events, in few commits; their data is 1, 2, 3 … */
export async function tell(
  bus: EventBus,
  count: number,
  more: (i: number) => object = () => ({}),
): Promise<void> {
  const events = range(count).map((i) => ({ type: "thing.told", data: i, ...more(i) }));
  for (let first = 0; first < count; first += 500) await bus.publish(events.slice(first, first + 500));
}

export interface Noting {
  consumer: Consumer;
  /** The positions it was called with, as they came. */
  seen: number[];
}

/** A consumer that notes what it is called with. */
export async function noting(
  bus: EventBus,
  name: string,
  options: ConsumerOptions = {},
  handler: ConsumerHandler = () => {},
): Promise<Noting> {
  const seen: number[] = [];
  const consumer = await bus.consumer(name, options, (event, handling) => {
    seen.push(event.position);
    return handler(event, handling);
  });
  return { consumer, seen };
}

/** The row of a partition. */
export const rowOf = (db: Database, name: string, partition = 0): Promise<PartitionRow> =>
  db.query(surql<PartitionRow>`SELECT * FROM ONLY ${partitionId(name, partition)}`);

/** Waits until a consumer has saved that it has come to a position. */
export const untilAt = (db: Database, name: string, position: number): Promise<unknown> =>
  until(async () => (await rowOf(db, name)).position === position, {
    deadline: 60_000,
    what: `${name} to be at ${position}`,
  });

/** All leases run out now. */
export async function expireLeases(db: Database): Promise<void> {
  await db.query(surql`UPDATE consumer SET lease.until = time::now() - 1s WHERE lease != NONE`);
}

/** One of those who share a consumer is taken for gone: its leases run out now. */
export async function expireWorker(db: Database, name: string, worker: string): Promise<void> {
  await db.query(surql`UPDATE consumer SET lease.until = time::now() - 1s WHERE lease.worker = ${worker}`);
  const member = new RecordId("consumer_member", [name, worker]);
  await db.query(surql`UPDATE ${member} SET until = time::now() - 1s`);
}

/** What the bus tells of. */
export function problemsOf(bus: EventBus): { code: unknown; message: string; position?: number }[] {
  const problems: { code: unknown; message: string; position?: number }[] = [];
  bus.on("problem", ({ error, event }) => {
    const { code, message } = Object(error) as { code?: unknown; message: string };
    problems.push({ code, message, ...(event ? { position: event.position } : {}) });
  });
  return problems;
}

/** A bus as in a process of its own, which can end without a word. */
export interface Mortal {
  bus: EventBus;
  gate: Gate;
  /** From now on nothing it asks for comes to the database, as if the process were gone. */
  die: () => void;
}

export function mortalBus(db: Database, options: EventBusOptions = {}): Mortal {
  const gate = gateOf(db);
  const bus = busOn(gate.db, options);
  problemsOf(bus); // what it complains of afterwards is nobody's business
  const consumers: Consumer[] = [];
  const begin = bus.consumer.bind(bus);
  bus.consumer = async (...asked) => {
    const consumer = await begin(...asked);
    consumers.push(consumer);
    return consumer;
  };
  const die = () => {
    gate.keep(() => Promise.reject(gone()));
    for (const consumer of consumers) void consumer.stop({ deadline: 0 }); // nobody waits for what hangs in it
  };
  onTestFinished(die);
  return { bus, gate, die };
}

export function gone(): DbError {
  return new DbError({ code: "db.closed", message: "the process is gone" });
}

/** How often `COUNT` was done. */
export async function counted(db: Database): Promise<number> {
  await db.query(surql`DEFINE TABLE IF NOT EXISTS counter SCHEMALESS`);
  return (await db.query(surql<number | undefined>`SELECT VALUE n FROM ONLY counter:effects`)) ?? 0;
}
