import { EventId } from "@sentient/schema";
import type { Context } from "hono";
import { ApiError, badRequest } from "./errors.ts";
import type { Env } from "./route.ts";

/**
 * Under which key something is said: that of the body, or of the header `Idempotency-Key`.
 *
 * @throws `api.wrong_key` if both are said, and differ; or if the header is too long
 */
export function keyOf(c: Context<Env>, said: string | undefined): string | undefined {
  const header = c.req.header("idempotency-key");
  if (header === undefined || header === said) return said;
  if (said !== undefined)
    throw new ApiError({
      code: "api.wrong_key",
      message: "the header Idempotency-Key and the key in the body differ; say one of them",
    });
  if (header !== "" && header.length <= 1024) return header;
  throw new ApiError({ code: "api.wrong_key", message: "an Idempotency-Key has 1 to 1,024 characters" });
}

/** What is to be the id of an event. @throws `api.bad_request` */
export function eventIdOf(key: string): EventId {
  const parsed = EventId.safeParse(key);
  if (parsed.success) return parsed.data;
  throw badRequest("the Idempotency-Key", parsed.error);
}
