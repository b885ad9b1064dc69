// Access tokens. Owns: who is let in over the network, to do what, until when.
// Does not own: asking for one, which is whoever listens on the network (apps/api).
// O1. The secret is made here, answered once, and stored nowhere: the database holds its hash.
// O2. Whether one counts is settled by the database's time, and its secret compared in constant time.
// O3. That one was made or revoked stands in the log, and in the audit.

import { AccessScope, accessTokenTable, hashOf, type AccessToken as StoredToken } from "@sentient/schema";
import { randomBytes, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import * as queries from "./access-tokens-queries.ts";
import { recordOf } from "./audit.ts";
import type { Context } from "./changing.ts";
import { checked, notFoundError } from "./errors.ts";
import { By, Person } from "./options.ts";
import { retried } from "./retried.ts";
import { defined } from "./telling.ts";

/** Somebody who is let in, without the secret they show. */
export type AccessToken = Omit<StoredToken, "hash">;

const Options = z.strictObject({
  name: Person,
  scopes: z
    .array(AccessScope)
    .min(1)
    .refine((scopes) => new Set(scopes).size === scopes.length, "each scope once"),
  expiresAt: z.date().optional(),
  by: By,
});

export interface AccessTokenOptions {
  /** Whose it is: what they do is told under this name. */
  name: string;
  scopes: readonly AccessScope[];
  /** Never, if left out. */
  expiresAt?: Date;
  /** Who makes it. */
  by?: string;
}

const SECRET_BYTES = 32;
const ID_BYTES = 6;
const FORM = /^sentient_([0-9a-f]{12})_[A-Za-z0-9_-]{43}$/;

/** Who is let in over the network. Found at `state.accessTokens`. */
export class AccessTokens {
  readonly #context: Context;

  /** @internal */
  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * Makes a token of 256 random bits.
   *
   * @returns `secret` is what its owner shows; nobody can read it again
   * @throws `state.bad_option`
   * @example const { secret } = await state.accessTokens.create({ name: "ada", scopes: ["read", "write"] });
   */
  async create(options: AccessTokenOptions): Promise<{ secret: string; token: AccessToken }> {
    const { by, ...wanted } = defined(checked(Options, options, "an access token"));
    const { bus, time } = this.#context;
    const id = randomBytes(ID_BYTES).toString("hex");
    const secret = `sentient_${id}_${randomBytes(SECRET_BYTES).toString("base64url")}`;
    const { name, scopes } = wanted;
    await bus.log.append({
      events: [{ type: "token.created", data: { token: id, name, scopes, by } }],
      statements: (_, placedAt) => {
        const at = time.of(placedAt);
        const stored = { ...wanted, id, hash: hashOf(secret), createdAt: at, createdBy: by };
        const { id: __, ...row } = accessTokenTable.serialise(stored);
        const granted = { token: id, name, scopes, ...until(wanted.expiresAt) };
        return [queries.insertToken(id, row), recordOf({ what: "token.created", by, data: granted }, at)];
      },
    });
    return { secret, token: await this.get(id) };
  }

  /** @throws `state.not_found` @example const { scopes } = await state.accessTokens.get("0123456789ab"); */
  async get(id: string): Promise<AccessToken> {
    const { row } = await this.#read(id);
    if (!row) throw notFoundError("access token", id, { token: id });
    return withoutHash(row);
  }

  /** All that were made, the newest first. @example const tokens = await state.accessTokens.list(); */
  async list(): Promise<AccessToken[]> {
    const rows = await this.#context.db.query(queries.readTokens());
    const tokens = rows.map((row) => withoutHash(accessTokenTable.parse(row)));
    return tokens.sort((one, other) => other.createdAt.getTime() - one.createdAt.getTime());
  }

  /**
   * Whoever shows it is not let in any more; said again it changes nothing.
   *
   * @throws `state.not_found`, `state.bad_option`
   * @example await state.accessTokens.revoke("0123456789ab", { by: "ada" });
   */
  async revoke(id: string, options: { by?: string } = {}): Promise<AccessToken> {
    const { by } = checked(z.strictObject({ by: By }), options, "a revocation");
    const { bus, time } = this.#context;
    return retried(`the access token ${id}`, async () => {
      const token = await this.get(id);
      if (token.revokedAt) return token;
      await bus.log.append({
        events: [{ type: "token.revoked", data: { token: id, by } }],
        statements: (_, placedAt) => [
          queries.revokeToken(id, by, time.of(placedAt)),
          recordOf({ what: "token.revoked", by, data: { token: id } }, time.of(placedAt)),
        ],
      });
      return this.get(id);
    });
  }

  /**
   * Who shows this.
   *
   * @returns undefined for what is no token, or one that is unknown, has expired or was revoked
   * @example const who = await state.accessTokens.check(secret);
   */
  async check(secret: string): Promise<AccessToken | undefined> {
    const [, id] = FORM.exec(secret) ?? [];
    if (id === undefined) return undefined;
    const { now, row } = await this.#read(id);
    const shown = Buffer.from(hashOf(secret), "hex");
    const isSame = timingSafeEqual(shown, Buffer.from(row?.hash ?? hashOf(id), "hex")); // O2, also where there is none
    if (!row || !isSame || row.revokedAt || (row.expiresAt && row.expiresAt <= now)) return undefined;
    return withoutHash(row);
  }

  async #read(id: string): Promise<{ now: Date; row: StoredToken | undefined }> {
    const { db, time } = this.#context;
    const { now, row } = await db.query(queries.readToken(id, time.now));
    return { now, row: row === undefined || row === null ? undefined : accessTokenTable.parse(row) };
  }
}

const until = (expiresAt: Date | undefined) =>
  expiresAt === undefined ? {} : { expiresAt: expiresAt.toISOString() };

function withoutHash({ hash: _, ...token }: StoredToken): AccessToken {
  return token;
}
