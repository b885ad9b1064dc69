import { CborCodec, type Value } from "surrealdb";

// SurrealDB's tags for what CBOR has no type for; those of the SDK's own classes are the SDK's to know.
export const TAG_DATETIME_TEXT = 0;
export const TAG_NONE = 6;
export const TAG_DATETIME = 12;
export const TAG_SET = 56;

/** The SDK knows how its value classes are tagged; these are its two tables, which it keeps protected. */
class SdkTypes extends CborCodec {
  readonly tagOf = (value: Value): { tag: number; value: unknown } => this.replacer(value) as never;
  readonly fromTag = (tag: number, value: unknown): unknown => this.tagged[tag]?.(value);
  readonly knows = (tag: number): boolean => tag in this.tagged;
}
export const sdk = new SdkTypes({});

/**
 * A `Date` that remembers the nanoseconds SurrealDB keeps and JavaScript cannot, so that what was read can be
 * written back unchanged. Only instants that need it are read as one; all others are plain dates.
 */
export class PreciseDate extends Date {
  /** Nanoseconds past the millisecond, 0 to 999,999. */
  readonly nanoseconds: number;

  constructor(milliseconds: number, nanoseconds: number) {
    super(milliseconds);
    this.nanoseconds = nanoseconds;
  }
}
