// Writing Markdown.

/** Of cells, in which nothing but code is taken for a table's or a page's own. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map(rowOf).join("\n");
}

function rowOf(cells: readonly string[]): string {
  return `| ${cells.map(cellOf).join(" | ")} |`;
}

function cellOf(text: string): string {
  const parts = text.split(/(`[^`]*`)/);
  const safe = parts.map((part) => (part.startsWith("`") ? part : part.replaceAll("<", "&lt;")));
  return safe.join("").replaceAll("|", "\\|").replaceAll("\n", " ");
}

export function code(text: string): string {
  return text === "" ? "" : `\`${text}\``;
}

/** Of a page that nobody edits. */
export function page(title: string, about: string, ...parts: readonly string[]): string {
  return [`# ${title}`, about, ...parts, FOOT].join("\n\n") + "\n";
}

const FOOT = "_Written by `pnpm --filter @sentient/docs generate`; a test fails when it is out of date._";

interface Shape {
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Shape[];
  oneOf?: Shape[];
  items?: Shape;
  prefixItems?: Shape[];
  format?: string;
  properties?: Record<string, Shape>;
  required?: string[];
  contentEncoding?: string;
}

/** A JSON Schema in a few words. */
function typeOf(shape: Shape): string {
  if (shape.const !== undefined) return JSON.stringify(shape.const);
  if (shape.enum) return shape.enum.map((each) => JSON.stringify(each)).join(", ");
  const either = shape.anyOf ?? shape.oneOf;
  if (either) return [...new Set(either.map(typeOf))].join(" or ");
  if (shape.prefixItems) return `[${shape.prefixItems.map(typeOf).join(", ")}]`;
  if (shape.type === "array") return `list of ${typeOf(shape.items ?? {})}`;
  if (shape.format === "date-time") return "instant";
  if (shape.contentEncoding) return "bytes";
  if (Array.isArray(shape.type)) return shape.type.join(" or ");
  return shape.type ?? "JSON";
}

/** Its fields, as `[name, type]`; one that may be missing ends with `?`. Of a union, those of all its kinds. */
export function fieldsOf(shape: Shape): [name: string, type: string][] {
  const kinds = shape.anyOf ?? shape.oneOf ?? [shape];
  const fields = new Map<string, Set<string>>();
  for (const { properties = {} } of kinds)
    for (const [name, each] of Object.entries(properties))
      fields.set(name, (fields.get(name) ?? new Set()).add(typeOf(each)));
  const isAlways = (name: string) => kinds.every(({ required = [] }) => required.includes(name));
  return [...fields].map(([name, types]) => [isAlways(name) ? name : `${name}?`, [...types].join(" or ")]);
}
