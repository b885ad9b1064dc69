// Rows. Owns: the fields of a row that is one of several objects, told apart by a tag.

import type { z } from "zod";
import { SchemaError } from "./errors.ts";
import type { Condition } from "./checks.ts";
import { literalText, nameText } from "./literal.ts";
import { all, shapeOf, type Gap, type Shape } from "./shape.ts";
import type { RowSchema } from "./table.ts";

export interface RowShape {
  fields: Map<string, Shape>;
  /** Whether a row may have other fields too. */
  open: boolean;
}

/** The fields of a row. @throws `schema.unsupported` */
export function rowShape(schema: RowSchema, gaps: Gap[], asserts: boolean): RowShape {
  const { def } = schema._zod;
  if (def.type === "object") {
    const { fields, open } = shapeOf(schema, gaps, asserts);
    return { fields: fields!, open: open ?? false };
  }
  const variants = def.options.map((option) =>
    variantOf(option as z.ZodObject, def.discriminator, gaps, asserts),
  );
  const names = new Set(variants.flatMap(({ fields }) => [...fields.keys()]));
  const fields = new Map([...names].map((name) => [name, merged(name, variants, def.discriminator, gaps)]));
  if (asserts) fields.get(def.discriminator)!.conditions.push(...presence(variants));
  return { fields, open: variants.some(({ open }) => open) };
}

interface Variant extends RowShape {
  schema: z.ZodObject;
  /** The literals of its tag. */
  tags: string[];
}

function variantOf(schema: z.ZodObject, discriminator: string, gaps: Gap[], asserts: boolean): Variant {
  const { fields, open } = shapeOf(schema, gaps, asserts);
  if (!fields) {
    throw new SchemaError({
      code: "schema.unsupported",
      message:
        "a row that is one of several objects has objects for its options, and no unions of them; list them all",
    });
  }
  const tags = [...schema._zod.propValues[discriminator]!].map((tag) => literalText(tag)!);
  return { schema, fields, open: open ?? false, tags };
}

/** A field as any of the variants has it; what depends on the tag becomes a condition. */
function merged(name: string, variants: readonly Variant[], discriminator: string, gaps: Gap[]): Shape {
  const having = variants.filter(({ fields }) => fields.has(name));
  const [first] = having;
  const inAll = having.length === variants.length;
  const kinds = [...new Set(having.flatMap(({ fields }) => fields.get(name)!.kinds))];
  if (name === discriminator) return { kinds, conditions: [] };
  const same = having.every(({ schema }) => schema.shape[name] === first!.schema.shape[name]);
  const shape = first!.fields.get(name)!;
  if (same) return inAll ? shape : { ...shape, kinds: ["none", ...kinds.filter((kind) => kind !== "none")] };
  if (having.some(({ fields }) => fields.get(name)!.kinds.join() !== kinds.join()))
    gaps.push({ path: name, what: `which of its types goes with which ${discriminator}` });
  const conditions = having.flatMap(({ fields, tags }) => {
    const whole = all(fields.get(name)!);
    const other = isNot(`$this.${nameText(discriminator)}`, tags);
    return whole ? [(value: string, depth: string) => `(${other} OR ${whole(value, depth)})`] : [];
  });
  return { kinds: inAll ? kinds : ["none", ...kinds.filter((kind) => kind !== "none")], conditions };
}

/** ASSERT does not look at a field that is NONE, so the tag asks which fields are there: those of its variant, and no more. */
function presence(variants: readonly Variant[]): Condition[] {
  const names = new Set(variants.flatMap(({ fields }) => [...fields.keys()]));
  const some = [...names].filter((name) => !variants.every((variant) => isNeeded(name, variant)));
  return variants.flatMap((variant) => {
    const forbidden = some.filter((name) => !variant.fields.has(name));
    const clauses = [
      ...some.filter((name) => isNeeded(name, variant)).map((name) => `$this.${nameText(name)} != NONE`),
      ...forbidden.map((name) => `$this.${nameText(name)} = NONE`),
    ];
    if (clauses.length === 0) return [];
    return [(value: string) => `(${isNot(value, variant.tags)} OR (${clauses.join(" AND ")}))`];
  });
}

function isNeeded(name: string, { fields }: Variant): boolean {
  return fields.get(name)?.kinds.includes("none") === false;
}

function isNot(value: string, tags: readonly string[]): string {
  return tags.length === 1 ? `${value} != ${tags[0]}` : `${value} NOT IN [${tags.join(", ")}]`;
}
