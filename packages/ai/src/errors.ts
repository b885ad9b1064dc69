import { SentientError } from "@sentient/db-pool";

export type AiErrorCode =
  // what is asked for cannot be
  | "ai.bad_option"
  // tools
  | "ai.refused"
  | "ai.denied"
  | "ai.outcome_unknown"
  | "ai.output_too_large"
  | "ai.budget_exceeded"
  | "ai.tool_failed"
  | "ai.tool_timeout"
  | "ai.tool_crashed"
  | "ai.tool_name_clash"
  | "ai.not_isolated"
  | "ai.mcp_unreachable"
  // models
  | "ai.model_failed"
  | "ai.model_refused"
  | "ai.incomplete_answer"
  | "ai.bad_embedding"
  // memory
  | "ai.memory_too_large"
  // models of tests
  | "ai.script_over"
  | "ai.not_recorded"
  | "ai.bad_recording";

interface AiErrorInit {
  code: AiErrorCode;
  message: string;
  retryable?: boolean;
  cause?: unknown;
  /** What a program may want to know. */
  details?: Record<string, unknown>;
}

/** Whatever goes wrong between an agent and what it thinks, does and remembers with. */
export class AiError extends SentientError<AiErrorCode> {
  declare readonly details?: Record<string, unknown>;

  constructor({ details, ...init }: AiErrorInit) {
    super(init);
    if (details) this.details = details;
  }

  override get name(): string {
    return "AiError";
  }

  override toJSON(): Record<string, unknown> {
    return { ...super.toJSON(), ...(this.details ? { details: this.details } : {}) };
  }
}
