// Rows. Owns: the fields of a row that is one of several objects, told apart by a tag.

import type { z } from "zod";
import { SchemaError } from "./errors.ts";
import type { Condition } from "./checks.ts";
import { literalText, nameText } from "./literal.ts";
import { all, holdsRecord, shapeOf, without, type Gap, type Shape } from "./shape.ts";
import type { RowSchema } from "./table.ts";

export interface RowShape {
  fields: Map<string, Shape>;
  /** Whether a row may have other fields too. */
  open: boolean;
}

/** The fields of a row. @throws `schema.unsupported` */
export function rowShape(schema: RowSchema, gaps: Gap[], full: boolean): RowShape {
  const { def } = schema._zod;
  if (def.type === "object") {
    const { fields, open } = shapeOf(schema, gaps, full);
    return { fields: fields!, open: open ?? false };
  }
  const variants = def.options.map((option) =>
    variantOf(option as z.ZodObject, def.discriminator, gaps, full),
  );
  const names = new Set(variants.flatMap(({ fields }) => [...fields.keys()]));
  const fields = new Map([...names].map((name) => [name, merged(name, variants, def.discriminator, gaps)]));
  if (full) fields.get(def.discriminator)!.conditions.push(...presence(variants));
  return { fields, open: variants.some(({ open }) => open) };
}

interface Variant extends RowShape {
  schema: z.ZodObject;
  /** The literals of its tag. */
  tags: string[];
}

function variantOf(schema: z.ZodObject, discriminator: string, gaps: Gap[], full: boolean): Variant {
  const { fields, open } = shapeOf(schema, gaps, full);
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
  const isEverywhere = having.length === variants.length;
  if (variants.some(({ fields, open }) => open && !fields.has(name))) {
    gaps.push({ path: name, what: `what it is, as it may be anything with another ${discriminator}` });
    return { kinds: ["any"], conditions: [] };
  }
  const shapes = having.map(({ fields }) => fields.get(name)!);
  const kinds = [...new Set(shapes.flatMap((shape) => shape.kinds))];
  if (name === discriminator) return { kinds, conditions: [] };
  const isSame = having.every(({ schema }) => schema.shape[name] === having[0]!.schema.shape[name]);
  if (isSame && isEverywhere) return shapes[0]!;
  if (shapes.some(({ defaultText }) => defaultText !== undefined))
    gaps.push({ path: name, what: `its default, which depends on the ${discriminator}` });
  const mayMiss = isEverywhere ? kinds : ["none", ...without(kinds, "none")];
  const { defaultText: _default, ...shape } = shapes[0]!;
  if (isSame) return { ...shape, kinds: mayMiss };
  if (shapes.some((each) => each.kinds.join() !== kinds.join()))
    gaps.push({ path: name, what: `which of its types goes with which ${discriminator}` });
  const conditions = having.flatMap(({ tags }, i) => {
    const whole = all(shapes[i]!);
    const other = isNot(`$this.${nameText(discriminator)}`, tags);
    return whole ? [(value: string, depth: string) => `(${other} OR ${whole(value, depth)})`] : [];
  });
  return { kinds: mayMiss, conditions, holdsRecord: shapes.some(holdsRecord) };
}

/** ASSERT does not look at a field that is NONE, so the tag asks which fields are there: those of its variant, and no more. */
function presence(variants: readonly Variant[]): Condition[] {
  const names = new Set(variants.flatMap(({ fields }) => [...fields.keys()]));
  const some = [...names].filter((name) => !variants.every((variant) => isNeeded(name, variant)));
  return variants.flatMap((variant) => {
    const forbidden = variant.open ? [] : some.filter((name) => !variant.fields.has(name));
    const clauses = [
      ...some.filter((name) => isNeeded(name, variant)).map((name) => `$this.${nameText(name)} != NONE`),
      ...forbidden.map((name) => `$this.${nameText(name)} = NONE`),
    ];
    if (clauses.length === 0) return [];
    return [(value: string) => `(${isNot(value, variant.tags)} OR (${clauses.join(" AND ")}))`];
  });
}

function isNeeded(name: string, { fields }: Variant): boolean {
  const kinds = fields.get(name)?.kinds;
  return kinds !== undefined && !kinds.includes("none") && !kinds.includes("any");
}

function isNot(value: string, tags: readonly string[]): string {
  return tags.length === 1 ? `${value} != ${tags[0]}` : `${value} NOT IN [${tags.join(", ")}]`;
}
