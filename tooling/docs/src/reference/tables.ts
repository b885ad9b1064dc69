import { jsonSchemas, runtimeTables } from "@sentient/schema";
import { code, fieldsOf, page, table } from "../markdown.ts";

export function tables(): string {
  const schemas = jsonSchemas() as Record<string, Parameters<typeof fieldsOf>[0]>;
  return page(
    "Tables",
    "The tables of the runtime in SurrealDB, as their rows read. They are for looking at: write through the packages, which keep what is promised of them. Tables of your own may stand beside them.",
    ...runtimeTables.flatMap(({ name, definition }) => [
      `## ${name}`,
      sentence(/COMMENT '((?:[^'\\]|\\.)*)'/.exec(definition.clause)?.[1] ?? ""),
      table(
        ["Field", "Is"],
        fieldsOf(schemas[name]!).map(([field, type]) => [code(field), type]),
      ),
    ]),
  );
}

function sentence(text: string): string {
  return text === "" ? "" : `${text[0]!.toUpperCase()}${text.slice(1)}.`;
}
