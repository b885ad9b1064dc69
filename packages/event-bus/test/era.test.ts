// A log in whose place a backup of it was put, while somebody was connected.

import { RecordId, surql, type Database } from "@sentient/db-pool";
import { sabotage } from "@sentient/testkit";
import { expect, test } from "vitest";
import { epochOfNewEra } from "../src/index.ts";
import { busOn, freshBus } from "./support/fresh.ts";

const HEAD = new RecordId("log", "head");

const begin = (db: Database, epochOf: (epoch: number) => number) =>
  db
    .query(surql`SELECT VALUE epoch FROM ONLY ${HEAD}`)
    .then((epoch) => db.query(surql`UPDATE ${HEAD} SET epoch = ${epochOf(epoch as number)} RETURN NONE`));

test("who knew a log appends nothing to the one that was restored in its place, and others do", async () => {
  const { db, bus } = await freshBus();
  await bus.publish({ type: "order.placed" });
  await begin(db, epochOfNewEra);
  const other = busOn(db);
  for (let i = 0; i < 2; i++)
    await expect(bus.publish({ type: "order.placed" })).rejects.toMatchObject({
      code: "event_bus.restored",
      retryable: false,
      outcome: "not_applied",
    });
  expect(await other.publish({ type: "order.placed" })).toBe(2);
  await expect(bus.publish({ type: "order.placed" })).rejects.toMatchObject({ code: "event_bus.restored" });
  expect(await other.publish({ type: "order.placed" })).toBe(3);
  await sabotage("the era stays what it was", async () => {
    const third = busOn(db);
    await third.publish({ type: "order.placed" });
    await begin(db, (epoch) => epoch + 1);
    await expect(third.publish({ type: "order.placed" })).rejects.toMatchObject({
      code: "event_bus.restored",
    });
  });
});

test("no era follows on itself", () => {
  let epoch = 0;
  for (let i = 0; i < 10_000; i++) {
    const next = epochOfNewEra(epoch + i);
    expect(Number.isSafeInteger(next)).toBe(true);
    expect(Math.floor(next / 2 ** 32)).not.toBe(Math.floor(epoch / 2 ** 32));
    epoch = next;
  }
});
