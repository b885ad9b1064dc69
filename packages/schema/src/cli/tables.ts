// Tables. Owns: finding the tables that a module exports.

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { SentientError } from "@sentient/db-pool";
import type { AnyTable } from "../table.ts";
import { CliError } from "./cli-error.ts";

const DEFAULT_MODULES = ["./schema.ts", "./src/schema.ts"];

export interface FoundTables {
  /** The module, as it was named. */
  module: string;
  tables: AnyTable[];
}

/**
 * The tables of a module, in any of its exports: by themselves, in an array, or in an object.
 *
 * @throws `cli.usage` if there is no such module, or no table in it; `cli.bad_module` if it cannot be imported
 */
export async function requireTables(given: string | undefined): Promise<FoundTables> {
  const module = (given === undefined ? DEFAULT_MODULES : [given]).find((path) => existsSync(path));
  if (module === undefined) {
    throw usage(
      given === undefined
        ? `there is no ${DEFAULT_MODULES.join(" and no ")}: say with --tables which module exports the tables`
        : `there is no module ${given}: --tables takes the file that exports the tables`,
    );
  }
  const exported = await importModule(module);
  const tables = new Set<AnyTable>(Object.values(exported).flatMap((value) => tablesIn(value)));
  if (tables.size > 0) return { module, tables: [...tables] };
  const names = Object.keys(exported).join(", ") || "nothing";
  throw usage(`${module} exports no table made by defineTable; it exports ${names}`);
}

async function importModule(module: string): Promise<Record<string, unknown>> {
  try {
    return await import(pathToFileURL(resolve(module)).href);
  } catch (cause) {
    throw asReadable(module, cause);
  }
}

function tablesIn(value: unknown): AnyTable[] {
  if (isTable(value)) return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap((each) =>
    Array.isArray(each) ? each.filter(isTable) : isTable(each) ? [each] : [],
  );
}

/** By what it has, and not by its class: the module may import another copy of this package. */
function isTable(value: unknown): value is AnyTable {
  const { name, definition, analyzers, gaps } = Object(value) as Partial<AnyTable>;
  return (
    typeof name === "string" && Array.isArray(gaps) && Array.isArray(analyzers) && isDefinition(definition)
  );
}

function isDefinition(value: unknown): boolean {
  const { clause, fields, indexes } = Object(value) as Partial<AnyTable["definition"]>;
  return typeof clause === "string" && typeof fields === "object" && typeof indexes === "object";
}

/** One line of it, and where. What defineTable refuses keeps its code. */
function asReadable(module: string, cause: unknown): Error {
  const error = cause instanceof Error ? cause : { message: String(cause) };
  const { code } = error as { code?: unknown };
  if (typeof code === "string" && code.startsWith("schema."))
    return new SentientError({ code, message: `${module}: ${error.message}`, cause });
  const isCommonJs =
    error instanceof SyntaxError && /import statement outside|Unexpected token 'export'/.test(error.message);
  return new CliError({
    code: "cli.bad_module",
    message: isCommonJs
      ? `${module} is read as CommonJS, which has no import: write "type": "module" in package.json`
      : `${module} cannot be imported: ${reasonOf(error)}`,
    cause,
  });
}

/** Node puts the place of a syntax error first in the stack, and that of a thrown error into its first frame. */
function reasonOf({ message, stack = "" }: Pick<Error, "message" | "stack">): string {
  const reason =
    message
      .split("\n")
      .find((line) => line.trim() !== "")
      ?.trim() ?? "it does not say why";
  const place = /^\S+:\d+(?=\n)/.exec(stack)?.[0] ?? /^ +at .*?(file:[^()]+:\d+):\d+\)?$/m.exec(stack)?.[1];
  return place === undefined ? reason : `${reason} (${place.replace(/^file:\/\//, "")})`;
}

function usage(message: string): CliError {
  return new CliError({ code: "cli.usage", message });
}
