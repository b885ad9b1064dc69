// What a provider or the AI SDK throws, as our steps take it: whether to ask again, what to do, and no secrets.

import { NonRetryable } from "@sentient/agent-core";
import { withoutSecrets } from "@sentient/schema";
import {
  APICallError,
  InvalidArgumentError,
  InvalidDataContentError,
  InvalidMessageRoleError,
  InvalidPromptError,
  LoadAPIKeyError,
  LoadSettingError,
  MessageConversionError,
  MissingToolResultsError,
  NoSuchModelError,
  StreamProviderError,
  UnsupportedFunctionalityError,
} from "ai";
import { AiError } from "./errors.ts";

/** The very same will be said of the very same. */
const IN_VAIN = [
  InvalidArgumentError,
  InvalidDataContentError,
  InvalidMessageRoleError,
  InvalidPromptError,
  LoadAPIKeyError,
  LoadSettingError,
  MessageConversionError,
  MissingToolResultsError,
  NoSuchModelError,
  UnsupportedFunctionalityError,
];

/**
 * What was thrown is not its cause: it holds the request, and with it all that was said, and maybe a key.
 *
 * @param model as it is called
 */
export function modelError(thrown: unknown, model: string): Error {
  if (thrown instanceof AiError || thrown instanceof NonRetryable) return thrown;
  const said = saidOf(thrown);
  if (APICallError.isInstance(thrown)) {
    const { statusCode, isRetryable, responseHeaders } = thrown;
    const retryAfter = millisecondsOf(responseHeaders?.["retry-after"]);
    return isRetryable
      ? failedError(model, said, statusCode, retryAfter)
      : refusedError(model, said, statusCode);
  }
  if (StreamProviderError.isInstance(thrown)) {
    const { statusCode, isRetryable } = thrown;
    const isRefused = statusCode !== undefined && !isRetryable;
    return isRefused ? refusedError(model, said, statusCode) : failedError(model, said, statusCode);
  }
  if (IN_VAIN.some((kind) => kind.isInstance(thrown))) return refusedError(model, said);
  return failedError(model, said);
}

/** What each of the errors said that caused one another, once, and without secrets. */
function saidOf(thrown: unknown): string {
  const said: string[] = [];
  for (let error = thrown, depth = 0; error !== undefined && depth < 4; depth++) {
    const { message = typeof error === "string" ? error : "it does not say why", cause } = (error ?? {}) as {
      message?: string;
      cause?: unknown;
    };
    if (!said.some((before) => before.includes(message))) said.push(message);
    error = cause;
  }
  return withoutSecrets(said.join(": "));
}

/** Of `Retry-After`, which says seconds or a time. */
function millisecondsOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - Date.now();
  return ms > 0 ? ms : undefined; // and not if it is no time
}

function failedError(model: string, said: string, status?: number, retryAfter?: number): AiError {
  return new AiError({
    code: "ai.model_failed",
    message: `the model ${model} failed${inBrackets(status)}: ${said}`,
    retryable: true,
    ...(status === undefined
      ? {}
      : { details: { status, ...(retryAfter === undefined ? {} : { retryAfter }) } }),
  });
}

/** M2 of from-ai-sdk.ts. */
export function cutOffError(model: string): AiError {
  return new AiError({
    code: "ai.incomplete_answer",
    message: `the model ${model} was cut off before it had said all`,
    retryable: true,
  });
}

function refusedError(model: string, said: string, status?: number): NonRetryable {
  const error = new NonRetryable(
    `the model ${model} refuses${inBrackets(status)}: ${said}; ${whatToDo(status)}`,
  );
  return Object.assign(error, { code: "ai.model_refused" });
}

const inBrackets = (status: number | undefined) => (status === undefined ? "" : ` (${status})`);

function whatToDo(status: number | undefined): string {
  switch (status) {
    case 401:
    case 403:
      return "look at the key that its provider was given, and at what that may do";
    case 402:
      return "look at the account of its key: there is nothing left to pay with";
    case 404:
      return "look at the name of the model, and at the address of its provider";
    case 413:
      return "say less: the conversation is too long for it";
    default:
      return "look at what it was asked: the same is refused again";
  }
}
