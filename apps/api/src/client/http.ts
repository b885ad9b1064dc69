// Requests. Owns: how one is made, and what becomes of an answer.

import type { Problem } from "../problems.ts";

export interface ClientOptions {
  /** Of the server, as in `http://127.0.0.1:4840`. */
  url: string;
  /** Left out if the server asks for none. */
  token?: string;
  /** Instead of the platform's own. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

/** What the server has refused, or could not do. Match `code`, never the message. */
export class ApiProblem extends Error {
  readonly code: string;
  readonly status: number;
  /** Whether the very same request may succeed later. */
  readonly retryable: boolean;
  readonly outcome: "not_applied" | "unknown";
  readonly details: Record<string, unknown>;
  /** What it is called in the server's log. */
  readonly request: string | undefined;

  constructor({ code, status, detail, retryable, outcome, details = {}, request }: Problem) {
    super(detail);
    this.code = code;
    this.status = status;
    this.retryable = retryable;
    this.outcome = outcome;
    this.details = details;
    this.request = request;
  }

  override get name(): string {
    return "ApiProblem";
  }
}

type Query = Readonly<Record<string, unknown>>;

export interface RequestOptions {
  query?: Query;
  body?: unknown;
  /** Sent as it is, as it comes. */
  lines?: string | ReadableStream<Uint8Array>;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

export class Http {
  readonly #base: string;
  readonly #token: string | undefined;
  readonly #fetch: (url: string, init: RequestInit) => Promise<Response>;

  constructor({ url, token, fetch = globalThis.fetch }: ClientOptions) {
    this.#base = url.replace(/\/+$/, "");
    this.#token = token;
    this.#fetch = fetch;
  }

  /** @throws `ApiProblem`; what `fetch` throws where nobody answers */
  async response(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
    const { query, body, lines, headers = {}, signal } = options;
    const response = await this.#fetch(`${this.#base}${path}${queryOf(query)}`, {
      method,
      headers: {
        ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(lines === undefined ? {} : { "content-type": "application/x-ndjson" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(lines === undefined ? {} : { body: lines, duplex: "half" }),
      ...(signal ? { signal } : {}),
    });
    if (response.ok) return response;
    throw new ApiProblem(await problemIn(response));
  }

  async json<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const response = await this.response(method, path, options);
    return (await response.json()) as T;
  }
}

/** A path with values in it. @example path`/v1/runs/${id}` */
export function path(parts: TemplateStringsArray, ...values: string[]): string {
  return parts.reduce((all, part, i) => `${all}${encodeURIComponent(values[i - 1]!)}${part}`);
}

function queryOf(query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    for (const one of Array.isArray(value) ? value : [value])
      if (one !== undefined) search.append(name, String(one));
  const text = search.toString();
  return text === "" ? "" : `?${text}`;
}

/** Also where something in between has answered. */
async function problemIn(response: Response): Promise<Problem> {
  const text = await response.text();
  try {
    const problem = JSON.parse(text) as Problem;
    if (typeof problem.code === "string") return problem;
  } catch {
    // said below
  }
  const { status } = response;
  return {
    type: "about:blank",
    title: response.statusText,
    status,
    code: "http.unexpected",
    detail: `${status} ${response.statusText}: ${text.slice(0, 200)}`,
    retryable: status >= 500,
    outcome: "unknown",
    request: response.headers.get("x-request-id") ?? "",
  };
}
