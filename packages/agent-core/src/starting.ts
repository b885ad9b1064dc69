// Starting. Owns: what a definition makes of an input before a run of it exists.

import type { Json } from "@sentient/schema";
import type { Agent, StartOptions, State } from "@sentient/state";
import { z } from "zod";
import type { Definition } from "./define.ts";
import { AgentError, saidOf } from "./errors.ts";

/**
 * How to start a run of a definition; of a name alone only what is said is known.
 *
 * @param now from when on the time that it may take counts; without it there is no deadline
 * @throws `agent.invalid_input`
 */
export function startOptionsOf(what: Definition | string, input: unknown, now?: number): StartOptions {
  if (typeof what === "string") return { name: what, input: (input ?? null) as Json };
  const { kind, name, version, queue, timeout, secrets } = what;
  return {
    kind,
    name,
    version,
    queue,
    input: (input ?? null) as Json,
    ...(secrets.length > 0 ? { secrets } : {}),
    ...requireFits(what, input),
    ...(timeout === undefined || now === undefined ? {} : { deadline: new Date(now + timeout) }),
  };
}

/**
 * The same of a name that this process does not know: as whoever can do it has registered it last. Of one that nobody has
 * registered only the name is known; it waits until somebody does.
 *
 * @throws `agent.invalid_input`
 */
export async function startOptionsOfName(
  name: string,
  input: unknown,
  state: State,
  now?: number,
): Promise<StartOptions> {
  const base = startOptionsOf(name, input);
  const last = await state.agents.latest(name);
  if (!last) return base;
  const { version, queue, kind, secrets, timeout } = last;
  requireFitsRegistered(last, base.input ?? null);
  return {
    ...base,
    version,
    queue,
    ...(kind ? { kind } : {}),
    ...(secrets ? { secrets } : {}),
    ...(timeout === undefined || now === undefined ? {} : { deadline: new Date(now + timeout) }),
  };
}

/** What is kept is what was given: the handler gets it as the schema makes it, each time. */
function requireFits({ name, schemas }: Definition, input: unknown): Record<string, never> {
  const parsed = schemas.input && parseInput(schemas.input, input ?? null);
  if (!parsed || parsed.success) return {};
  throw invalidInputError(name, parsed.error);
}

/** Null may stand for none, of which a JSON Schema does not say whether it fits; its worker will know. */
function requireFitsRegistered({ name, input: schema }: Agent, input: Json): void {
  const parsed = schema === undefined || input === null ? undefined : readable(schema)?.safeParse(input);
  if (parsed && !parsed.success) throw invalidInputError(name, parsed.error);
}

/** Undefined for what only the code can read. */
function readable(schema: Json): z.ZodType | undefined {
  try {
    return z.fromJSONSchema(schema as z.core.JSONSchema.JSONSchema);
  } catch {
    return undefined;
  }
}

function invalidInputError(name: string, cause: z.ZodError): AgentError {
  return new AgentError({
    code: "agent.invalid_input",
    message: `the input of ${name} does not fit: ${saidOf(cause)}`,
    cause,
    details: { name },
  });
}

/** An input as it is kept, where none is null: what does not fit as null may fit as none. */
export function parseInput(schema: z.ZodType, input: unknown) {
  const parsed = schema.safeParse(input);
  return parsed.success || input !== null ? parsed : schema.safeParse(undefined);
}

/** @throws `agent.invalid_state` for a state to begin with that does not fit */
export function requireStateFits(what: Definition | undefined, state: Json | undefined): void {
  const parsed = state === undefined ? undefined : what?.schemas.state?.safeParse(state);
  if (!parsed || parsed.success) return;
  throw new AgentError({
    code: "agent.invalid_state",
    message: `the state of ${what!.name} does not fit: ${saidOf(parsed.error)}`,
    cause: parsed.error,
    details: { name: what!.name },
  });
}
