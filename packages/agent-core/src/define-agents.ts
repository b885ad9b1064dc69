// Agents that are made with something of the runtime. Owns: what their module exports for that.

import type { Database } from "@sentient/db-pool";
import type { Definition } from "./define.ts";

/** What a module's agents are made with. */
export interface AgentsContext {
  /** That of the runtime, which closes it. */
  database: Database;
}

/** Agents and workflows: one, an array of them, or an object. */
export type Definitions = Definition | readonly Definition[] | Readonly<Record<string, Definition>>;

/**
 * Describes agents that are made with the database of the runtime, as memory and budgets need it. It is what their module
 * exports by default, and whoever loads the module calls it: once a process.
 *
 * @example export default defineAgents(async ({ database }) => [assistantWith(await createBudgets(database))]);
 */
export function defineAgents<Made extends Definitions | Promise<Definitions>>(
  make: (context: AgentsContext) => Made,
): (context: AgentsContext) => Made {
  return make;
}
