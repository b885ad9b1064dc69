// Definitions from modules. Owns: finding the agents and workflows that a module exports, in whatever form.

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { AgentsContext } from "../define-agents.ts";
import type { Definition } from "../define.ts";
import { badConfig } from "./define-config.ts";

/**
 * Agents and workflows of modules: in any of their exports, by themselves, in an array or in an object; and what a function that
 * a module exports by default gives (`defineAgents`). Of several versions of one the latest comes last, and is what is started.
 *
 * @param folder from which the modules are named
 * @param made.database open, for such functions
 * @throws `agent.bad_config` if a module is not there, cannot be imported, exports none, or its function fails or has no
 * database; what the database throws in such a function
 * @example const definitions = await loadDefinitions(["./agents.ts"], process.cwd(), { database });
 */
export async function loadDefinitions(
  given: readonly (string | Definition)[] | string,
  folder: string,
  made: Partial<AgentsContext> = {},
): Promise<Definition[]> {
  const found = new Map<string, Definition>();
  for (const each of typeof given === "string" ? [given] : given)
    for (const definition of typeof each === "string" ? await fromModule(each, folder, made) : [each]) {
      const label = `${definition.name}@${definition.version}`;
      const other = found.get(label);
      if (other && other !== definition)
        throw badConfig(`there are two definitions of ${label}: give one another name or version`);
      found.set(label, definition);
    }
  const byName = Map.groupBy(found.values(), ({ name }) => name);
  return [...byName.values()].flatMap((versions) => versions.toSorted(olderFirst));
}

function olderFirst(one: Definition, other: Definition): number {
  return one.version.localeCompare(other.version, "en", { numeric: true });
}

async function fromModule(
  module: string,
  folder: string,
  { database }: Partial<AgentsContext>,
): Promise<Definition[]> {
  const path = resolve(folder, module);
  if (!existsSync(path))
    throw badConfig(`there is no module ${module} in ${folder}: name the file that exports your agents`);
  let exported: Record<string, unknown>;
  try {
    exported = (await import(pathToFileURL(path).href)) as typeof exported;
  } catch (cause) {
    throw badConfig(`${module} cannot be imported: ${(cause as Error).message}`, cause);
  }
  const { default: make } = exported;
  const made = typeof make === "function" ? await madeBy(make as Make, module, database) : [];
  const definitions = [...Object.values(exported).flatMap(definitionsIn), ...made];
  if (definitions.length > 0) return definitions;
  const names = Object.keys(exported).join(", ") || "nothing";
  throw badConfig(
    `${module} exports no agent and no workflow (defineAgent, defineWorkflow); it exports ${names}`,
  );
}

type Make = (context: AgentsContext) => unknown;

async function madeBy(
  make: Make,
  module: string,
  database: AgentsContext["database"] | undefined,
): Promise<readonly Definition[]> {
  const it = `the function that ${module} exports by default`;
  if (!database)
    throw badConfig(
      `${it} makes agents with a database, and here is none: give loadDefinitions { database }`,
    );
  let given: unknown;
  try {
    given = await make({ database });
  } catch (cause) {
    if (isOfDatabase(cause)) throw cause; // nothing is wrong with the module: later it may do
    throw badConfig(`${it} failed: ${(cause as Error).message}`, cause);
  }
  const definitions = definitionsIn(given);
  if (definitions.length > 0) return definitions;
  throw badConfig(
    `${it} gives no agent and no workflow: have it return what defineAgent and defineWorkflow give, or export it by another name`,
  );
}

/** By its code, and not by its class: the module may import another copy of that package. */
function isOfDatabase(error: unknown): boolean {
  const { code } = Object(error) as { code?: unknown };
  return typeof code === "string" && code.startsWith("db.");
}

function definitionsIn(value: unknown): Definition[] {
  if (isDefinition(value)) return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).filter(isDefinition);
}

/** By what it has, and not by its class: the module may import another copy of this package. */
function isDefinition(value: unknown): value is Definition {
  const { name, version, run, schemas } = Object(value) as Partial<Definition>;
  return (
    typeof name === "string" &&
    typeof version === "string" &&
    typeof run === "function" &&
    typeof schemas === "object"
  );
}
