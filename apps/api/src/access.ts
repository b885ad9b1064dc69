// Access. Owns: who asks, and whether they may.
// A1. What has no policy is not there: a route is reached by its policy alone.
// A2. A token that was revoked or has expired is heard of within `recheck`, at most 60 seconds, in every process.
// A3. A secret is looked for in one header, and nowhere else.

import type { Clock } from "@sentient/db-pool";
import { hashOf } from "@sentient/schema";
import type { AccessToken, AccessTokens } from "@sentient/state";
import { ApiError } from "./errors.ts";

/** What one has to be let do; `public` is for everybody. */
export type Policy = "public" | "read" | "write" | "worker" | "admin";
type Scope = AccessToken["scopes"][number];

/** Who asks. */
export interface Principal {
  /** By which they are told of. */
  name: string;
  /** Of their token, or of where they ask from if they have none. */
  id: string;
  scopes: readonly Scope[];
}

/** What a scope includes beside itself. */
const INCLUDES: Readonly<Record<Scope, readonly Policy[]>> = {
  read: ["read"],
  write: ["read", "write"],
  worker: ["read", "worker"],
  admin: ["read", "write", "worker", "admin"],
};

function mayDo({ scopes }: Principal, policy: Policy): boolean {
  return policy === "public" || scopes.some((scope) => INCLUDES[scope].includes(policy));
}

/** @throws `api.not_allowed` */
export function requireAllowed(principal: Principal, policy: Policy): void {
  if (mayDo(principal, policy)) return;
  throw new ApiError({
    code: "api.not_allowed",
    message: `this token is for ${principal.scopes.join(", ")}, and this asks for ${policy}; use one with that scope`,
    details: { needs: policy, has: principal.scopes },
  });
}

/** As many tokens as are remembered. */
const MOST_KNOWN = 10_000;

interface Known {
  token: AccessToken;
  until: number;
}

/** A2. Tokens as they were a short time ago. */
export class Doorkeeper {
  readonly #tokens: AccessTokens;
  readonly #recheck: number;
  readonly #clock: Clock;
  /** By the hash of their secrets: those stand nowhere. */
  readonly #known = new Map<string, Known>();

  constructor(tokens: AccessTokens, recheck: number, clock: Clock) {
    this.#tokens = tokens;
    this.#recheck = recheck;
    this.#clock = clock;
  }

  /** Whether somebody was let in with it a short time ago. */
  knows(authorization: string | undefined): boolean {
    const secret = secretIn(authorization);
    return secret !== undefined && this.#remembered(hashOf(secret)) !== undefined;
  }

  /** @throws `api.not_authenticated` */
  async principalOf(authorization: string | undefined): Promise<Principal> {
    const secret = secretIn(authorization);
    if (secret === undefined) throw notAuthenticated("show a token: Authorization: Bearer sentient_…");
    const token = await this.#find(secret);
    if (!token)
      throw notAuthenticated("this token is unknown, has expired or was revoked; ask for another one");
    return { name: token.name, id: token.id, scopes: token.scopes };
  }

  async #find(secret: string): Promise<AccessToken | undefined> {
    const key = hashOf(secret);
    const known = this.#remembered(key);
    if (known) return known;
    const token = await this.#tokens.check(secret);
    this.#known.delete(key);
    if (!token) return undefined;
    if (this.#known.size >= MOST_KNOWN) this.#known.delete(this.#known.keys().next().value!);
    const end = token.expiresAt?.getTime() ?? Infinity;
    this.#known.set(key, { token, until: Math.min(this.#clock.now() + this.#recheck, end) });
    return token;
  }

  #remembered(key: string): AccessToken | undefined {
    const known = this.#known.get(key);
    return known && known.until > this.#clock.now() ? known.token : undefined;
  }

  /** Heard of at once where it was revoked here. */
  forget(id: string): void {
    for (const [key, { token }] of this.#known) if (token.id === id) this.#known.delete(key);
  }
}

/** A3. */
function secretIn(authorization: string | undefined): string | undefined {
  return /^Bearer ([\x21-\x7e]{1,512})$/i.exec(authorization ?? "")?.[1];
}

function notAuthenticated(message: string): ApiError {
  return new ApiError({ code: "api.not_authenticated", message });
}
