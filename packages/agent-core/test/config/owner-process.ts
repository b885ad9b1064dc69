// Owns a database, and serves it unless it is to be silent.

import { openDatabase } from "@sentient/db-pool";
import { serveBeside } from "../../src/config/index.ts";

const db = await openDatabase({ url: process.env.OWNER_URL! });
const served = process.env.OWNER_SILENT ? undefined : await serveBeside(db);
const alive = setInterval(() => {}, 2 ** 30);
process.once("SIGTERM", () => {
  clearInterval(alive);
  void served?.close().then(() => db.close());
});
process.stdout.write(`${JSON.stringify({ serves: served !== undefined })}\n`);
