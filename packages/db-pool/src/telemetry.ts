import { EventEmitter } from "node:events";
import { SpanKind, SpanStatusCode, trace, type Span } from "@opentelemetry/api";
import type { DbErrorCode } from "./errors.ts";

/** What a database tells about itself. Times are milliseconds; texts hold placeholders, never values. */
export interface DatabaseEvents {
  /** A call ended, well or not. */
  query: { text: string; took: number; attempts: number; error?: DbErrorCode };
  /** A call waited for a connection. */
  acquire: { waited: number; error?: DbErrorCode };
  /** A conflict or a lost read is about to be tried again. */
  retry: { attempt: number; delay: number; error: DbErrorCode };
  /** A connection was made, was lost, or could not be made. */
  connection: { state: "open" | "lost" | "failed"; reason?: string };
}

type Listener<Name extends keyof DatabaseEvents> = (event: DatabaseEvents[Name]) => void;

const MAX_TEXT = 4_096;
const tracer = trace.getTracer("@sentient/db-pool");

/** Events for who listens, spans for who traces; next to nothing for who does neither. */
export class Telemetry {
  readonly #emitter = new EventEmitter();
  readonly #attributes: Record<string, string>;

  constructor(namespace: string, database: string) {
    this.#attributes = { "db.system.name": "surrealdb", "db.namespace": `${namespace}/${database}` };
  }

  on<Name extends keyof DatabaseEvents>(name: Name, listener: Listener<Name>): () => void {
    this.#emitter.on(name, listener);
    return () => void this.#emitter.off(name, listener);
  }

  emit<Name extends keyof DatabaseEvents>(name: Name, event: DatabaseEvents[Name]): void {
    this.#emitter.emit(name, event);
  }

  span(text: string): Span {
    return tracer.startSpan(`surrealdb ${firstWord(text)}`, {
      kind: SpanKind.CLIENT,
      attributes: { ...this.#attributes, "db.query.text": text.slice(0, MAX_TEXT) },
    });
  }

  end(span: Span, attempts: number, error?: DbErrorCode): void {
    if (span.isRecording()) {
      if (attempts > 1) span.setAttribute("db.client.attempts", attempts);
      if (error) span.setStatus({ code: SpanStatusCode.ERROR, message: error });
    }
    span.end();
  }
}

function firstWord(text: string): string {
  return /^\w+/.exec(text)?.[0] ?? "BLOCK";
}
