// What SurrealDB has a type for and zod has not.

import { Decimal, Duration, RecordId, Uuid } from "@sentient/db-pool";
import { z } from "zod";
import { requireName } from "./literal.ts";

declare module "zod/v4/core" {
  interface $ZodCustomDef {
    /** The SurrealQL type of what the custom check lets through. */
    surrealType?: string;
  }
}

/**
 * A zod schema whose values SurrealDB keeps as `type`: the way out for what this package does not know.
 *
 * @param type a SurrealQL type, as in `DEFINE FIELD … TYPE`
 * @example const place = stored(z.custom<GeometryPoint>((v) => v instanceof GeometryPoint), "geometry<point>");
 */
export function stored<S extends z.ZodCustom>(schema: S, type: string): S {
  return schema.clone({ ...schema.def, surrealType: type });
}

/**
 * A link to a record of one of these tables.
 *
 * @example author: link("person")
 */
export function link<const Table extends string>(...tables: [Table, ...Table[]]) {
  const known: readonly string[] = tables.map((table) => requireName(table, "a table to link to"));
  const schema = z.custom<RecordId<Table>>(
    (value) => value instanceof RecordId && known.includes(value.table.name),
    `not a record id of ${tables.join(" or ")}`,
  );
  return stored(schema, `record<${tables.join(" | ")}>`);
}

/** Bytes, as a `Uint8Array`. @example body: bytes() */
export function bytes() {
  return stored(z.instanceof(Uint8Array), "bytes");
}

/** A number of up to 28 decimal digits, as the SDK's `Decimal`. @example price: decimal() */
export function decimal() {
  return stored(z.instanceof(Decimal), "decimal");
}

/** A length of time, as the SDK's `Duration`. @example every: duration() */
export function duration() {
  return stored(z.instanceof(Duration), "duration");
}

/** A UUID that SurrealDB keeps as one (16 bytes), as the SDK's `Uuid`; `z.uuid()` is text. @example key: uuid() */
export function uuid() {
  return stored(z.instanceof(Uuid), "uuid");
}
