// Definitions. Owns: what an agent or a workflow is in code: frozen, named, versioned, with a schema at every boundary.

import { hashOf, Name, Version, type Json } from "@sentient/schema";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import type { Context } from "./context.ts";
import { AgentError, saidOf } from "./errors.ts";
import { asOwnJson } from "./json.ts";
import { RetryPolicy, type CheckedPolicy } from "./retry.ts";

/** What may be a boundary: any zod schema of JSON. */
type Schema = z.ZodType;
type Accepted<S> = S extends z.ZodType ? z.input<S> : Json | undefined;
type Taken<S> = S extends z.ZodType ? z.output<S> : Json;
type StateOf<S> = S extends z.ZodType ? z.output<S> : undefined;

/** None that are checked. */
// oxlint-disable-next-line typescript/no-generated-empty-object-type -- there is no name, which is what is meant
export type NoSignals = Record<never, never>;

/** What becomes of the runs it has started when a run is cancelled. */
export type OnCancel = "cancel" | "leave";

/** What signals have to say, by name. */
export type SignalSchemas = Readonly<Record<string, Schema>>;

export interface DefineOptions<
  I extends Schema | undefined,
  O extends Schema | undefined,
  S extends Schema | undefined,
  G extends SignalSchemas = NoSignals,
> {
  /** Letters, digits and . _ : -, at most 128. */
  name: string;
  /** Of its code: a run goes on with the version it began with. `1` if left out; `hash` for one made of the code of `run`. */
  version?: string;
  /** Earlier versions whose runs this code can go on with. */
  compatible?: readonly string[];
  description?: string;
  /** What it can do, for tasks that ask for that rather than for a name. */
  capabilities?: readonly string[];
  /** Where its runs wait: `default` if left out. */
  queue?: string;
  /** What it takes, and gives: JSON. */
  input?: I;
  output?: O;
  /** What a run remembers of its own, at `ctx.state`. `{}` must fit it: give its fields defaults. */
  state?: S;
  /** Signals it hears, by name: others are not checked. */
  signals?: G;
  /** For steps that do not say it themselves. */
  retry?: RetryPolicy;
  /** Runs of it at once, in all processes, unless somebody says otherwise with `sentient.limits.set("agent:<name>", …)`. */
  concurrency?: number;
  /** How long a run may take in all, in milliseconds; it is cancelled after that. */
  timeout?: number;
  /** Names of keys whose values an export leaves out. */
  secrets?: readonly string[];
  run: (ctx: Context<StateOf<S>, G>, input: Taken<I>) => Promise<O extends z.ZodType ? z.input<O> : unknown>;
}

/** An agent or a workflow in code. Made by `defineAgent` and `defineWorkflow`. */
export interface Definition<Input = unknown, Output = unknown> {
  readonly kind: "task" | "workflow";
  readonly name: string;
  readonly version: string;
  readonly compatible: readonly string[];
  readonly description: string | undefined;
  readonly capabilities: readonly string[];
  readonly queue: string;
  readonly concurrency: number | undefined;
  readonly timeout: number | undefined;
  readonly secrets: readonly string[];
  readonly retry: CheckedPolicy;
  readonly schemas: Readonly<{
    input: Schema | undefined;
    output: Schema | undefined;
    state: Schema | undefined;
    signals: SignalSchemas;
  }>;
  /** @internal */
  readonly run: (ctx: never, input: never) => Promise<unknown>;
  /** What it takes and gives; nothing stands there. */
  readonly types?: { input: Input; output: Output };
}

/** What a definition takes from who starts it. */
export type InputOf<D> = D extends Definition<infer Input, infer _> ? Input : never;
/** How to say it: what takes nothing need not be given anything. */
export type Given<D, Options> =
  undefined extends InputOf<D>
    ? [input?: InputOf<D>, options?: Options]
    : [input: InputOf<D>, options?: Options];
/** What it gives. */
export type OutputOf<D> = D extends Definition<infer _, infer Output> ? Output : never;

const Options = z.strictObject({
  name: Name,
  version: Version.default("1" as Version),
  compatible: z.array(Version).max(99).default([]),
  description: z.string().max(4096).optional(),
  capabilities: z.array(Name).max(64).default([]),
  queue: Name.default("default" as Name),
  input: z.custom<Schema>(isSchema, "a zod schema").optional(),
  output: z.custom<Schema>(isSchema, "a zod schema").optional(),
  state: z.custom<Schema>(isSchema, "a zod schema").optional(),
  signals: z.record(Name, z.custom<Schema>(isSchema, "a zod schema")).default({}),
  retry: RetryPolicy.prefault({}),
  concurrency: z.int().min(1).optional(),
  timeout: z.int().min(1).optional(),
  secrets: z.array(z.string().min(1).max(256)).max(64).default([]),
  run: z.custom<Definition["run"]>((value) => typeof value === "function", "an async function"),
});

function isSchema(value: unknown): boolean {
  return value instanceof z.ZodType;
}

/**
 * Describes an agent: who does tasks.
 *
 * @throws `agent.bad_definition`
 * @example const hello = defineAgent({ name: "hello", input: z.object({ to: z.string() }), run: async (ctx, { to }) => `hello ${to}` });
 */
export function defineAgent<
  I extends Schema | undefined = undefined,
  O extends Schema | undefined = undefined,
  S extends Schema | undefined = undefined,
  G extends SignalSchemas = NoSignals,
>(options: DefineOptions<I, O, S, G>): Definition<Accepted<I>, Taken<O>> {
  return define("task", options);
}

/**
 * Describes a workflow: who coordinates agents and steps. It differs from an agent by how it is listed, and nothing else.
 *
 * @throws `agent.bad_definition`
 * @example const order = defineWorkflow({ name: "order", run: async (ctx) => ctx.call(hello, { to: "Ada" }) });
 */
export function defineWorkflow<
  I extends Schema | undefined = undefined,
  O extends Schema | undefined = undefined,
  S extends Schema | undefined = undefined,
  G extends SignalSchemas = NoSignals,
>(options: DefineOptions<I, O, S, G>): Definition<Accepted<I>, Taken<O>> {
  return define("workflow", options);
}

function define(kind: Definition["kind"], options: object): Definition<never, never> {
  const parsed = Options.safeParse(options);
  if (!parsed.success) throw badDefinition((options as { name?: unknown }).name, saidOf(parsed.error));
  const { input, output, state, signals, version, ...rest } = parsed.data;
  if (state) requireBeginning(rest.name, state);
  const { description, concurrency, timeout } = rest;
  return frozen({
    ...rest,
    kind,
    version: version === "hash" ? `h-${hashOf(rest.run.toString()).slice(0, 12)}` : version,
    description,
    concurrency,
    timeout,
    schemas: Object.freeze({ input, output, state, signals: Object.freeze(signals) }),
  }) as Definition<never, never>;
}

/** @throws `agent.bad_definition` unless a run can begin with `{}`, and what the schema makes of that can be kept and read again */
function requireBeginning(name: string, state: Schema): void {
  const first = state.safeParse({});
  if (!first.success)
    throw badDefinition(name, "its state does not begin with {}: give the fields of its schema defaults");
  try {
    const kept = asOwnJson(first.data, "what its state begins with");
    if (!isDeepStrictEqual(asOwnJson(state.parse(kept), "it"), kept))
      throw new TypeError(
        "what its state begins with is another once it was kept and read again: leave out transforms",
      );
  } catch (error) {
    throw badDefinition(name, (error as Error).message);
  }
}

/** With what lies in it but for its schemas, which are whoever's they are. */
function frozen<T extends { compatible: unknown; capabilities: unknown; secrets: unknown; retry: unknown }>(
  definition: T,
): Readonly<T> {
  const { compatible, capabilities, secrets, retry } = definition;
  for (const part of [compatible, capabilities, secrets, retry]) Object.freeze(part);
  return Object.freeze(definition);
}

function badDefinition(name: unknown, why: string): AgentError {
  return new AgentError({
    code: "agent.bad_definition",
    message: `the definition ${typeof name === "string" ? name : "without a name"}: ${why}`,
  });
}
