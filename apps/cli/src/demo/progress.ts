// Progress. Owns: what the events of a research say about how far it is. No clock and no terminal: the same events, the same picture.

import { readEvent, type Event } from "@sentient/schema";

export const PHASES = ["index", "plan", "read", "write", "review", "ask", "publish"] as const;
export type PhaseName = (typeof PHASES)[number];

export interface Phase {
  name: PhaseName;
  status: "ahead" | "under way" | "done";
  done: number;
  /** 0 where it is not known. */
  total: number;
  beganAt?: Date;
  endedAt?: Date;
}

/** Whose work each agent's runs are. */
const PHASE_OF_AGENT: Record<string, PhaseName> = {
  indexer: "index",
  planner: "plan",
  reader: "read",
  writer: "write",
  reviewer: "review",
};

export interface Told {
  /** What is worth a line of its own. */
  line: string;
  event: Event;
}

export class Progress {
  readonly phases: Record<PhaseName, Phase>;
  /** The agent of each run. */
  readonly #agents = new Map<string, string>();
  events = 0;
  steps = 0;
  /** When the first event was heard. */
  firstAt: number | undefined;
  /** How often a run was taken up by a worker that had not held it before. */
  readonly #holders = new Map<string, string>();

  constructor() {
    this.phases = Object.fromEntries(
      PHASES.map((name) => [name, { name, status: "ahead", done: 0, total: 0 } satisfies Phase]),
    ) as Record<PhaseName, Phase>;
  }

  /** @returns what is to be told of it, if it is worth that */
  hear(event: Event): Told | undefined {
    this.events++;
    this.firstAt ??= Date.now();
    const known = readEvent(event);
    if (known.opaque) return undefined;
    const agent = this.#agents.get(event.run ?? "") ?? "";
    const phase = PHASE_OF_AGENT[agent];
    const told = (line: string): Told => ({ line, event });
    switch (known.type) {
      case "run.queued": {
        const { name } = known.data;
        this.#agents.set(event.run!, name);
        const begun = PHASE_OF_AGENT[name];
        if (!begun) return told(`the run ${event.run} of the workflow ${name} was started`);
        this.#begin(begun, event);
        if (begun === "write") this.#end("read", event); // the last of its progress may be told later
        return told(`${name} was called`);
      }
      case "run.started":
        return this.#startedBy(event, known.data.worker, agent);
      case "step.completed":
        if (known.data.name === "told") return undefined; // what a run tells of itself, remembered like a step
        this.steps++;
        return this.#stepDone(event, known.data.name, phase, agent);
      case "progress.reported":
        this.#reported(this.phases[phase ?? "read"], known.data, event); // the workflow itself counts its readers
        return undefined;
      case "run.completed":
        if (phase && phase !== "read") this.#end(phase, event);
        return told(`${agent} is done`);
      case "question.asked":
        this.#begin("ask", event);
        return told(`a question: ${known.data.text}`);
      case "question.answered":
        this.#end("ask", event);
        return told(`answered by ${known.data.by}`);
      case "run.released":
        return told(`${agent} was let go of: ${known.data.reason.replace("_", " ")}`);
      case "step.failed":
        return told(`${agent}: the step ${known.data.name} failed: ${known.data.error.message}`);
      case "run.failed":
        return told(`${agent} failed: ${known.data.error.message}`);
      case "run.parked":
        return told(`${agent} is parked: ${known.data.problem.message}`);
      default:
        return undefined;
    }
  }

  /** How long each phase has taken, by the times of its events. */
  took(): { name: PhaseName; ms: number }[] {
    return PHASES.flatMap((name) => {
      const { beganAt, endedAt } = this.phases[name];
      return beganAt && endedAt ? [{ name, ms: endedAt.getTime() - beganAt.getTime() }] : [];
    });
  }

  #startedBy(event: Event, worker: string, agent: string): Told | undefined {
    const before = this.#holders.get(event.run!);
    this.#holders.set(event.run!, worker);
    if (before === undefined || before === worker) return undefined;
    return { event, line: `${agent} was taken over by another worker` };
  }

  #stepDone(event: Event, name: string, phase: PhaseName | undefined, agent: string): Told | undefined {
    if (!phase && name === "ask") this.#begin("publish", event);
    if (!phase && name === "write") this.#end("publish", event);
    if (phase === "review" && name === "check") this.phases.review.done++;
    if (phase === undefined && name === "call") return undefined;
    return { event, line: `${agent}: ${name}` };
  }

  #reported(
    phase: Phase,
    { done, total = 0 }: { done: number; total?: number | undefined },
    event: Event,
  ): void {
    phase.done = Math.max(phase.done, done);
    phase.total = total;
    if (phase.name === "read" && done === total && phase.status === "under way") this.#end("read", event);
  }

  #begin(name: PhaseName, event: Event): void {
    const phase = this.phases[name];
    phase.status = "under way";
    phase.beganAt ??= event.at;
  }

  #end(name: PhaseName, event: Event): void {
    const phase = this.phases[name];
    phase.endedAt = event.at;
    phase.status = "done";
  }
}
