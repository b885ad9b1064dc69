import { expect } from "vitest";
import { z } from "zod";
import type { App } from "../../src/index.ts";

interface Operation {
  responses: Record<string, { content?: Record<string, { schema: { $ref?: string } }> }>;
}

export interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object> };
}

const known = new Map<string, z.ZodType>();

/** Whether an answer is what the document says of it. */
export function requireDescribed(
  app: App,
  method: string,
  path: string,
  status: number,
  body: unknown,
): void {
  const document = app.document() as Document;
  const { pathname } = new URL(path, "http://api");
  const template = templateOf(document, method, pathname);
  const answers = template === undefined ? undefined : document.paths[template]![method]!.responses;
  const answer = answers?.[status] ?? answers?.default;
  const [content] = Object.values(answer?.content ?? {});
  const name = status >= 400 ? "Problem" : content?.schema.$ref?.split("/").at(-1);
  if (name === undefined) return;
  const schema = known.get(name) ?? z.fromJSONSchema(document.components.schemas[name] as never);
  known.set(name, schema);
  const parsed = schema.safeParse(body);
  expect(
    parsed.success ? [] : parsed.error.issues,
    `${method} ${path} ${status} is no ${name}: ${JSON.stringify(body).slice(0, 500)}`,
  ).toEqual([]);
}

function templateOf({ paths }: Document, method: string, path: string): string | undefined {
  const fits = (template: string) => {
    const parts = template
      .split("/")
      .map((part) => (part.startsWith("{") ? "[^/]+" : part.replaceAll(".", "\\.")));
    return new RegExp(`^${parts.join("/")}$`).test(path);
  };
  const found = Object.keys(paths).filter((template) => paths[template]![method] && fits(template));
  return found.sort((one, other) => one.split("{").length - other.split("{").length)[0];
}
