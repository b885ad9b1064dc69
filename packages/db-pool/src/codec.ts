// Codec. Owns: the values that cross to the database and back, as CBOR (RFC 8949) with SurrealDB's tags.
// C1. What goes in comes out equal, or is refused before anything is sent, naming where it stands.
// C2. What comes out is plain data: no key can replace a prototype.
// The SDK's codec keeps neither: it drops functions and `__proto__`, truncates Float32Array, turns −0 into 0 and a
// class into a plain object, and a stored `__proto__` key replaces the prototype of what it decodes.

import { Reader } from "./cbor-reader.ts";
import { Writer } from "./cbor-writer.ts";

export { Encoded } from "./cbor-writer.ts";
export { PreciseDate } from "./sdk-values.ts";

/**
 * Encodes a value for SurrealDB.
 *
 * @param name what the value is called in an error
 * @throws `db.unencodable` for what would not come back equal: functions, symbols, instances of classes, `Map`, unsafe
 * integers, bigints that a number could hold, undefined properties, `__proto__` keys, lone surrogates
 * @example encode({ at: new Date(), tags: ["a"] })
 */
export function encode(value: unknown, name = "value"): Uint8Array {
  const writer = new Writer(name);
  writer.value(value);
  return writer.bytes();
}

/** Encodes a map of values that each have a name of their own in an error. @throws `db.unencodable` */
export function encodeNamed(values: Record<string, unknown>, nameOf: (key: string) => string): Uint8Array {
  const writer = new Writer("value");
  writer.named(values, nameOf);
  return writer.bytes();
}

/** Decodes what SurrealDB answered. @throws `db.undecodable` */
export function decode(bytes: Uint8Array): unknown {
  return new Reader(bytes).value();
}

/**
 * The values of a map by their keys, still encoded: what is merely passed on need not be understood.
 *
 * @returns undefined if the bytes are no map
 */
export function entriesOf(bytes: Uint8Array): Map<string, Uint8Array> | undefined {
  return new Reader(bytes).entries();
}
