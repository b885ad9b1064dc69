// Owns a database, and serves it unless it is to be silent; then it does when it is sent SIGUSR2.

import { openDatabase } from "@sentient/db-pool";
import { serveBeside } from "../../src/config/index.ts";

const { OWNER_URL, OWNER_SILENT, OWNER_BRIEF } = process.env;
const db = await openDatabase({ url: OWNER_URL! });
let served = OWNER_SILENT ? undefined : await serveBeside(db, { brief: OWNER_BRIEF !== undefined });
const alive = setInterval(() => {}, 2 ** 30);
process.once("SIGUSR2", () => void serveBeside(db).then((now) => (served = now)));
process.once("SIGTERM", () => {
  clearInterval(alive);
  void (served?.close() ?? Promise.resolve()).then(() => db.close());
});
process.stdout.write(`${JSON.stringify({ serves: served !== undefined })}\n`);
