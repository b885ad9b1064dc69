import { report } from "@sentient/testkit";
import { runs } from "./runs.ts";
const rows = await runs();
for (const r of rows) console.log(r.name, r.median.toFixed(2), r.min.toFixed(2), r.max.toFixed(2));
process.exit(0);
