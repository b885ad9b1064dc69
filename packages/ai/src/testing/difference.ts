// In what a turn differs from the one that is most like it.

import { isDeepStrictEqual } from "node:util";
import type { Json } from "@sentient/schema";

type Fields = Record<string, Json>;

/** @returns the first place where it differs from the nearest, with both; undefined if there is none to compare it with */
export function differenceOf(asked: Fields, known: readonly Fields[]): string | undefined {
  const nearest = known.toSorted((a, b) => likeness(asked, b) - likeness(asked, a))[0];
  if (!nearest) return undefined;
  return placeOf(nearest, asked, "turn") ?? "it is the same as one that is there";
}

/** How many messages are the same from the beginning on, and then how many of the other fields are. */
function likeness(asked: Fields, known: Fields): number {
  const [mine, theirs] = [asked.messages as Json[], known.messages as Json[]];
  const first = mine.findIndex((message, i) => !isDeepStrictEqual(message, theirs[i]));
  const others = Object.keys(asked).filter((key) => isDeepStrictEqual(asked[key], known[key]));
  const isAsLong = mine.length === theirs.length ? 0.5 : 0;
  return (first < 0 ? mine.length : first) * 10 + others.length + isAsLong;
}

function placeOf(known: Json | undefined, asked: Json | undefined, path: string): string | undefined {
  if (isDeepStrictEqual(known, asked)) return undefined;
  if (!isBranch(known) || !isBranch(asked) || Array.isArray(known) !== Array.isArray(asked))
    return `${path} was ${shown(known)} and is ${shown(asked)}`;
  const [before, now] = [known as Fields, asked as Fields];
  const at = (key: string) => (Array.isArray(asked) ? `${path}[${key}]` : `${path}.${key}`);
  for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
    const place = placeOf(before[key], now[key], at(key));
    if (place !== undefined) return place;
  }
  return undefined;
}

const isBranch = (value: unknown) => typeof value === "object" && value !== null;

const MOST_SHOWN = 200;

/** Where texts differ far behind their beginnings, it is the end of them that tells. */
function shown(value: Json | undefined): string {
  const text = value === undefined ? "not there" : JSON.stringify(value);
  return text.length <= MOST_SHOWN ? text : `${text.slice(0, MOST_SHOWN / 2)}…${text.slice(-MOST_SHOWN / 2)}`;
}
