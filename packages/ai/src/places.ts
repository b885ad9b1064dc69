// Where the files of this package lie.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

/** Of migrations, from its sources and from what is built of them. @param name with a slash behind it */
export function migrationsIn(name: `${string}/`): URL {
  const home = createRequire(import.meta.url).resolve("@sentient/ai/package.json");
  return new URL(name, pathToFileURL(home));
}
