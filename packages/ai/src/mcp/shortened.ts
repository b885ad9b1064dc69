// What is shown of something large: its shape, and the beginning of what is long in it.

import type { Json } from "@sentient/schema";

/** @param most characters of JSON, more or less */
export function shortened(value: Json, most: number): Json {
  const size = sizeOf(value);
  if (size <= most) return value;
  if (typeof value !== "object" || value === null) return cut(String(value), most);
  return isList(value) ? shortenedList(value, most) : shortenedFields(value, most);
}

/** Of a page: all of its items, none of them at the cost of the others. */
export function shortenedItems(items: readonly unknown[], most: number): Json[] {
  return items.map((item) => shortened(plain(item), Math.floor(most / items.length)));
}

/** As JSON has it: dates are texts there. */
export function plain(value: unknown): Json {
  return JSON.parse(JSON.stringify(value ?? null)) as Json;
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function sizeOf(value: Json | undefined): number {
  return JSON.stringify(value ?? null).length;
}

function cut(text: string, most: number): string {
  return `${text.slice(0, Math.max(0, most))}… [cut: ${text.length} characters in all]`;
}

function shortenedList(list: readonly Json[], most: number): Json[] {
  const shown: Json[] = [];
  let left = most;
  for (const item of list) {
    if (left <= 0) return [...shown, `[cut: ${list.length - shown.length} more]`];
    shown.push(shortened(item, left));
    left -= sizeOf(shown.at(-1));
  }
  return shown;
}

/** The small ones whole; the large ones share what is left. */
function shortenedFields(fields: { readonly [name: string]: Json | undefined }, most: number): Json {
  const bySize = Object.entries(fields).toSorted(([, one], [, other]) => sizeOf(one) - sizeOf(other));
  let left = most;
  const shown = new Map(
    bySize.map(([name, value], i) => {
      const short = shortened(value ?? null, Math.floor(left / (bySize.length - i)));
      left -= sizeOf(short);
      return [name, short];
    }),
  );
  return Object.fromEntries(Object.keys(fields).map((name) => [name, shown.get(name)!]));
}
