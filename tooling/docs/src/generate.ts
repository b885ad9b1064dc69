// Writes docs/reference.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./pages.ts";
import { PAGES } from "./reference/index.ts";

for (const [file, write] of Object.entries(PAGES))
  writeFileSync(join(ROOT, "docs/reference", file), await write());
