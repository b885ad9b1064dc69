// Agents. Owns: what is known of them beside their code, whether their runs may be claimed, and what they remember across runs.
// A1. An agent is paused in all its versions, also in those that come later; no claim follows a pause that was answered.
// A2. Its status is derived from its runs, and stored nowhere.
// A3. What it remembers is changed from the revision that was read, or not at all.

import {
  Agent as AgentSchema,
  agentTable,
  Name,
  requireWithin,
  Version,
  type Agent as StoredAgent,
  type Json,
} from "@sentient/schema";
import { z } from "zod";
import * as queries from "./agents-queries.ts";
import { changeState, createState, getState, type AgentState, type StateUpdate } from "./agent-states.ts";
import type { Context } from "./changing.ts";
import { Control, type ControlOptions } from "./control.ts";
import { checked, notFoundError } from "./errors.ts";
import { JsonValue } from "./options.ts";
import { retried } from "./retried.ts";
import { defined } from "./telling.ts";
import { LIVE_MS } from "./workers.ts";

const { kind, secrets, timeout } = AgentSchema.shape;
const Described = z.strictObject({
  name: Name,
  version: Version.default("1" as Version),
  capabilities: z.array(Name).max(64).default([]),
  queue: Name.default("default" as Name),
  description: z.string().max(4096).optional(),
  kind,
  secrets,
  timeout,
  input: JsonValue.optional(),
  output: JsonValue.optional(),
});

export interface RegisterOptions {
  name: string;
  /** `1` if left out. */
  version?: string;
  capabilities?: readonly string[];
  /** `default` if left out. */
  queue?: string;
  /** At most 4,096 characters. */
  description?: string;
  /** What a run of it is. */
  kind?: "task" | "workflow";
  /** What an export of a run of it leaves out. */
  secrets?: readonly string[];
  /** How long a run of it may take, in milliseconds. */
  timeout?: number;
  /** JSON Schema of what it takes, and of what it gives. */
  input?: Json;
  output?: Json;
}

/** One version of an agent, as it is registered. */
export type Agent = Omit<StoredAgent, "id"> & {
  name: Name;
  version: Version;
  status: "paused" | "running" | "idle";
  /** How many runs of it are held by workers; also of one that is paused, until they end. */
  running: number;
  /** How many wait in its queue to be claimed; 1,000 stands for as many or more. */
  queued: number;
  /** How many workers that were heard of within 30 seconds serve it. */
  workers: number;
};

const ListOptions = z.strictObject({
  capability: Name.optional(),
  queue: Name.optional(),
  after: z
    .string()
    .regex(/^[^@]+@[^@]+$/, "name@version")
    .optional(),
  limit: z.int().min(1).default(100),
});

export interface AgentListOptions {
  /** Those that can do this. */
  capability?: string;
  queue?: string;
  /** The `next` of the page before. */
  after?: string;
  /** Agents in a page: 100 if left out, at most `limits.page`. */
  limit?: number;
}

export interface AgentPage {
  agents: Agent[];
  /** For the next page; missing when there is no more. */
  next?: string;
}

/** What is known of agents. Found at `state.agents`. */
export class Agents {
  readonly #context: Context;

  /** @internal */
  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * Tells of an agent, or of what has changed about it; told again it changes nothing.
   *
   * @returns it as it is then: paused, if another version of it is
   * @throws `state.bad_option`, `schema.limit`
   * @example await state.agents.register({ name: "research", version: "2", capabilities: ["web"] });
   */
  async register(options: RegisterOptions): Promise<Agent> {
    const { name, version, ...described } = checked(Described, options, "an agent");
    const { db, bus, time } = this.#context;
    await retried(`the agent ${name}`, async () => {
      const seen = await db.query(queries.readAgent(name, version));
      const row = (at: Date) =>
        agentTable.serialise({
          ...defined(described),
          id: [name, version],
          registeredAt: at,
          updatedAt: at,
        }) as { id: never; [field: string]: unknown };
      const before = seen ? queries.describedBy(seen) : null;
      if (JSON.stringify(before) === JSON.stringify(queries.describedBy(row(new Date(0))))) return;
      await bus.log.append({
        events: [{ type: "agent.registered", target: name, data: { name, version } }],
        statements: (_, placedAt) => {
          const at = time.of(placedAt);
          return [queries.saveAgent(row(at), before, at)];
        },
      });
    });
    return this.get(name, version);
  }

  /**
   * One version of an agent, or all of them.
   *
   * @throws `state.not_found`
   * @example const { status, running } = await state.agents.get("research", "2");
   */
  async get(name: string, version: string): Promise<Agent>;
  async get(name: string): Promise<Agent[]>;
  async get(name: string, version?: string): Promise<Agent | Agent[]> {
    const agents = agentsOf(
      await this.#context.db.query(queries.readAgents(name, LIVE_MS, this.#context.time.now)),
    );
    if (version === undefined) {
      if (agents.length === 0) throw notFoundError("agent", name);
      return agents;
    }
    const agent = agents.find((each) => each.version === version);
    if (!agent) throw notFoundError("agent", `${name}@${version}`, { agent: name, version });
    return agent;
  }

  /**
   * The version that was registered last: what is started by name alone is a run of it.
   *
   * @returns undefined if none ever was
   * @throws `state.bad_option`
   * @example const { version, queue } = (await state.agents.latest("research")) ?? {};
   */
  async latest(name: string): Promise<Agent | undefined> {
    const agents = agentsOf(
      await this.#context.db.query(
        queries.readAgents(checked(Name, name, "an agent"), LIVE_MS, this.#context.time.now),
      ),
    );
    return agents.toSorted(newestFirst)[0];
  }

  /**
   * One page of the agents, each version for itself, by name and version.
   *
   * @throws `state.bad_option`, `schema.limit`
   * @example const { agents, next } = await state.agents.list({ capability: "web" });
   */
  async list(options: AgentListOptions = {}): Promise<AgentPage> {
    const {
      after = "@",
      limit,
      capability = null,
      queue = null,
    } = checked(ListOptions, options, "a list of agents");
    requireWithin("page", limit, "a page");
    const place = after.split("@") as [string, string];
    const found = await this.#context.db.query(
      queries.readAgentsAfter(place, { capability, queue }, limit + 1, LIVE_MS, this.#context.time.now),
    );
    const agents = agentsOf(found).slice(0, limit);
    const { name, version } = agents.at(-1) ?? {};
    return { agents, ...(found.rows.length > limit ? { next: `${name}@${version}` } : {}) };
  }

  /**
   * Nobody claims its runs from now on, of whichever version; those that are held go on. Says nothing if it is paused.
   *
   * @throws `state.not_found`, `state.bad_option`
   * @example await state.agents.pause("research", { by: "ada", reason: "its model is down" });
   */
  pause(name: string, options: ControlOptions = {}): Promise<Agent[]> {
    return this.#set(name, "agent.paused", options);
  }

  /**
   * Its runs may be claimed again. Says nothing if it is not paused.
   *
   * @throws `state.not_found`, `state.bad_option`
   * @example await state.agents.resume("research");
   */
  resume(name: string, options: ControlOptions = {}): Promise<Agent[]> {
    return this.#set(name, "agent.resumed", options);
  }

  async #set(
    name: string,
    type: "agent.paused" | "agent.resumed",
    options: ControlOptions,
  ): Promise<Agent[]> {
    const said = defined(checked(Control, options, `a change of the agent ${name}`));
    const { bus, time } = this.#context;
    return retried(`the agent ${name}`, async () => {
      const agents = await this.get(name);
      const isPause = type === "agent.paused";
      if (agents.every(({ pausedAt }) => (pausedAt !== undefined) === isPause)) return agents;
      await bus.log.append({
        events: [{ type, target: name, data: { name, ...said } }],
        statements: (_, at) => [
          isPause ? queries.pauseAgent(name, said.by, time.of(at)) : queries.resumeAgent(name),
        ],
      });
      return this.get(name);
    });
  }

  /**
   * Gives an agent something to remember across its runs, which all its versions share.
   *
   * @throws `state.revision_mismatch` if it has a state already; `state.bad_option`, also for what is not JSON, `schema.limit`
   * @example const { revision } = await state.agents.createState("research", { seen: [] });
   */
  createState(name: string, state: Json): Promise<AgentState> {
    return createState(name, state, this.#context);
  }

  /** @throws `state.not_found` */
  getState(name: string): Promise<AgentState> {
    return getState(name, this.#context);
  }

  /**
   * Changes what an agent remembers: to a state that was made from the revision given; or by a function, which is called
   * again with the newest state if somebody else came between, unless a revision is given.
   *
   * @throws `state.revision_mismatch`, whose `details.revision` is the current one; `state.not_found`,
   * `state.bad_option`, `schema.limit`
   * @example await state.agents.updateState("research", (now) => ({ ...now, seen: [...now.seen, url] }));
   */
  updateState(
    name: string,
    state: Exclude<Json, undefined>,
    options: { revision: number },
  ): Promise<AgentState>;
  updateState(name: string, patch: StateUpdate, options?: { revision?: number }): Promise<AgentState>;
  updateState(
    name: string,
    change: Json | StateUpdate,
    options: { revision?: number } = {},
  ): Promise<AgentState> {
    return changeState(name, change, options, this.#context);
  }
}

function newestFirst(one: Agent, other: Agent): number {
  const later = other.registeredAt.getTime() - one.registeredAt.getTime();
  return later || other.version.localeCompare(one.version, "en", { numeric: true });
}

/** A2. */
function agentsOf({ rows, running, queued, workers }: queries.AgentRows): Agent[] {
  return rows.map((row, i) => {
    const { id, ...agent } = agentTable.parse(row);
    const [name, version] = id;
    const count = running.find((each) => each.name === name && each.version === version)?.running ?? 0;
    const status = agent.pausedAt ? "paused" : count > 0 ? "running" : "idle";
    const serving = workers.filter(
      ({ serves, queues }) => serves.includes(`${name}@${version}`) && queues.includes(agent.queue),
    );
    const now = { status, running: count, queued: queued[i]!, workers: serving.length } as const;
    return { name, version, ...agent, ...now };
  });
}
