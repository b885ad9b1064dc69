// Hosts. Owns: by which names this server is asked, and from which pages: what keeps a page of somebody else's, whose name was
// made to point here, from asking on behalf of whoever looks at it.

import { ApiError } from "./errors.ts";

const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];

export function isLoopback(host: string): boolean {
  return host === "::1" || LOOPBACK.includes(host) || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** The names that a server on this address goes by if nobody says others. */
export function namesOf(host: string): readonly string[] | undefined {
  return isLoopback(host) ? [...new Set([host, ...LOOPBACK])] : undefined;
}

/** @throws `api.wrong_host` */
export function requireHost(host: string | undefined, allowed: readonly string[] | undefined): void {
  if (!allowed) return;
  const name = (host ?? "").replace(/:\d{1,5}$/, "").toLowerCase();
  if (allowed.includes(name)) return;
  throw new ApiError({
    code: "api.wrong_host",
    message:
      "this server does not go by that name; its operator says which ones it has (SENTIENT_API_ALLOWED_HOSTS)",
  });
}

/**
 * Whether a page of that origin may read what is answered: one of another server that was allowed.
 *
 * @throws `api.wrong_origin`
 */
export function requireOrigin(
  origin: string | undefined,
  host: string | undefined,
  allowed: readonly string[],
): boolean {
  if (origin === undefined) return false;
  if (allowed.includes(origin)) return true;
  if (URL.canParse(origin) && new URL(origin).host === host) return false;
  throw new ApiError({
    code: "api.wrong_origin",
    message:
      "pages of that origin may not ask; the server's operator allows origins (SENTIENT_API_ALLOWED_ORIGINS)",
  });
}
