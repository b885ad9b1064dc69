// Where things of this package lie, the same from its sources and from what is built of them.

import { fileURLToPath } from "node:url";

const root = new URL("../", import.meta.url);
const isSource = import.meta.url.endsWith(".ts");

export const MIGRATIONS = new URL("surql/", root);
export const TEMPLATES = fileURLToPath(new URL("templates/", root));
/** The worker of the demo, as a process of its own. */
export const DEMO_WORKER = fileURLToPath(
  new URL(isSource ? "src/demo-worker.ts" : "dist/demo-worker.js", root),
);
