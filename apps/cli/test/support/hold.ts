// Owns a database and serves it to nobody, unless that is asked for.

import { serveBeside } from "@sentient/agent-core/config";
import { openDatabase } from "@sentient/db-pool";

const db = await openDatabase({ url: process.env.HOLD_URL! });
if (process.env.HOLD_SERVES) await serveBeside(db);
process.stdout.write(`${JSON.stringify({ holds: db.url })}\n`);
setInterval(() => {}, 2 ** 30);
