import { isDeepStrictEqual } from "node:util";
import { DateTime, Decimal, Duration, Future, RecordId, StringRecordId, Value } from "surrealdb";
import { DbError } from "./errors.ts";
import { PreciseDate, sdk, TAG_DATETIME, TAG_NONE, TAG_SET } from "./sdk-values.ts";

/** Beyond a few hundred levels the engine answers with an error or aborts; nothing sane nests this deep. */
const MAX_DEPTH = 100;
const MIN_DATE = Date.UTC(-262_143, 0);
const MAX_DATE = Date.UTC(262_143, 0) - 1;
const MAX_I64 = 2n ** 63n - 1n;
const textEncoder = new TextEncoder();

/** Bytes that are CBOR already, to stand inside a value. */
export class Encoded {
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

/** Writes values as CBOR, and refuses what would not come back equal (C1). */
export class Writer {
  #bytes = new Uint8Array(512);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  readonly #path: (string | number)[] = [];
  #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  value(value: unknown): void {
    switch (typeof value) {
      case "string":
        return this.#text(value);
      case "number":
        return this.#number(value);
      case "boolean":
        return this.#byte(value ? 0xf5 : 0xf4);
      case "undefined":
        this.#head(6, TAG_NONE);
        return this.#byte(0xf6);
      case "bigint":
        return this.#bigint(value);
      case "object":
        return value === null ? this.#byte(0xf6) : this.#object(value);
      default:
        this.#refuse(`a ${typeof value} cannot be stored`);
    }
  }

  /** A map of values that each have a name of their own in an error. */
  named(values: Record<string, unknown>, nameOf: (key: string) => string): void {
    const entries = Object.entries(values);
    this.#head(5, entries.length);
    for (const [key, value] of entries) {
      this.#name = nameOf(key);
      this.#text(key);
      this.value(value);
    }
  }

  #object(value: object): void {
    if (this.#path.length > MAX_DEPTH)
      this.#refuse(`it is nested deeper than ${MAX_DEPTH} levels, or in itself`);
    if (Array.isArray(value)) return this.#array(value);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null)
      return this.#map(value as Record<string, unknown>);
    if (value instanceof Date) return this.#date(value);
    if (value instanceof Uint8Array) return this.#binary(value);
    if (value instanceof Set) return this.#set([...value]);
    if (value instanceof Value) return this.#sdkValue(value);
    if (value instanceof Encoded) return this.#raw(value.bytes);
    return this.#refuse(
      REFUSED_CLASSES.get(prototype) ?? `a ${nameOf(prototype)} would come back as a plain object`,
    );
  }

  #map(value: Record<string, unknown>): void {
    const keys = Object.keys(value);
    if (Object.getOwnPropertySymbols(value).length > 0) this.#refuse("symbol keys would be lost");
    this.#head(5, keys.length);
    for (const key of keys) {
      this.#path.push(key);
      if (key === "__proto__") this.#refuse("a key of this name could replace a prototype");
      const item = value[key];
      if (item === undefined)
        this.#refuse("it is undefined and would vanish; leave the key out, or write null");
      this.#text(key);
      this.value(item);
      this.#path.pop();
    }
  }

  #array(items: readonly unknown[]): void {
    this.#head(4, items.length);
    for (let i = 0; i < items.length; i++) {
      this.#path.push(i);
      this.value(items[i]);
      this.#path.pop();
    }
  }

  #sdkValue(value: Value): void {
    if (value instanceof DateTime) this.#refuse("a DateTime would come back as a Date; pass a Date");
    if (value instanceof StringRecordId)
      this.#refuse("a StringRecordId would come back as a RecordId; pass a RecordId");
    if (value instanceof Future) this.#refuse("a Future is code, not data");
    if (value instanceof Decimal && !fitsDecimal(value))
      this.#refuse("the Decimal has more digits than SurrealDB keeps");
    if (value instanceof RecordId && typeof value.id === "number" && !Number.isSafeInteger(value.id)) {
      this.#refuse(`${value.id} is not a safe integer, as the number of a record id must be`);
    }
    this.#tagged(sdk.tagOf(value), value instanceof Duration);
  }

  #tagged({ tag, value }: { tag: number; value: unknown }, ownIntegers: boolean): void {
    this.#head(6, tag);
    this.#payload(value, ownIntegers);
  }

  /** What the SDK made of one of its classes: tags and lists of its own, and inside them values of the user's. */
  #payload(payload: unknown, ownIntegers: boolean): void {
    if (typeof payload === "bigint" && ownIntegers) return this.#integer(payload);
    if (payload instanceof ArrayBuffer) return this.#binary(new Uint8Array(payload));
    if (isTagged(payload)) return this.#tagged(payload, ownIntegers);
    if (!Array.isArray(payload)) return this.value(payload);
    this.#head(4, payload.length);
    for (const item of payload) this.#payload(item, ownIntegers);
  }

  #set(items: unknown[]): void {
    const objects = items.filter((item) => typeof item === "object");
    if (objects.some((item, i) => objects.findIndex((other) => isDeepStrictEqual(item, other)) !== i)) {
      this.#refuse("two items of the Set are equal to SurrealDB, which would keep one");
    }
    this.#head(6, TAG_SET);
    this.#array(items);
  }

  #date(date: Date): void {
    const ms = date.getTime();
    if (Number.isNaN(ms)) this.#refuse("the Date is invalid");
    if (ms < MIN_DATE || ms > MAX_DATE)
      this.#refuse("the Date is outside of the years that SurrealDB can tell");
    const nanoseconds = date instanceof PreciseDate ? date.nanoseconds : 0;
    if (!Number.isInteger(nanoseconds) || nanoseconds < 0 || nanoseconds > 999_999) {
      this.#refuse("its nanoseconds are not from 0 to 999,999");
    }
    const seconds = Math.floor(ms / 1000);
    this.#head(6, TAG_DATETIME);
    this.#head(4, 2);
    this.#number(seconds);
    this.#number((ms - seconds * 1000) * 1_000_000 + nanoseconds);
  }

  #number(value: number): void {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
      if (value >= 0) this.#head(0, value);
      else this.#head(1, -1 - value);
      return;
    }
    if (Number.isInteger(value) && value !== 0) {
      this.#refuse(`${value} is not a safe integer; pass a bigint, a Decimal or a string`);
    }
    const at = this.#claim(9);
    this.#bytes[at] = 0xfb;
    this.#view.setFloat64(at + 1, value);
  }

  #bigint(value: bigint): void {
    if (value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)) {
      this.#refuse(`${value}n would come back as the number ${value}; pass Number(value)`);
    }
    if (value > MAX_I64 || value < -MAX_I64 - 1n)
      this.#refuse("the bigint does not fit 64 bits; pass a Decimal");
    this.#integer(value);
  }

  #integer(value: bigint): void {
    if (value >= 0n) this.#head(0, value);
    else this.#head(1, -1n - value);
  }

  #text(text: string): void {
    if (!text.isWellFormed()) this.#refuse("the text holds a lone surrogate, which is not valid Unicode");
    // A UTF-16 unit never needs more than three bytes, so one pass writes it and then its head is known.
    const at = this.#claim(text.length * 3 + 9);
    const { written } = textEncoder.encodeInto(text, this.#bytes.subarray(at + 9));
    this.#length = at;
    this.#head(3, written);
    this.#bytes.copyWithin(this.#length, at + 9, at + 9 + written);
    this.#length += written;
  }

  #binary(data: Uint8Array): void {
    this.#head(2, data.byteLength);
    this.#raw(data);
  }

  #raw(bytes: Uint8Array): void {
    const at = this.#claim(bytes.byteLength);
    this.#bytes.set(bytes, at);
  }

  #head(major: number, n: number | bigint): void {
    const base = major << 5;
    if (n < 24) return this.#byte(base + Number(n));
    const at = this.#claim(n < 0x1_00 ? 2 : n < 0x1_0000 ? 3 : n < 0x1_0000_0000 ? 5 : 9);
    if (n < 0x1_00) {
      this.#bytes[at] = base + 24;
      this.#bytes[at + 1] = Number(n);
    } else if (n < 0x1_0000) {
      this.#bytes[at] = base + 25;
      this.#view.setUint16(at + 1, Number(n));
    } else if (n < 0x1_0000_0000) {
      this.#bytes[at] = base + 26;
      this.#view.setUint32(at + 1, Number(n));
    } else {
      this.#bytes[at] = base + 27;
      this.#view.setBigUint64(at + 1, BigInt(n));
    }
  }

  #byte(byte: number): void {
    const at = this.#claim(1);
    this.#bytes[at] = byte;
  }

  #claim(size: number): number {
    const at = this.#length;
    this.#length += size;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }

  #refuse(why: string): never {
    const path = this.#path.map((key) => (typeof key === "number" ? `[${key}]` : `.${key}`)).join("");
    throw new DbError({ code: "db.unencodable", message: `${this.#name}${path} was not written: ${why}` });
  }
}

const REFUSED_CLASSES = new Map<unknown, string>([
  [Map.prototype, "a Map would come back as an object; pass Object.fromEntries(map)"],
  [ArrayBuffer.prototype, "an ArrayBuffer would come back as a Uint8Array; pass new Uint8Array(buffer)"],
  [Float32Array.prototype, "a Float32Array would lose its fractions; pass Array.from(numbers)"],
  [Float64Array.prototype, "a Float64Array would lose its fractions; pass Array.from(numbers)"],
]);

function nameOf(prototype: unknown): string {
  return (prototype as { constructor?: { name?: string } }).constructor?.name || "value of an unnamed class";
}

/** The SDK keeps the class of its tags to itself. */
const Tagged = sdk.tagOf(new Duration("1s")).constructor;

function isTagged(value: unknown): value is { tag: number; value: unknown } {
  return value instanceof Tagged;
}

/** 96 bits of digits, at most 28 of them behind the point. */
function fitsDecimal(value: Decimal): boolean {
  const [, whole = "", fraction = ""] = /^-?(\d+)(?:\.(\d+))?$/.exec(value.toString()) ?? [];
  return whole !== "" && fraction.length <= 28 && BigInt(whole + fraction) < 2n ** 96n;
}
