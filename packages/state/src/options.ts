// What options of many kinds have in common.

import type { Json } from "@sentient/schema";
import { z } from "zod";

/** JSON in an option: whether it is, is found where its text is made. */
export const JsonValue = z.unknown() as unknown as z.ZodType<Json, Json>;

/** What somebody is called. */
export const Person = z.string().min(1).max(256);
/** Who asks. */
export const By = Person.default("somebody");
