// Redaction. Owns: what an export leaves out.
// X1. The value under a key that a run calls secret is in no line of the file, at any depth, nor is a hash that it went into.
//     Names count for all runs of the file, as runs hand values to each other; JSON Pointers for the input, output and state
//     of the run that has them, and of its forks.
// X2. What is left out is said to be: it reads "[redacted]", and its line is marked.
// What somebody wrote into a text, as a message or a chunk of one, has no key and is not found.

import { canonicalJson, eventData, type Json } from "@sentient/schema";
import type { z } from "zod";
import type { Run } from "./run.ts";
import { REDACTED } from "./transfer-format.ts";

export class Redaction {
  readonly #names: ReadonlySet<string>;
  readonly #pointers: ReadonlyMap<string, readonly string[][]>;

  constructor(runs: readonly Pick<Run, "id" | "secrets" | "forkOf">[]) {
    const byId = new Map<string, (typeof runs)[number]>(runs.map((run) => [run.id, run]));
    const pointersOf = ({ secrets, forkOf }: (typeof runs)[number]): string[][] => {
      const parent = forkOf && byId.get(forkOf.run); // whose state it goes on with
      return [...secrets.filter(isPointer).map(tokensOf), ...(parent ? pointersOf(parent) : [])];
    };
    this.#names = new Set(runs.flatMap(({ secrets }) => secrets.filter((secret) => !isPointer(secret))));
    this.#pointers = new Map(runs.map((run) => [run.id, pointersOf(run)]));
  }

  /** Whether anything of a run may be left out. */
  concerns(run: string): boolean {
    return this.#names.size > 0 || (this.#pointers.get(run) ?? []).length > 0;
  }

  get isEmpty(): boolean {
    return this.#names.size === 0 && [...this.#pointers.values()].every((pointers) => pointers.length === 0);
  }

  /** A run's input, output or state. @returns the value itself if nothing of it is secret */
  document(run: string, value: Json): Json {
    return without(value, this.#names, this.#pointers.get(run) ?? []);
  }

  /** What else it said. */
  value(value: Json): Json {
    return without(value, this.#names, []);
  }

  /** X1. Of the runtime's own events the fields that their type says are not a user's, and the hash of a state is one. */
  event(run: string, type: string, data: Json): Json {
    const schema: z.ZodType | undefined = Object.hasOwn(eventData, type)
      ? eventData[type as keyof typeof eventData]
      : undefined;
    if (!schema || typeof data !== "object" || data === null || Array.isArray(data)) return this.value(data);
    const own = Object.keys((schema as z.ZodObject).shape).filter((field) => field in data);
    const fields = data as Record<string, Json>;
    const rest = Object.fromEntries(Object.entries(fields).filter(([key]) => !own.includes(key)));
    if (type === "run.restored" && "stateHash" in rest && this.concerns(run)) rest.stateHash = REDACTED;
    const kept = Object.fromEntries(own.map((key) => [key, this.value(fields[key]!)]));
    const found = { ...(this.value(rest) as object), ...kept } as Json;
    return canonicalJson(found) === canonicalJson(data) ? data : found;
  }
}

/** Canonical text without what is secret; undefined if nothing of it is. */
export function redactText(text: string, redact: (value: Json) => Json): string | undefined {
  const value = JSON.parse(text) as Json;
  const found = redact(value);
  return found === value ? undefined : canonicalJson(found);
}

function without(value: Json, names: ReadonlySet<string>, pointers: readonly string[][]): Json {
  if (pointers.some((tokens) => tokens.length === 0)) return REDACTED;
  if (typeof value !== "object" || value === null) return value;
  let copy: Record<string, Json> | undefined;
  for (const [key, item] of Object.entries(value) as [string, Json][]) {
    const isSecret = !Array.isArray(value) && names.has(key);
    const beneath = pointers.flatMap(([first, ...rest]) => (first === key ? [rest] : []));
    const found = isSecret ? REDACTED : without(item, names, beneath);
    if (found === item) continue;
    copy ??= copyOf(value);
    copy[key] = found;
  }
  return copy ?? value;
}

/** A list too is written to by its keys. */
function copyOf(value: object): Record<string, Json> {
  return (Array.isArray(value) ? (value as Json[]).slice() : { ...value }) as Record<string, Json>;
}

const isPointer = (secret: string): boolean => secret.startsWith("/");

/** RFC 6901. */
function tokensOf(pointer: string): string[] {
  return pointer
    .slice(1)
    .split("/")
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}
