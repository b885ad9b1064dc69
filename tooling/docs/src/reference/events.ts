import { eventData, EVENT_TYPES, Event } from "@sentient/schema";
import { z } from "zod";
import { code, fieldsOf, page, table } from "../markdown.ts";

const shapeOf = (schema: z.ZodType) =>
  z.toJSONSchema(schema, {
    io: "output",
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema._zod.def.type === "date")
        Object.assign(jsonSchema, { type: "string", format: "date-time" });
    },
  }) as Parameters<typeof fieldsOf>[0];

export function events(): string {
  const groups = Map.groupBy(EVENT_TYPES, (type) => type.split(".")[0]!);
  return page(
    "Events",
    "Every type of event that the runtime tells, and the fields of its `data`. A field with `?` may be missing; fields that are not listed may be added by later releases, and are to be let through. Any other type is a user's own.",
    "## What every event has",
    table(
      ["Field", "Is"],
      fieldsOf(shapeOf(Event)).map(([name, type]) => [code(name), type]),
    ),
    ...[...groups].flatMap(([group, types]) => [
      `## ${group}`,
      table(
        ["Type", "Data"],
        types.map((type) => [
          code(type),
          fieldsOf(shapeOf(eventData[type]))
            .map(([name, kind]) => `${code(name)} ${kind}`)
            .join("; "),
        ]),
      ),
    ]),
  );
}
