// Own state. Owns: a run's own state in a pass: as its handler has it in hand, as it is kept, and as it comes back.
// W1. Where one thing is done after the other, the state after a step is what was kept with it.
// W2. Where branches go on beside each other, what each changed between its steps it changes again: what was kept with a step of
//     one knows nothing of what another has changed while it was on its way. So of what was kept only that is taken which no
//     branch has brought about: what was changed within the step.
// W3. What it comes back to is brought about in place: `state.list.push(await ctx.step(…))` has hold of the list before the step.

import { isDeepStrictEqual as isSame } from "node:util";
import type { Json } from "@sentient/schema";
import type { z } from "zod";
import { AgentError, saidOf } from "./errors.ts";
import { asOwnJson } from "./json.ts";

type Fields = Record<string, unknown>;

export class OwnState {
  readonly #schema: z.ZodType;
  readonly #fields: Fields;
  /** As it was last kept. */
  #kept: Json;
  /** What it was in turn, where branches go on beside each other. */
  #past: Fields[] = [];
  #isHeld = false;
  /** What the run began with does not fit. */
  readonly problem: AgentError | undefined;

  /** @param first the state of the run before its first step */
  constructor(schema: z.ZodType, first: Json) {
    this.#schema = schema;
    const parsed = schema.safeParse(first);
    this.problem = parsed.error && invalidError(saidOf(parsed.error), parsed.error);
    this.#fields = (parsed.data ?? {}) as Fields;
    this.#kept = structuredClone(this.#fields) as Json;
  }

  /** To be changed in place: the object is the same one from the beginning to the end. */
  get fields(): Fields {
    this.#isHeld = true;
    return this.#fields;
  }

  /** Whether somebody has had hold of it, and may have changed it. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** As it was kept with a step. @param isAlone whether nothing went on beside it */
  restore(state: Json | undefined, isAlone: boolean): void {
    if (isAlone) this.#past = [];
    else this.#past.push(structuredClone(this.#fields));
    if (state === undefined) return;
    const parsed = this.#schema.safeParse(state); // and has what the schema has got since
    const kept = (parsed.success ? parsed.data : state) as Fields;
    this.#set(isAlone ? kept : (merged(this.#fields, this.#kept, kept, this.#past) as Fields));
    this.#kept = kept as Json;
  }

  #set(fields: Fields): void {
    become(this.#fields, fields);
  }

  /** A copy, to be kept: what is changed while it is on its way is kept with what comes next. @throws `agent.invalid_state` */
  keep(): Json {
    this.#kept = this.#checked();
    return this.#kept;
  }

  /** @throws `agent.invalid_state` if it could not be kept as it is */
  requireSound(): void {
    if (this.#isHeld) this.#checked();
  }

  /** What could not be kept is not: the state is again what it was. */
  keepSound(): void {
    try {
      this.requireSound();
    } catch {
      this.reset();
    }
  }

  /** As it was last kept. */
  reset(): void {
    this.#isHeld = false;
    this.#set(this.#kept as Fields);
  }

  #checked(): Json {
    const parsed = this.#schema.safeParse(this.#fields);
    if (!parsed.success) throw invalidError(saidOf(parsed.error), parsed.error);
    try {
      return asOwnJson(parsed.data, "it");
    } catch (error) {
      throw invalidError((error as Error).message, error);
    }
  }
}

/**
 * W2. What is in hand, with what was changed within a step.
 *
 * @param before what was kept before @param kept what was kept with the step @param past what there was in hand, in turn
 */
function merged(mine: unknown, before: unknown, kept: unknown, past: readonly unknown[]): unknown {
  if (isSame(kept, before) || isSame(kept, mine)) return mine;
  if (isSame(mine, before)) return kept;
  if (isFields(mine) && isFields(kept)) {
    const keys = new Set([...Object.keys(mine), ...Object.keys(kept)]);
    const entries = [...keys].map((key) => {
      const at = (value: unknown) => (isFields(value) ? value[key] : undefined);
      return [key, merged(mine[key], at(before), kept[key], past.map(at))] as const;
    });
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
  }
  return past.some((value) => isSame(value, kept)) ? mine : kept;
}

/** W3. @returns `mine`, made the same as `other`; a copy of that if it cannot be */
function become(mine: unknown, other: unknown): unknown {
  if (mine === other) return mine;
  if (Array.isArray(mine) && Array.isArray(other)) {
    mine.length = Math.min(mine.length, other.length);
    other.forEach((value, i) => (mine[i] = become(mine[i], value)));
    return mine;
  }
  if (!isFields(mine) || !isFields(other)) return structuredClone(other);
  for (const key of Object.keys(mine)) if (!Object.hasOwn(other, key)) delete mine[key];
  for (const [key, value] of Object.entries(other)) mine[key] = become(mine[key], value);
  return mine;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalidError(why: string, cause: unknown): AgentError {
  return new AgentError({
    code: "agent.invalid_state",
    message: `the state of the run does not fit its definition: ${why}`,
    cause,
  });
}
