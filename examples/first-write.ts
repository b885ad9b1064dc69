// Opens the embedded default, writes, and lets a second client on this machine see it happen.
// Run it twice: what the first run wrote is still there.
//
//   npm run example first-write
//
// prints
//
//   visit … is on disk, in rocksdb://.sentient/data
//   a client over ws:// reads visit …
//   the doorbell rang: live
//   db.already_exists, not_applied: statement 2 of 2 failed, and nothing was changed: Database record `counter:visits` already exists

import { randomBytes } from "node:crypto";
import { DbError, openDatabase, RecordId, serve, surql } from "@sentient/db-pool";

const counter = new RecordId("counter", "visits");

await using db = await openDatabase(); // rocksdb://.sentient/data
const [visit] = await db.transaction([
  surql<{ n: number }>`UPSERT ONLY ${counter} SET n += 1, at = ${new Date()}`,
  surql`UPSERT note SET text = ${"bound, never spliced: '; DELETE counter; --"}`,
]);
console.log(`visit ${visit.n} is on disk, in ${db.url}`);

// The same folder, for other processes: any SurrealDB client may connect with this URL and token.
const token = randomBytes(32).toString("hex");
await using served = await serve(db, { token });
await using client = await openDatabase({ url: served.url, token });
console.log(
  `a client over ${new URL(served.url).protocol}// reads visit ${await client.query(surql`RETURN ${counter}.n`)}`,
);

// A doorbell rings when the record changes, whoever changed it.
await using bell = client.watch(counter);
while ((await bell.next()) !== "gap") continue; // now it listens
await db.query(surql`UPDATE ${counter} SET seen += 1`);
console.log(`the doorbell rang: ${await bell.next()}`);

// What fails says which statement it was, and whether anything may have changed.
try {
  await db.transaction([surql`UPDATE ${counter} SET n = 0`, surql`CREATE ${counter}`]);
} catch (error) {
  if (!(error instanceof DbError)) throw error;
  console.log(`${error.code}, ${error.outcome}: ${error.message}`);
}
