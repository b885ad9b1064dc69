import { decode } from "./codec.ts";
import { DbError } from "./errors.ts";
import { encodeRequest, openEnvelope, protocolError, type Request, type Wire } from "./wire.ts";

/**
 * A server spoken to over HTTP, one request a call. It has no sessions and no notifications; every request carries the
 * namespace, the database and the token itself.
 */
export class HttpWire implements Wire {
  readonly stateful = false;
  readonly lost: Promise<DbError>;
  readonly #url: string;
  readonly #headers: Record<string, string>;
  readonly #end = new AbortController();
  #settleLost!: (reason: DbError) => void;

  constructor(url: string, namespace: string, database: string) {
    this.#url = url;
    this.#headers = {
      Accept: "application/cbor",
      "Content-Type": "application/cbor",
      "Surreal-NS": namespace,
      "Surreal-DB": database,
    };
    this.lost = new Promise((resolve) => (this.#settleLost = resolve));
  }

  /** Sends this token with every request from now on. */
  authorize(token: string): void {
    this.#headers.Authorization = `Bearer ${token}`;
  }

  async call(request: Request): Promise<unknown> {
    const { bytes } = encodeRequest(request);
    const response = await this.#post(bytes);
    const body = await this.#read(response);
    if (response.status === 413) {
      throw new DbError({
        code: "db.too_large",
        message: `${this.#url} takes no request this large over HTTP; use ws:// or wss://`,
      });
    }
    if (response.status === 401 || response.status === 403) {
      throw new DbError({
        code: "db.auth_failed",
        message: `${this.#url} refused the credentials; check user, password or token`,
      });
    }
    if (!response.headers.get("content-type")?.includes("cbor"))
      throw protocolError(`HTTP status ${response.status}`);
    return openEnvelope(decode(body));
  }

  onLive(): () => void {
    throw new DbError({ code: "db.bad_statement", message: "live notifications need a ws:// or wss:// URL" });
  }

  destroy(reason?: DbError): void {
    this.#end.abort();
    this.#settleLost(
      reason ??
        new DbError({
          code: "db.connection_lost",
          message: "the connection was given up",
          outcome: "unknown",
        }),
    );
  }

  async #read(response: Response): Promise<Uint8Array> {
    try {
      return new Uint8Array(await response.arrayBuffer());
    } catch (cause) {
      throw this.#broken(cause);
    }
  }

  async #post(body: Uint8Array): Promise<Response> {
    try {
      return await fetch(this.#url, {
        method: "POST",
        headers: this.#headers,
        body,
        signal: this.#end.signal,
      });
    } catch (cause) {
      throw this.#broken(cause);
    }
  }

  #broken(cause: unknown): DbError {
    const root = (cause as { cause?: unknown }).cause ?? cause;
    if ((root as NodeJS.ErrnoException).code === "ECONNREFUSED") {
      return new DbError({
        code: "db.unreachable",
        message: `${this.#url} does not answer: connection refused`,
        retryable: true,
        cause,
      });
    }
    return new DbError({
      code: "db.connection_lost",
      message: `the request to ${this.#url} broke: ${(root as Error).message}; it may have taken effect`,
      outcome: "unknown",
      cause,
    });
  }
}
