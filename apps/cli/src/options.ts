// Options and arguments that several commands have, and how their text is read.

import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { text as textOf } from "node:stream/consumers";
import type { Json } from "@sentient/schema";
import type { Point } from "@sentient/state";
import { Argument, InvalidArgumentError, Option } from "commander";
import { usage } from "./cli-error.ts";

export function runArgument(): Argument {
  return new Argument("<run>", "the id of a run");
}

export function wholeNumber(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Write a whole number.");
}

/** For an option that may be given again, or once with commas. */
export function collect(text: string, before: string[] = []): string[] {
  return [
    ...before,
    ...text
      .split(",")
      .map((each) => each.trim())
      .filter(Boolean),
  ];
}

export function limitOption(what: string, preset: number): Option {
  return new Option("-n, --limit <number>", `how many ${what} at most`)
    .argParser(wholeNumber)
    .default(preset);
}

export function byOption(what = "who asks"): Option {
  return new Option("--by <name>", what).default(me());
}

function me(): string {
  try {
    return process.env.USER ?? userInfo().username;
  } catch {
    return "cli"; // a process without a user of its own
  }
}

export interface PointFlags {
  n?: number;
  position?: number;
  checkpoint?: string;
}

export function pointOptions(what: string): Option[] {
  return [
    new Option("--checkpoint <name>", `${what} a checkpoint`).conflicts(["n", "position"]),
    new Option("--n <number>", `${what} its n-th event`).argParser(wholeNumber).conflicts("position"),
    new Option("--position <number>", `${what} a position of the log`).argParser(wholeNumber),
  ];
}

export function pointOf({ n, position, checkpoint }: PointFlags): Point {
  return {
    ...(n === undefined ? {} : { n }),
    ...(position === undefined ? {} : { position }),
    ...(checkpoint === undefined ? {} : { checkpoint }),
  };
}

/** JSON as it is typed, of a file with `@`, or of stdin with `-`. @throws `cli.usage` */
export async function jsonFrom(given: string, what: string): Promise<Json> {
  const text =
    given === "-"
      ? await textOf(process.stdin)
      : given.startsWith("@")
        ? readGiven(given.slice(1), what)
        : given;
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw usage(`${what} is no JSON: ${(error as Error).message}; text needs quotes of its own: '"text"'`);
  }
}

function readGiven(path: string, what: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw usage(`${what} cannot be read: ${(error as Error).message}`);
  }
}

/** Without what was not said. */
export function defined<T extends object>(flags: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined)) as never;
}
