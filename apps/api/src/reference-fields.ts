// Fields. Owns: what a JSON Schema says of an object, as rows that people can read.

/** As much of JSON Schema as the document of this API has. */
export interface Schema {
  type?: string | string[];
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
  $ref?: string;
  format?: string;
  pattern?: string;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
}

export interface Field {
  name: string;
  type: string;
  required: boolean;
  /** What it is for, and its bounds. */
  about: string;
}

const DEPTH = 2;

/** Those within another are named `limits[].key`. */
export function fieldsOf(schema: Schema, above = "", depth = DEPTH): Field[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, field]) => {
    const name = `${above}${key}`;
    const own = {
      name,
      type: typeOf(field),
      required: schema.required?.includes(key) ?? false,
      about: aboutOf(field),
    };
    if (depth === 0) return [own];
    const within = field.items
      ? fieldsOf(field.items, `${name}[].`, depth - 1)
      : fieldsOf(field, `${name}.`, depth - 1);
    return [own, ...within];
  });
}

export function typeOf(schema: Schema): string {
  const { type, items, enum: values, anyOf, oneOf, $ref } = schema;
  if ($ref !== undefined) return $ref.split("/").at(-1)!;
  if (values) return values.map((value) => JSON.stringify(value)).join(" | ");
  if ("const" in schema) return JSON.stringify(schema.const);
  const variants = anyOf ?? oneOf;
  if (variants) return [...new Set(variants.map(typeOf))].join(" | ");
  if (items) return `list of ${typeOf(items)}`;
  return type === undefined ? "JSON" : [type].flat().join(" | ");
}

function aboutOf({ description, pattern, format, default: given, ...bounds }: Schema): string {
  const parts = [
    description === "any JSON" ? undefined : description,
    format && `as ${format}`,
    pattern && `matches ${pattern}`,
    boundsOf(bounds.minimum, bounds.maximum, ""),
    boundsOf(bounds.minLength, bounds.maxLength, " characters"),
    boundsOf(bounds.minItems, bounds.maxItems, " of them"),
    given === undefined ? undefined : `${JSON.stringify(given)} if left out`,
  ];
  return parts.filter(Boolean).join("; ");
}

function boundsOf(least: number | undefined, most: number | undefined, of: string): string | undefined {
  const [low, high] = [boundOf(least), boundOf(most)];
  if (high !== undefined) return low === undefined ? `at most ${high}${of}` : `${low} to ${high}${of}`;
  return low === undefined || low === 0 ? undefined : `at least ${low}${of}`;
}

/** What any number has is none. */
function boundOf(value: number | undefined): number | undefined {
  return value === undefined || Math.abs(value) >= Number.MAX_SAFE_INTEGER ? undefined : value;
}

/** Something that fits, of what has to be there; where nothing has to, of what is named first. */
export function exampleOf(schema: Schema): unknown {
  const { properties = {}, items, enum: values, anyOf, oneOf } = schema;
  const required = schema.required?.length ? schema.required : Object.keys(properties).slice(0, 1);
  if (values) return values[0];
  if ("const" in schema) return schema.const;
  const [variant] = anyOf ?? oneOf ?? [];
  if (variant) return exampleOf(variant);
  if (items) return [exampleOf(items)];
  switch ([schema.type].flat()[0]) {
    case "string":
      return schema.format === "date-time" ? "2026-01-01T00:00:00.000Z" : "…";
    case "integer":
    case "number":
      return Math.max(schema.minimum ?? 1, 1);
    case "boolean":
      return true;
    case "object":
      return Object.fromEntries(required.map((key) => [key, exampleOf(properties[key] ?? {})]));
    default:
      return {};
  }
}
