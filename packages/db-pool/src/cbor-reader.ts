import { DbError } from "./errors.ts";
import { PreciseDate, sdk, TAG_DATETIME, TAG_DATETIME_TEXT, TAG_NONE } from "./sdk-values.ts";

const BREAK = 0xff;

/** Reads values from CBOR, as plain data (C2). */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #buffer: Buffer;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  value(): unknown {
    const first = this.#byte();
    const info = first & 31;
    switch (first >> 5) {
      case 0:
        return this.#length(info);
      case 1: {
        const n = this.#length(info);
        return Number.isSafeInteger(-1 - Number(n)) ? -1 - Number(n) : -1n - BigInt(n);
      }
      case 2:
        return new Uint8Array(this.#chunk(info));
      case 3:
        return this.#text(info);
      case 4:
        return this.#array(info);
      case 5:
        return this.#map(info);
      case 6:
        return this.#tagged(Number(this.#length(info)));
      default:
        return this.#simple(info);
    }
  }

  entries(): Map<string, Uint8Array> | undefined {
    const first = this.#byte();
    if (first >> 5 !== 5) return undefined;
    const entries = new Map<string, Uint8Array>();
    for (let left = this.#count(first & 31); this.#more(left); left--) {
      const key = String(this.value());
      const from = this.#at;
      this.#skip();
      entries.set(key, this.#bytes.subarray(from, this.#at));
    }
    return entries;
  }

  #skip(): void {
    const first = this.#byte();
    const info = first & 31;
    switch (first >> 5) {
      case 0:
      case 1:
        return void this.#length(info);
      case 2:
      case 3:
        return void this.#chunk(info);
      case 4:
      case 5:
        for (let left = this.#count(info); this.#more(left); left--) {
          this.#skip();
          if (first >> 5 === 5) this.#skip();
        }
        return;
      case 6:
        this.#length(info);
        return this.#skip();
      default:
        return void this.#simple(info);
    }
  }

  #array(info: number): unknown[] {
    const items: unknown[] = [];
    for (let left = this.#count(info); this.#more(left); left--) items.push(this.value());
    return items;
  }

  #map(info: number): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    for (let left = this.#count(info); this.#more(left); left--) {
      const key = String(this.value());
      const value = this.value();
      if (key === "__proto__") define(map, key, value);
      else map[key] = value;
    }
    return map;
  }

  #tagged(tag: number): unknown {
    const value = this.value();
    switch (tag) {
      case TAG_NONE:
        return undefined;
      case TAG_DATETIME:
        return dateOf(value);
      case TAG_DATETIME_TEXT:
        return new Date(String(value));
      default:
        if (!sdk.knows(tag)) throw undecodable(`a value of unknown kind (CBOR tag ${tag})`);
        return sdk.fromTag(tag, value);
    }
  }

  #simple(info: number): unknown {
    switch (info) {
      case 20:
        return false;
      case 21:
        return true;
      case 22:
        return null;
      case 23:
        return undefined;
      case 25:
        return this.#view.getFloat16(this.#take(2));
      case 26:
        return this.#view.getFloat32(this.#take(4));
      case 27:
        return this.#view.getFloat64(this.#take(8));
      default:
        throw undecodable(`a simple value ${info}`);
    }
  }

  #text(info: number): string {
    if (info === 31) return Buffer.from(this.#chunk(info)).toString();
    const size = Number(this.#length(info));
    const at = this.#take(size);
    return this.#buffer.toString("utf8", at, at + size);
  }

  #chunk(info: number): Uint8Array {
    if (info !== 31) {
      const size = Number(this.#length(info));
      const at = this.#take(size);
      return this.#bytes.subarray(at, at + size);
    }
    const chunks: Uint8Array[] = [];
    while (this.#more(Infinity)) chunks.push(this.#chunk(this.#byte() & 31));
    return Buffer.concat(chunks);
  }

  #count(info: number): number {
    return info === 31 ? Infinity : Number(this.#length(info));
  }

  #more(left: number): boolean {
    if (left !== Infinity) return left > 0;
    if (this.#bytes[this.#at] !== BREAK) return true;
    this.#at += 1;
    return false;
  }

  #length(info: number): number | bigint {
    if (info < 24) return info;
    switch (info) {
      case 24:
        return this.#byte();
      case 25:
        return this.#view.getUint16(this.#take(2));
      case 26:
        return this.#view.getUint32(this.#take(4));
      case 27: {
        const n = this.#view.getBigUint64(this.#take(8));
        return n <= Number.MAX_SAFE_INTEGER ? Number(n) : n;
      }
      default:
        throw undecodable(`a length of kind ${info}`);
    }
  }

  #byte(): number {
    return this.#bytes[this.#take(1)]!;
  }

  #take(size: number): number {
    const at = this.#at;
    this.#at += size;
    if (this.#at > this.#bytes.length) throw undecodable("an answer cut short");
    return at;
  }
}

function define(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}

function dateOf(value: unknown): Date {
  const [seconds, nanoseconds] = value as [number | bigint, number | bigint];
  const rest = Number(nanoseconds) % 1_000_000;
  const ms = Number(seconds) * 1000 + (Number(nanoseconds) - rest) / 1_000_000;
  return rest === 0 ? new Date(ms) : new PreciseDate(ms, rest);
}

function undecodable(what: string): DbError {
  return new DbError({
    code: "db.undecodable",
    message: `the database answered with ${what}, which cannot be read`,
    outcome: "unknown",
  });
}
