// A served socket. Owns: one client, the sessions, transactions and LIVE queries it made, and their end with it.
// N1. A notification reaches the client whose LIVE query it is, and nobody else.
// N2. A client that is gone leaves nothing behind.

import { Uuid } from "surrealdb";
import type { WebSocket } from "ws";
import { decode, encode, Encoded, entriesOf } from "./codec.ts";
import type { Engine } from "./engine.ts";
import { DbError } from "./errors.ts";
import { isErrorAnswer, listOf, Refusal, ServedSession, type RawRequest } from "./served-session.ts";
import { isObject } from "./wire.ts";

const SIGN_IN_WITHIN_MS = 10_000;
/** A client that reads this slowly is cut off rather than kept in memory. */
const MAX_BUFFERED = 64 * 1024 * 1024;
const MAX_SESSIONS = 1_000;
const INTERNAL = -32000;

export class ServedSocket {
  readonly closed: Promise<void>;
  readonly #socket: WebSocket;
  readonly #engine: Engine;
  readonly #isToken: (text: string) => boolean;
  #gone = false;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #sessions = new Map<string, Promise<ServedSession>>();
  /** Transactions begun here, each with what gives the write lane back. */
  readonly #transactions = new Map<string, { session: ServedSession; release: () => void }>();
  readonly #lives = new Map<string, { session: ServedSession; stop: () => void }>();

  constructor(socket: WebSocket, engine: Engine, isToken: (text: string) => boolean) {
    this.#socket = socket;
    this.#engine = engine;
    this.#isToken = isToken;
    const late = setTimeout(() => void this.#disconnectStranger(), SIGN_IN_WITHIN_MS);
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        clearTimeout(late);
        void this.#cleanUp().finally(resolve);
      });
    });
    socket.on("error", () => socket.terminate());
    socket.on("message", (data: Buffer) => {
      const handling = this.#receive(data).finally(() => this.#inFlight.delete(handling));
      this.#inFlight.add(handling);
    });
  }

  disconnect(): void {
    this.#socket.close(1001);
    setTimeout(() => this.#socket.terminate(), 500).unref();
  }

  async #receive(data: Buffer): Promise<void> {
    let id: Uint8Array | undefined;
    try {
      const entries = entriesOf(data);
      id = entries?.get("id");
      const method = entries?.get("method");
      if (!entries || !id || !method) throw new Refusal(INTERNAL, "a request has an id and a method");
      const request = {
        method: String(decode(method)),
        params: entries.get("params"),
        txn: present(entries.get("txn")),
      };
      const answer = await this.#handle(request, sessionKey(entries.get("session")));
      this.#send(
        isErrorAnswer(answer)
          ? { id: new Encoded(id), ...asEntries(answer) }
          : { id: new Encoded(id), result: new Encoded(answer) },
      );
    } catch (error) {
      if (!id) return this.#socket.terminate();
      this.#send({ id: new Encoded(id), error: asProtocolError(error) });
    }
  }

  async #handle(request: RawRequest, key: string): Promise<Uint8Array> {
    switch (request.method) {
      case "attach":
        await this.#session(key);
        return encode(null);
      case "detach":
        await this.#detach(key);
        return encode(null);
      case "begin":
        return this.#begin(await this.#session(key));
      case "commit":
      case "cancel":
        return this.#finish(await this.#session(key), request);
      default: {
        if (request.txn) this.#requireOwn(request.txn);
        const session = await this.#session(key);
        const answer = await session.handle(request, request.txn !== undefined);
        this.#noteLives(session, request, answer);
        return answer;
      }
    }
  }

  #session(key: string): Promise<ServedSession> {
    let session = this.#sessions.get(key);
    if (!session) {
      if (this.#sessions.size >= MAX_SESSIONS)
        throw new Refusal(INTERNAL, `a client has at most ${MAX_SESSIONS} sessions`);
      const made = new ServedSession(this.#engine, this.#isToken);
      session = made.begin().then(() => made);
      this.#sessions.set(key, session);
    }
    return session;
  }

  async #detach(key: string): Promise<void> {
    const session = await this.#sessions.get(key);
    this.#sessions.delete(key);
    if (!session) return;
    await this.#endWhatItBegan(session);
    await session.end();
  }

  #begin(session: ServedSession): Promise<Uint8Array> {
    return session.act(async () => {
      const release = (await this.#engine.lane?.hold()) ?? (() => {});
      try {
        if (this.#gone) throw new Refusal(INTERNAL, "the connection is closed");
        const txn = await this.#engine.call({ method: "begin", session: session.id });
        this.#transactions.set(String(txn), { session, release });
        return encode(txn);
      } catch (error) {
        release();
        throw error;
      }
    });
  }

  async #finish(session: ServedSession, { method, params }: RawRequest): Promise<Uint8Array> {
    const [txn] = listOf(params);
    const own = this.#transactions.get(String(txn));
    if (!own || own.session !== session) throw new Refusal(INTERNAL, "Transaction not found");
    this.#transactions.delete(String(txn));
    try {
      return encode((await this.#engine.call({ method, params: [txn], session: session.id })) ?? null);
    } finally {
      own.release();
    }
  }

  #requireOwn(txn: Uint8Array): void {
    if (!this.#transactions.has(String(decode(txn)))) throw new Refusal(INTERNAL, "Transaction not found");
  }

  /** Finds the LIVE queries an answer tells of, and routes their notifications here (N1). */
  #noteLives(session: ServedSession, { method, params }: RawRequest, answer: Uint8Array): void {
    if (method === "live") this.#follow(session, decode(answer));
    if (method !== "query" || !/\blive\b/i.test(String(listOf(params)[0]))) return;
    const answers = decode(answer);
    if (!Array.isArray(answers)) return;
    for (const each of answers)
      if (isObject(each) && each.type === "live") this.#follow(session, each.result);
  }

  #follow(session: ServedSession, id: unknown): void {
    if (!(id instanceof Uuid)) return;
    const key = id.toString();
    const stop = this.#engine.onLive(id, (notification, raw) => {
      const entries = entriesOf(raw) ?? new Map<string, Uint8Array>();
      entries.delete("session"); // the engine's own name for it
      this.#send({
        result: Object.fromEntries([...entries].map(([name, bytes]) => [name, new Encoded(bytes)])),
      });
      if (notification.action === "KILLED") this.#lives.delete(key);
    });
    this.#lives.set(key, { session, stop });
  }

  #send(message: Record<string, unknown>): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    if (this.#socket.bufferedAmount > MAX_BUFFERED) return this.#socket.terminate();
    this.#socket.send(encode(message));
  }

  async #disconnectStranger(): Promise<void> {
    const sessions = await Promise.allSettled(this.#sessions.values());
    const known = sessions.some((session) => session.status === "fulfilled" && session.value.allowed);
    if (!known) this.#socket.close(1008, "sign in first");
  }

  /** N2. What is known at once, which gives the write lane back; then whatever a request still under way began. */
  async #cleanUp(): Promise<void> {
    this.#gone = true;
    await this.#endWhatItBegan();
    while (this.#inFlight.size > 0) {
      await Promise.race(this.#inFlight);
      await this.#endWhatItBegan();
    }
    await this.#endWhatItBegan(); // begun while that went on
    for (const session of await Promise.allSettled(this.#sessions.values())) {
      if (session.status === "fulfilled") await session.value.end();
    }
  }

  /** Cancels the transactions and kills the LIVE queries of one session, or of all. */
  async #endWhatItBegan(only?: ServedSession): Promise<void> {
    const cancelled = [...this.#transactions].map(async ([txn, { session, release }]) => {
      if (only && session !== only) return;
      this.#transactions.delete(txn);
      await this.#engine
        .call({ method: "cancel", params: [new Uuid(txn)], session: session.id })
        .catch(() => {});
      release();
    });
    const killed = [...this.#lives].map(async ([id, { session, stop }]) => {
      if (only && session !== only) return;
      this.#lives.delete(id);
      stop();
      await this.#engine
        .call({ method: "kill", params: [new Uuid(id)], session: session.id })
        .catch(() => {});
    });
    await Promise.all([...cancelled, ...killed]);
  }
}

/** The SDK sends NONE for what it leaves out. */
function present(encoded: Uint8Array | undefined): Uint8Array | undefined {
  return encoded && (decode(encoded) ?? undefined) === undefined ? undefined : encoded;
}

function sessionKey(encoded: Uint8Array | undefined): string {
  return present(encoded) ? String(decode(encoded!)) : "";
}

function asEntries(answer: Uint8Array): Record<string, Encoded> {
  return Object.fromEntries(
    [...(entriesOf(answer) ?? [])].map(([name, bytes]) => [name, new Encoded(bytes)]),
  );
}

function asProtocolError(error: unknown): { code: number; message: string } {
  if (error instanceof Refusal) return { code: error.code, message: error.message };
  if (error instanceof DbError) return { code: INTERNAL, message: error.message };
  return { code: INTERNAL, message: "the request could not be understood" };
}
