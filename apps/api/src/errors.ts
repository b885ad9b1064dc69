import { SentientError } from "@sentient/db-pool";
import type { z } from "zod";

export type ApiErrorCode =
  // what is asked for cannot be
  | "api.bad_config"
  | "api.bad_request"
  | "api.not_found"
  | "api.method_not_allowed"
  | "api.too_large"
  | "api.not_json"
  | "api.wrong_key"
  // who asks
  | "api.wrong_host"
  | "api.wrong_origin"
  | "api.not_authenticated"
  | "api.not_allowed"
  // there is too much of it
  | "api.too_many_requests"
  | "api.too_many_streams"
  // it is over
  | "api.closing"
  | "api.not_ready"
  // a defect of ours
  | "api.internal";

interface ApiErrorInit {
  code: ApiErrorCode;
  message: string;
  retryable?: boolean;
  cause?: unknown;
  details?: Record<string, unknown>;
}

/** Whatever goes wrong between somebody on the network and the runtime. */
export class ApiError extends SentientError<ApiErrorCode> {
  declare readonly details?: Record<string, unknown>;

  constructor({ details, ...init }: ApiErrorInit) {
    super(init);
    if (details) this.details = details;
  }

  override get name(): string {
    return "ApiError";
  }

  override toJSON(): Record<string, unknown> {
    return { ...super.toJSON(), ...(this.details ? { details: this.details } : {}) };
  }
}

/** What of a request does not fit, and where. */
export function badRequest(what: string, { issues }: z.core.$ZodError): ApiError {
  const said = issues.map(({ path, message }) =>
    path.length > 0 ? `${path.map(String).join(".")}: ${message}` : message,
  );
  return new ApiError({
    code: "api.bad_request",
    message: `${what}: ${said.join("; ")}`,
    details: { issues: said },
  });
}
