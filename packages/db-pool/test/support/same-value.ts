import { inspect, isDeepStrictEqual } from "node:util";
import { RecordId, Value } from "surrealdb";
import { expect } from "vitest";
import { PreciseDate } from "../../src/index.ts";

/**
 * Makes `toStrictEqual` see what its own rules are blind to: the classes of the SDK keep their content in private
 * fields, and a date is compared by its milliseconds only.
 */
export function compareWholeValues(): void {
  expect.addEqualityTesters([
    (a: unknown, b: unknown): boolean | undefined => {
      if (a instanceof PreciseDate || b instanceof PreciseDate) return instant(a) === instant(b);
      if (a instanceof Value || b instanceof Value) {
        return a instanceof Value && b instanceof Value && sameSdkValue(a, b);
      }
      return undefined;
    },
  ]);
}

function instant(value: unknown): string {
  return value instanceof PreciseDate ? `${value.getTime()}+${value.nanoseconds}` : inspect(value);
}

function sameSdkValue(a: Value, b: Value): boolean {
  if (a.constructor !== b.constructor || !a.equals(b)) return false;
  // To the SDK the ids 1 and 1n are equal; and in an object the keys may come in another order.
  if (a instanceof RecordId && b instanceof RecordId) return isDeepStrictEqual(a.id, b.id);
  return a.toString() === b.toString();
}
