import { Uuid } from "surrealdb";
import type { Deadline } from "./deadline.ts";
import type { Settings } from "./options.ts";
import { Queryable } from "./queryable.ts";
import type { HeldWire } from "./source.ts";
import type { Telemetry } from "./telemetry.ts";

/** A session of one's own. Made by `Database.acquire` and `Database.session`. */
export class Session extends Queryable implements AsyncDisposable {
  readonly #held: HeldWire;
  readonly #id: Uuid;

  private constructor(held: HeldWire, id: Uuid, settings: Settings, telemetry: Telemetry) {
    super(held.source(id), settings, telemetry);
    this.#held = held;
    this.#id = id;
  }

  /** @internal */
  static async open(
    held: HeldWire,
    settings: Settings,
    telemetry: Telemetry,
    deadline: Deadline,
  ): Promise<Session> {
    const id = Uuid.v4();
    await deadline.guard(held.begin(id), "beginning a session", () => "not_applied");
    return new Session(held, id, settings, telemetry);
  }

  /** Defines `$name` for the statements of this session. */
  async set(name: string, value: unknown): Promise<void> {
    await this.#held.call({ method: "let", params: [name, value], session: this.#id });
  }

  /** Moves this session to another namespace and database. */
  async use(namespace: string, database: string): Promise<void> {
    await this.#held.call({ method: "use", params: [namespace, database], session: this.#id });
  }

  /** Ends the session and gives its connection back. @throws `db.double_release` the second time */
  async release(): Promise<void> {
    await this.#held.end(this.#id);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
