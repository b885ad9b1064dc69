// What options of many kinds have in common.

import { canonicalJson, type Json } from "@sentient/schema";
import { z } from "zod";
import { StateError } from "./errors.ts";

/** JSON in an option: whether it is, is found where its text is made. */
export const JsonValue = z.unknown() as unknown as z.ZodType<Json, Json>;

/** What somebody is called. */
export const Person = z.string().min(1).max(256);
/** Who asks. */
export const By = Person.default("somebody");

/**
 * The text of a value: equal values have equal ones.
 *
 * @throws for what is not JSON, naming the place: `state.bad_option`, or what `problem` makes of it
 */
export function textOf(value: Json, what: string, problem = badOption): string {
  try {
    return canonicalJson(value);
  } catch (cause) {
    throw problem(`${what} is not JSON: ${(cause as Error).message}`, cause);
  }
}

function badOption(message: string, cause: unknown): StateError {
  return new StateError({ code: "state.bad_option", message, cause });
}
