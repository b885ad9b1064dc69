// The pages of the reference, by their files.

import { commands } from "./commands.ts";
import { configuration } from "./configuration.ts";
import { errors } from "./errors.ts";
import { events } from "./events.ts";
import { http } from "./http.ts";
import { limitsPage } from "./limits.ts";
import { tables } from "./tables.ts";

export const PAGES: Readonly<Record<string, () => string | Promise<string>>> = {
  "commands.md": commands,
  "configuration.md": configuration,
  "errors.md": errors,
  "events.md": events,
  "http.md": http,
  "limits.md": limitsPage,
  "tables.md": tables,
};
