// Agents. Owns: what anybody can ask of an agent: who it is, what it can do, what it does at the moment.

import type { EventBus } from "@sentient/event-bus";
import type { Json } from "@sentient/schema";
import type {
  Agent,
  AgentListOptions,
  AgentPage,
  AgentState,
  Agents,
  ControlOptions,
  StateUpdate,
  State,
} from "@sentient/state";

export class AgentsFace {
  readonly #agents: Agents;
  readonly #bus: EventBus;

  /** @internal */
  constructor({ agents }: State, bus: EventBus) {
    this.#agents = agents;
    this.#bus = bus;
  }

  /** Its versions. @throws `state.not_found` @example const [latest] = await sentient.agents.get("research"); */
  get(name: string): Promise<Agent[]> {
    return this.#agents.get(name);
  }

  /** A page of agents. @throws `state.bad_option` @example const { agents } = await sentient.agents.list({ capability: "search" }); */
  list(options: AgentListOptions = {}): Promise<AgentPage> {
    return this.#agents.list(options);
  }

  /** Nobody claims its runs until it is resumed; those that are held go on. @throws `state.not_found` @example await sentient.agents.pause("research", { by: "ada" }); */
  pause(name: string, options: ControlOptions = {}): Promise<Agent[]> {
    return this.#agents.pause(name, options);
  }

  /** @throws `state.not_found` @example await sentient.agents.resume("research"); */
  resume(name: string, options: ControlOptions = {}): Promise<Agent[]> {
    return this.#agents.resume(name, options);
  }

  /** What it remembers across its runs. @throws `state.not_found` @example const { state } = await sentient.agents.getState("research"); */
  getState(name: string): Promise<AgentState> {
    return this.#agents.getState(name);
  }

  /** @throws `state.revision_mismatch` if somebody was sooner @example await sentient.agents.updateState("research", (state) => ({ ...state, mood: "curious" })); */
  updateState(name: string, update: StateUpdate): Promise<AgentState> {
    return this.#agents.updateState(name, update);
  }

  /** @throws `state.run_conflict` @example await sentient.agents.createState("research", { mood: "calm" }); */
  createState(name: string, state: Json = {}): Promise<AgentState> {
    return this.#agents.createState(name, state);
  }

  /**
   * What it does at the moment, and each time that changes.
   *
   * @throws while iterating: `state.not_found`; what `bus.follow` throws
   * @example for await (const { status, running } of sentient.agents.watch("research", { signal })) show(status, running);
   */
  async *watch(
    name: string,
    { signal }: { signal?: AbortSignal } = {},
  ): AsyncGenerator<{ status: Agent["status"]; running: number }, void, undefined> {
    const types = ["run.*", "agent.*"];
    const stop = new AbortController();
    const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
    const { events } = await this.#bus.history({ order: "desc", limit: 1 });
    let last: string | undefined;
    const look = async () => {
      const versions = await this.#agents.get(name);
      const running = versions.reduce((sum, each) => sum + each.running, 0);
      const status: Agent["status"] = versions.some((each) => each.status === "paused")
        ? "paused"
        : running > 0
          ? "running"
          : "idle";
      return { status, running };
    };
    try {
      const told = this.#bus.follow({ types, target: name, after: events[0]?.position ?? 0, signal: either });
      for (;;) {
        const seen = await look();
        const said = `${seen.status} ${seen.running}`;
        if (said !== last) yield seen;
        last = said;
        if ((await told.next()).done) return;
      }
    } finally {
      stop.abort();
    }
  }
}
