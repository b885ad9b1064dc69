// JSON in an option: whether it is, is found where its text is made.

import type { Json } from "@sentient/schema";
import { z } from "zod";

export const JsonValue = z.unknown() as unknown as z.ZodType<Json, Json>;
