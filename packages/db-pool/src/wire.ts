import type { Uuid } from "surrealdb";
import { classify, type EngineFailure } from "./classify.ts";
import { decode, encode } from "./codec.ts";
import { DbError } from "./errors.ts";

export interface Request {
  method: string;
  params?: unknown[];
  /** The session on the engine's side; its first one if left out. */
  session?: Uuid | undefined;
  /** A transaction that was begun in that session. */
  txn?: Uuid | undefined;
}

/** A way to the engine: in this process, over a socket, or over HTTP. */
export interface Wire {
  /**
   * One request, one answer, sent once and never again. Rejects with a `DbError`; only its `outcome` says whether the
   * request may have taken effect.
   */
  call(request: Request): Promise<unknown>;
  /** False where the way has no sessions of its own and hears no notifications: HTTP. */
  readonly stateful: boolean;
  /** Hears the notifications of a LIVE query until the returned function is called. */
  onLive(id: Uuid, listener: (notification: Notification) => void): () => void;
  /** Settles when the way is gone, and says why. */
  readonly lost: Promise<DbError>;
  /** Ends it at once, and rejects what is in flight. */
  destroy(reason?: DbError): void;
}

export interface Notification {
  id: Uuid;
  action: "CREATE" | "UPDATE" | "DELETE" | "KILLED";
  record?: unknown;
}

/** What the engine answers to one statement. */
export interface RawAnswer {
  status: string;
  result: unknown;
  kind?: string;
  details?: unknown;
}

/** Why a statement failed, if it did. */
export function failureOf(answer: RawAnswer): EngineFailure | undefined {
  return answer.status === "OK" ? undefined : { ...answer, message: String(answer.result) };
}

/** Runs one statement of our own and answers with its result. @throws `DbError`, of the request or of the statement */
export async function ask(wire: Pick<Wire, "call">, text: string, session?: Uuid): Promise<unknown> {
  const answers = await wire.call({ method: "query", params: [text, {}], session });
  const [answer] = Array.isArray(answers) ? (answers as RawAnswer[]) : [];
  if (!answer) throw protocolError("something that is no list of answers");
  const failure = failureOf(answer);
  if (failure) throw classify(failure);
  return answer.result;
}

let lastId = 0;

export function encodeRequest({ method, params, session, txn }: Request): { id: string; bytes: Uint8Array } {
  const id = String((lastId = (lastId + 1) % Number.MAX_SAFE_INTEGER));
  const request: Record<string, unknown> = { id, method };
  if (params) request.params = params;
  if (session) request.session = session;
  if (txn) request.txn = txn;
  return { id, bytes: encode(request, "request") };
}

/** What an embedded engine answers: the bare result, or `{ error }`. */
export function decodeBare(bytes: Uint8Array): unknown {
  const answer = decode(bytes);
  if (isObject(answer) && isFailure(answer.error)) throw classify(answer.error);
  return answer;
}

/** What a server answers: `{ id, result }` or `{ id, error }`; without an id it is a notification. */
export function openEnvelope(answer: unknown): unknown {
  if (!isObject(answer)) throw protocolError("an answer that is no object");
  if (isFailure(answer.error)) throw classify(answer.error);
  return answer.result;
}

export function isNotification(value: unknown): value is Notification {
  return isObject(value) && "id" in value && typeof value.action === "string";
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

export function protocolError(what: string): DbError {
  return new DbError({
    code: "db.undecodable",
    message: `the server sent ${what}; is there a SurrealDB 3 at this address?`,
    outcome: "unknown",
  });
}

function isFailure(value: unknown): value is EngineFailure {
  return isObject(value) && typeof value.message === "string";
}
