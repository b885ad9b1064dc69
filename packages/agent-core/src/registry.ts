// Registry. Owns: what this process can run, by name and version.

import { z } from "zod";
import type { Json } from "@sentient/schema";
import type { State } from "@sentient/state";
import type { Definition } from "./define.ts";
import { AgentError } from "./errors.ts";

export class Registry {
  readonly #byName = new Map<string, Definition[]>();
  #registered: Promise<void> | undefined;

  /** @throws `agent.bad_option` for two of one name and version */
  constructor(definitions: readonly Definition[]) {
    for (const definition of definitions) {
      if (!isDefinition(definition)) throw notDefinedError(definition);
      const { name, version, compatible } = definition;
      const others = this.#byName.get(name) ?? [];
      const taken = others.flatMap((other) => [other.version, ...other.compatible]);
      const twice = [version, ...compatible].find((each) => taken.includes(each));
      if (twice !== undefined) throw twiceError(name, twice);
      this.#byName.set(name, [...others, definition]);
    }
  }

  get all(): Definition[] {
    return [...this.#byName.values()].flat();
  }

  get serves(): { name: string; versions: string[] }[] {
    return [...this.#byName].map(([name, definitions]) => ({
      name,
      versions: definitions.flatMap(({ version, compatible }) => [version, ...compatible]),
    }));
  }

  /** `name@version` of all. */
  get labels(): string[] {
    return this.serves.flatMap(({ name, versions }) => versions.map((version) => `${name}@${version}`));
  }

  get queues(): string[] {
    return [...new Set(this.all.map(({ queue }) => queue))];
  }

  /** The latest that was handed in under a name. */
  find(name: string): Definition | undefined {
    return this.#byName.get(name)?.at(-1);
  }

  /** Who goes on with the runs of a version. */
  serving(name: string, version: string): Definition | undefined {
    return this.#byName
      .get(name)
      ?.find((each) => each.version === version || each.compatible.includes(version));
  }

  /** @throws `agent.unknown` */
  require(name: string, version: string): Definition {
    const found = this.serving(name, version);
    if (found) return found;
    throw new AgentError({
      code: "agent.unknown",
      message: `there is no ${name}@${version} in this process; hand it to createSentient`,
      details: { name, version },
    });
  }

  /** Tells of them in the database, and what they may do at most; once. */
  register(state: State): Promise<void> {
    return (this.#registered ??= this.#register(state).catch((error: unknown) => {
      this.#registered = undefined; // the next who asks tries again
      throw error;
    }));
  }

  async #register(state: State): Promise<void> {
    for (const { description, schemas, ...definition } of this.all) {
      const { name, version, capabilities, queue, kind, secrets, timeout } = definition;
      await state.agents.register({
        name,
        version,
        capabilities,
        queue,
        kind,
        ...(secrets.length > 0 ? { secrets } : {}),
        ...(timeout === undefined ? {} : { timeout }),
        ...(description === undefined ? {} : { description }),
        ...(schemas.input ? { input: schemaOf(schemas.input) } : {}),
        ...(schemas.output ? { output: schemaOf(schemas.output) } : {}),
      });
    }
    for (const [name, definitions] of this.#byName) {
      const { concurrency } = definitions.findLast((each) => each.concurrency !== undefined) ?? {};
      await state.limits.declare(name, concurrency);
    }
  }
}

function isDefinition({ kind, run }: Partial<Definition>): boolean {
  return (kind === "task" || kind === "workflow") && typeof run === "function";
}

function notDefinedError({ name }: Partial<Definition>): AgentError {
  return new AgentError({
    code: "agent.bad_option",
    message: `${JSON.stringify(name ?? "what has no name")} is no agent and no workflow; make it with defineAgent or defineWorkflow`,
  });
}

/** For people and models; what has no JSON Schema is anything. */
function schemaOf(schema: z.ZodType): Json {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Json;
}

function twiceError(name: string, version: string): AgentError {
  return new AgentError({
    code: "agent.bad_option",
    message: `${name}@${version} is handed in twice; give one of them another name or version`,
    details: { name, version },
  });
}
