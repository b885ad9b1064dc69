// A served session. Owns: what one client may do in one session of the engine.
// G1. Until the client has shown who it is, nothing of it reaches the engine: there an anonymous session is an owner.
// G2. What is under way ends before the session becomes somebody else, or nobody: it was allowed as who it was then.
// G3. Nothing that makes the engine abort is passed on.

import { Uuid } from "surrealdb";
import { decode, encode, Encoded } from "./codec.ts";
import type { Engine } from "./engine.ts";
import { InFlight } from "./in-flight.ts";
import { splitStatements } from "./statement-text.ts";
import { ask, isObject } from "./wire.ts";

/** A request as it came: what is only passed on stays encoded. */
export interface RawRequest {
  method: string;
  params: Uint8Array | undefined;
  txn: Uint8Array | undefined;
}

/** An error in the protocol's own shape. */
export class Refusal extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

const METHOD_NOT_FOUND = -32601;
const INVALID_PARAMS = -32602;
const NOT_ALLOWED = -32002;

const READS = new Set(["select", "info", "version", "ping", "let", "unset"]);
/** The SDK gives a session back its variables before it signs in. They are the session's own. */
const BEFORE_SIGN_IN = new Set(["let", "unset"]);
const WRITES = new Set([
  "query",
  "create",
  "insert",
  "insert_relation",
  "update",
  "upsert",
  "merge",
  "patch",
  "delete",
  "relate",
  "run",
  "live",
  "kill",
]);
const NO_PARAMS = encode([]);

export class ServedSession {
  readonly id = Uuid.v4();
  readonly #engine: Engine;
  readonly #isToken: (text: string) => boolean;
  readonly #underWay = new InFlight();
  #becoming: Promise<unknown> = Promise.resolve();
  #allowed = false;
  /** Signed in as a user of the engine, who has that user's rights; else as the owner, with the token. */
  #isUser = false;
  /** A database chosen before signing in; to choose one is to make it, so that has to wait. */
  #chosen: unknown[] | undefined;

  constructor(engine: Engine, isToken: (text: string) => boolean) {
    this.#engine = engine;
    this.#isToken = isToken;
  }

  async begin(): Promise<void> {
    await this.#engine.call({ method: "attach", session: this.id });
  }

  async end(): Promise<void> {
    await this.#engine.call({ method: "detach", session: this.id }).catch(() => {});
  }

  get allowed(): boolean {
    return this.#allowed;
  }

  /** Does what only those may who have signed in, as who they are now (G1, G2). */
  async act<T>(work: () => Promise<T>, beforeSignIn = false): Promise<T> {
    await this.#becoming;
    if (!this.#allowed && !beforeSignIn) {
      throw new Refusal(
        NOT_ALLOWED,
        "IAM error: Not enough permissions to perform this action: sign in first",
      );
    }
    return this.#underWay.run(work);
  }

  /** @returns the engine's answer, still encoded */
  async handle(request: RawRequest, inTransaction: boolean): Promise<Uint8Array> {
    switch (request.method) {
      case "version":
      case "ping":
      case "health":
        return this.#pass(request.method === "health" ? { ...request, method: "ping" } : request);
      case "use":
        return this.#become(() => this.#use(listOf(request.params)));
      case "authenticate":
        return this.#become(() => this.#authenticate(request));
      case "signin":
      case "signup":
        return this.#become(() => this.#signIn(request));
      case "invalidate":
      case "reset":
        return this.#become(() => this.#signOut(request));
      default:
        return this.#do(request, inTransaction);
    }
  }

  /** Runs alone: after what is under way, and before what comes later (G2). */
  #become<T>(change: () => Promise<T>): Promise<T> {
    const changed = this.#becoming.then(async () => {
      await this.#underWay.idle();
      return change();
    });
    this.#becoming = changed.catch(() => {});
    return changed;
  }

  async #do(request: RawRequest, inTransaction: boolean): Promise<Uint8Array> {
    const { method } = request;
    const reads = READS.has(method) || (method === "query" && onlyReads(request.params));
    if (!reads && !WRITES.has(method)) throw new Refusal(METHOD_NOT_FOUND, `Method not found: ${method}`);
    const pass = () => this.#pass(request);
    return this.act(
      () => (reads || inTransaction ? pass() : this.#engine.write(pass)),
      BEFORE_SIGN_IN.has(method),
    );
  }

  #signOut(request: RawRequest): Promise<Uint8Array> {
    this.#allowed = false; // the engine's session is anonymous from here on, which is an owner
    this.#isUser = false;
    this.#chosen = undefined;
    return this.#pass(request);
  }

  /** G3: the engine aborts when a database is chosen without a namespace. */
  async #use([namespace, database]: unknown[]): Promise<Uint8Array> {
    if (
      ![namespace, database].every((name) => name === undefined || name === null || typeof name === "string")
    ) {
      throw new Refusal(INVALID_PARAMS, "use takes the names of a namespace and a database");
    }
    if (namespace === null || database === null)
      throw new Refusal(INVALID_PARAMS, "use cannot unset: choose another");
    const before = this.#chosen ?? [];
    const chosen = [namespace ?? before[0], database ?? before[1]];
    if (chosen[0] === undefined && chosen[1] !== undefined)
      throw new Refusal(INVALID_PARAMS, "use needs a namespace");
    this.#chosen = chosen;
    if (!this.#allowed) return encode(Object.fromEntries(entriesSaid(chosen)));
    return this.#choose();
  }

  async #choose(): Promise<Uint8Array> {
    if (this.#isUser && !(await this.#exists())) {
      throw new Refusal(
        NOT_ALLOWED,
        "IAM error: Not enough permissions: there is no such namespace or database",
      );
    }
    const params = encode(this.#chosen ?? []);
    return this.#engine.write(() => this.#pass({ method: "use", params, txn: undefined }));
  }

  async #authenticate(request: RawRequest): Promise<Uint8Array> {
    const [token] = listOf(request.params);
    if (typeof token !== "string") throw new Refusal(INVALID_PARAMS, "authenticate takes a token");
    if (!this.#isToken(token)) return this.#signIn(request); // perhaps one that the engine granted
    if (this.#isUser) await this.#pass({ method: "invalidate", params: undefined, txn: undefined });
    this.#isUser = false;
    await this.#allow();
    return encode(null);
  }

  /** Users and accesses that are defined in the database itself: the engine checks them, and from then on their rights. */
  async #signIn(request: RawRequest): Promise<Uint8Array> {
    const answer = await this.#pass(request);
    if (isErrorAnswer(answer)) return answer;
    this.#isUser = true;
    await this.#allow();
    return answer;
  }

  /** In 3.0 the engine makes whatever is chosen, for anybody. Only the owner may do that here. */
  async #exists(): Promise<boolean> {
    const [namespace, database] = this.#chosen ?? [];
    const session = Uuid.v4();
    await this.#engine.call({ method: "attach", session });
    try {
      if (!(await this.#listed(session, "INFO FOR ROOT", "namespaces")).includes(namespace)) return false;
      if (database === undefined) return true;
      await this.#engine.call({ method: "use", params: [namespace, undefined], session });
      return (await this.#listed(session, "INFO FOR NS", "databases")).includes(database);
    } finally {
      await this.#engine.call({ method: "detach", session });
    }
  }

  async #listed(session: Uuid, text: string, key: string): Promise<unknown[]> {
    const info = await ask(this.#engine, text, session);
    return isObject(info) && isObject(info[key]) ? Object.keys(info[key]) : [];
  }

  async #allow(): Promise<void> {
    if (this.#chosen?.[0] !== undefined) {
      const answer = await this.#choose();
      if (isErrorAnswer(answer))
        throw new Refusal(NOT_ALLOWED, "IAM error: Not enough permissions for this database");
    }
    this.#allowed = true;
  }

  #pass({ method, params, txn }: RawRequest): Promise<Uint8Array> {
    const request: Record<string, unknown> = {
      id: "0",
      method,
      params: new Encoded(params ?? NO_PARAMS),
      session: this.id,
    };
    if (txn) request.txn = new Encoded(txn);
    return this.#engine.execute(encode(request));
  }
}

/** Whether the engine answered `{ error: { message, … } }`. */
export function isErrorAnswer(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0xa1) return false; // a map of one entry
  const answer = decode(bytes);
  return isObject(answer) && isObject(answer.error) && typeof answer.error.message === "string";
}

export function listOf(params: Uint8Array | undefined): unknown[] {
  const list = params ? decode(params) : [];
  if (!Array.isArray(list)) throw new Refusal(INVALID_PARAMS, "params must be a list");
  return list;
}

function onlyReads(params: Uint8Array | undefined): boolean {
  const [text] = listOf(params);
  return typeof text === "string" && splitStatements(text).every((statement) => statement.readOnly);
}

function entriesSaid([namespace, database]: unknown[]): [string, unknown][] {
  const entries: [string, unknown][] = [
    ["namespace", namespace],
    ["database", database],
  ];
  return entries.filter(([, name]) => name !== undefined);
}
