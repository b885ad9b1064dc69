// Recording. Owns: what a model has said, in a file, and a model that says it again.
// R1. A turn is known by what is asked in it, and not by when or by whom: so turns beside each other find their answers.
// R2. What is or looks like a secret is not written, and does not tell turns apart.
// R3. Only whole answers are written; what failed or was left is asked again.
// R4. What is recorded anew takes the place of what was there, once there is something of it: nothing old is said again.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Model, Turn, TurnEvent } from "@sentient/agent-core";
import { canonicalJson, hashOf, withoutSecrets, type Json } from "@sentient/schema";
import { z } from "zod";
import { AiError } from "../errors.ts";
import { differenceOf } from "./difference.ts";

export interface RecordOptions {
  /** `all`, if left out, asks each time, and begins the file anew; `auto` asks only what is not there yet, and adds it. */
  mode?: "all" | "auto";
}

/** One line of a file. */
const Entry = z.object({
  key: z.string(),
  turn: z.record(z.string(), z.json()),
  events: z.array(
    z.custom<TurnEvent>((value) => typeof value === "object" && value !== null && "type" in value),
  ),
});
type Entry = z.output<typeof Entry>;

/**
 * A model that writes to a file, a line for each turn, what it was asked and what it said, without secrets. In mode `all` what
 * was in the file is gone once the first turn is over: two that record at once need a file each.
 *
 * @throws when asked: `ai.bad_recording`, and what the model throws
 * @example const model = record(fromAiSdk(openai("gpt-5")), "test/answers.jsonl", { mode: "auto" });
 */
export function record(model: Model, file: string, { mode = "all" }: RecordOptions = {}): Model {
  let known: Recorded | undefined;
  let isBegun = mode === "auto";
  return async function* recording(turn, signal) {
    const asked = toldOf(turn);
    if (mode === "auto") {
      known ??= new Recorded(file);
      const entry = known.take(asked.key);
      if (entry) return yield* entry.events;
    }
    const events: TurnEvent[] = [];
    for await (const event of model(turn, signal)) {
      events.push(event);
      if (event.type === "end") {
        write(file, { ...asked, events: withoutSecretsIn(events) }, isBegun ? "a" : "w"); // R3, R4, and whoever reads may stop here
        isBegun = true;
      }
      yield event;
    }
  };
}

/**
 * A model that says what was recorded. It asks nobody.
 *
 * @throws when asked: `ai.not_recorded` for what is not there, with how it differs from what is; `ai.bad_recording`
 * @example const model = replayed("test/answers.jsonl");
 */
export function replayed(file: string): Model {
  let known: Recorded | undefined;
  return async function* replaying(turn, signal) {
    known ??= new Recorded(file);
    const asked = toldOf(turn);
    const entry = known.take(asked.key);
    if (!entry) throw notRecordedError(file, asked.turn, known.entries);
    for (const event of entry.events) {
      signal.throwIfAborted();
      yield event;
    }
  };
}

class Recorded {
  readonly entries: readonly Entry[];
  readonly #left = new Map<string, Entry[]>();

  constructor(file: string) {
    this.entries = existsSync(file) ? read(file) : [];
    for (const entry of this.entries)
      this.#left.set(entry.key, [...(this.#left.get(entry.key) ?? []), entry]);
  }

  /** What was asked several times is answered in turn, and then as the last time. */
  take(key: string): Entry | undefined {
    const entries = this.#left.get(key);
    return entries && entries.length > 1 ? entries.shift() : entries?.[0];
  }
}

/** R1, R2. */
function toldOf({ idempotencyKey: _, ...asked }: Turn): Pick<Entry, "key" | "turn"> {
  const turn = redacted(JSON.parse(JSON.stringify(asked)) as Entry["turn"]);
  return { key: hashOf(canonicalJson(turn)), turn };
}

/** A secret may come in pieces; then they are one. */
function withoutSecretsIn(events: readonly TurnEvent[]): TurnEvent[] {
  const written: TurnEvent[] = [];
  for (let i = 0; i < events.length;) {
    const { type } = events[i]!;
    const next = events.findIndex((event, j) => j > i && event.type !== type);
    const alike = events.slice(i, next < 0 ? events.length : next);
    i += alike.length;
    const text = alike.map((event) => ("text" in event ? event.text : "")).join("");
    const isSecret = withoutSecrets(text) !== text;
    written.push(
      ...(isSecret ? [{ ...alike.at(-1)!, text: withoutSecrets(text) } as TurnEvent] : redacted(alike)),
    );
  }
  return written;
}

function redacted<T>(value: T): T {
  if (typeof value === "string") return withoutSecrets(value) as T;
  if (Array.isArray(value)) return value.map((item) => redacted(item as unknown)) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => [key, redacted(field as unknown)]),
  ) as T;
}

function write(file: string, entry: Entry, flag: "a" | "w"): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(entry)}\n`, { flag });
}

function read(file: string): Entry[] {
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.flatMap((line, i) => (line.trim() === "" ? [] : entryOf(line, `${file}:${i + 1}`)));
}

function entryOf(line: string, where: string): Entry {
  try {
    return Entry.parse(JSON.parse(line));
  } catch (cause) {
    throw new AiError({
      code: "ai.bad_recording",
      message: `${where} is no turn of a model as record() writes it; remove the line, or record anew`,
      retryable: false,
      cause,
    });
  }
}

function notRecordedError(file: string, turn: Entry["turn"], entries: readonly Entry[]): AiError {
  const last = (turn.messages as Json[]).at(-1);
  const nearest = differenceOf(
    turn,
    entries.map((entry) => entry.turn),
  );
  const how = nearest ?? "it is empty, or not there";
  return new AiError({
    code: "ai.not_recorded",
    message: `${file} has no answer to the turn that ends with ${JSON.stringify(last).slice(0, 300)}: ${how}; record it, with record(model, file, { mode: "auto" })`,
    retryable: false,
    details: { turn },
  });
}
