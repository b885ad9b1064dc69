// The socket. Owns: one WebSocket to a server, its calls in flight, and what becomes of them when it dies.
// S1. A request is sent once. When the socket dies, what was in flight is rejected as `unknown`, never sent again.
//     (The SDK's socket sends it again after a reconnect: a lost reply becomes a second execution.)

import type { Uuid } from "surrealdb";
import { WebSocket } from "ws";
import { decode } from "./codec.ts";
import { DbError } from "./errors.ts";
import { LiveRouter } from "./live-router.ts";
import {
  encodeRequest,
  isNotification,
  isObject,
  openEnvelope,
  protocolError,
  type Notification,
  type Request,
  type Wire,
} from "./wire.ts";

interface Pending {
  resolve: (result: unknown) => void;
  reject: (error: unknown) => void;
}

const MAX_MESSAGE = 128 * 1024 * 1024; // as the server

export class Socket implements Wire {
  readonly stateful = true;
  readonly lost: Promise<DbError>;
  readonly #socket: WebSocket;
  readonly #pending = new Map<string, Pending>();
  readonly #live = new LiveRouter();
  #reason: DbError | undefined;
  #settleLost!: (reason: DbError) => void;

  private constructor(socket: WebSocket, url: string) {
    this.#socket = socket;
    this.lost = new Promise((resolve) => (this.#settleLost = resolve));
    socket.on("message", (data: Buffer) => this.#receive(data));
    socket.on("error", (cause) =>
      this.#die(lostConnection(`the connection to ${url} broke: ${cause.message}`, cause)),
    );
    socket.on("close", () => this.#die(lostConnection(`the connection to ${url} was closed`)));
  }

  /** @throws `db.unreachable`, within the time that `signal` leaves */
  static connect(url: string, signal: AbortSignal): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, "cbor", { maxPayload: MAX_MESSAGE, perMessageDeflate: false });
      const fail = (why: string, cause?: unknown) => {
        signal.removeEventListener("abort", onAbort);
        reject(
          new DbError({
            code: "db.unreachable",
            message: `${url} does not answer: ${why}`,
            retryable: true,
            cause,
          }),
        );
        socket.on("error", () => {}); // terminating a socket that is not open yet emits one
        socket.terminate();
      };
      const onAbort = () => fail("no connection in time");
      if (signal.aborted) return onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
      socket.once("error", (cause) =>
        fail(cause.message || (cause as NodeJS.ErrnoException).code || "refused", cause),
      );
      socket.once("open", () => {
        signal.removeEventListener("abort", onAbort);
        socket.removeAllListeners("error");
        resolve(new Socket(socket, url));
      });
    });
  }

  call(request: Request): Promise<unknown> {
    const { id, bytes } = encodeRequest(request);
    if (this.#reason) {
      return Promise.reject(this.#reason.with({ outcome: "not_applied", retryable: true }));
    }
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#socket.send(bytes);
    });
  }

  onLive(id: Uuid, listener: (notification: Notification) => void): () => void {
    return this.#live.listen(id, listener);
  }

  destroy(reason: DbError = lostConnection("the connection was given up")): void {
    this.#die(reason);
  }

  #receive(data: Buffer): void {
    try {
      const answer = decode(data);
      const id = isObject(answer) ? answer.id : undefined;
      if (typeof id === "string") this.#settle(id, answer);
      else {
        const notification = openEnvelope(answer);
        if (isNotification(notification)) this.#live.deliver(notification, undefined);
      }
    } catch (error) {
      this.#die(
        error instanceof DbError
          ? error
          : protocolError("an answer that cannot be read").with({ cause: error }),
      );
    }
  }

  #settle(id: string, answer: unknown): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    try {
      pending?.resolve(openEnvelope(answer));
    } catch (error) {
      pending?.reject(error);
    }
  }

  #die(reason: DbError): void {
    if (this.#reason) return;
    this.#reason = reason;
    this.#socket.terminate();
    for (const { reject } of this.#pending.values())
      reject(reason.with({ outcome: "unknown", retryable: false }));
    this.#pending.clear();
    this.#live.clear();
    this.#settleLost(reason);
  }
}

export function lostConnection(message: string, cause?: unknown): DbError {
  return new DbError({
    code: "db.connection_lost",
    message: `${message}; what was in flight may have taken effect`,
    outcome: "unknown",
    cause,
  });
}
