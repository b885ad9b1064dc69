// Schedules. Owns: which runs of what is defined here the clock starts.

import type { Json, Schedule } from "@sentient/schema";
import type { ScheduleOptions, SchedulePage, Schedules, State } from "@sentient/state";
import type { Definition, InputOf } from "./define.ts";
import { startOptionsOf, startOptionsOfName } from "./starting.ts";

export type CronOptions = Omit<ScheduleOptions, "name" | "version" | "kind" | "input">;

export class SchedulesFace {
  readonly #state: State;
  readonly #schedules: Schedules;
  readonly #find: (name: string) => Definition | undefined;

  /** @internal */
  constructor(state: State, find: (name: string) => Definition | undefined) {
    this.#state = state;
    this.#schedules = state.schedules;
    this.#find = find;
  }

  /**
   * Makes a schedule, or changes it; told again it changes nothing. Of a name that this process does not know each run is of
   * the version that is registered by then.
   *
   * @throws `agent.invalid_input`, `state.bad_option`
   * @example await sentient.schedules.put("nightly", report, { day: "yesterday" }, { cron: "0 3 * * *", timeZone: "Europe/Berlin" });
   */
  put<D extends Definition>(id: string, what: D, input: InputOf<D>, options: CronOptions): Promise<Schedule>;
  put(id: string, what: string, input: Json, options: CronOptions): Promise<Schedule>;
  async put(id: string, what: Definition | string, input: unknown, options: CronOptions): Promise<Schedule> {
    const definition = typeof what === "string" ? (this.#find(what) ?? what) : what;
    if (typeof definition === "string") await startOptionsOfName(definition, input, this.#state); // whether it fits
    const { name, version, kind, queue, secrets, input: json } = startOptionsOf(definition, input);
    const timeout = typeof definition === "string" ? undefined : definition.timeout;
    return this.#schedules.put(id, {
      name,
      ...(version === undefined ? {} : { version }),
      ...(kind === undefined ? {} : { kind }),
      ...(queue === undefined ? {} : { queue }),
      ...(secrets === undefined ? {} : { secrets }),
      ...(timeout === undefined ? {} : { timeout }),
      input: json ?? null,
      ...options,
    });
  }

  /** @throws `state.not_found` @example const { nextAt } = await sentient.schedules.get("nightly"); */
  get(id: string): Promise<Schedule> {
    return this.#schedules.get(id);
  }

  /** @example const { schedules } = await sentient.schedules.list(); */
  list(options: { after?: string; limit?: number } = {}): Promise<SchedulePage> {
    return this.#schedules.list(options);
  }

  /** @throws `state.not_found` @example await sentient.schedules.pause("nightly"); */
  pause(id: string): Promise<Schedule> {
    return this.#schedules.pause(id);
  }

  /** @throws `state.not_found` @example await sentient.schedules.resume("nightly"); */
  resume(id: string): Promise<Schedule> {
    return this.#schedules.resume(id);
  }

  /** @returns whether there was one @example await sentient.schedules.remove("nightly"); */
  remove(id: string): Promise<boolean> {
    return this.#schedules.remove(id);
  }
}
