import { surql } from "@sentient/db-pool";
import { hashOf } from "@sentient/schema";
import { VirtualClock } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { freshState, stateOn } from "./support/fresh.ts";
import { codeOf } from "./support/runs.ts";

describe("an access token", () => {
  test("lets in who shows it, in any process, and nobody who shows anything else", async () => {
    const { state, db } = await freshState();
    const { secret, token } = await state.accessTokens.create({ name: "ada", scopes: ["read"], by: "root" });
    const elsewhere = await stateOn(db);
    expect(await elsewhere.state.accessTokens.check(secret)).toEqual(token);
    expect(token).toMatchObject({ name: "ada", scopes: ["read"], createdBy: "root" });
    const last = secret.endsWith("A") ? "B" : "A";
    for (const other of [`${secret.slice(0, -1)}${last}`, `${secret}A`, secret.slice(0, -1), "", token.id])
      expect(await state.accessTokens.check(other)).toBeUndefined();
  });

  test("has 256 bits that the database does not hold", async () => {
    const { state, db, bus } = await freshState();
    const { secret, token } = await state.accessTokens.create({ name: "ada", scopes: ["admin"] });
    const bits = secret.split("_").slice(2).join("_"); // one of its letters is _
    expect(Buffer.from(bits, "base64url")).toHaveLength(32);
    const row = await db.query(
      surql<{ hash: string }>`SELECT * FROM ONLY type::record("access_token", ${token.id})`,
    );
    expect(row.hash).toBe(hashOf(secret));
    const { events } = await bus.history({ types: "token.created" });
    expect(JSON.stringify([row, events, token])).not.toContain(bits);
    expect(events.map(({ data }) => data)).toEqual([
      { token: token.id, name: "ada", scopes: ["admin"], by: "somebody" },
    ]);
  });

  test("counts until it expires, by the time that counts", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    const expiresAt = new Date(clock.now() + 60_000);
    const { secret } = await state.accessTokens.create({ name: "ada", scopes: ["read"], expiresAt });
    expect(await state.accessTokens.check(secret)).toMatchObject({ name: "ada" });
    await clock.advance(60_000);
    expect(await state.accessTokens.check(secret)).toBeUndefined();
  });

  test("does not count once it was revoked, which is told once", async () => {
    const { state, bus } = await freshState();
    const { secret, token } = await state.accessTokens.create({ name: "ada", scopes: ["write"] });
    const [one, other] = await Promise.all([
      state.accessTokens.revoke(token.id, { by: "bob" }),
      state.accessTokens.revoke(token.id, { by: "bob" }),
    ]);
    expect(one).toEqual(other);
    expect(one).toMatchObject({ revokedBy: "bob" });
    expect(await state.accessTokens.check(secret)).toBeUndefined();
    const { events } = await bus.history({ types: "token.revoked" });
    expect(events.map(({ data }) => data)).toEqual([{ token: token.id, by: "bob" }]);
  });

  test("is listed without its hash, the newest first", async () => {
    const { state } = await freshState();
    for (const name of ["ada", "bob"]) await state.accessTokens.create({ name, scopes: ["read"] });
    const tokens = await state.accessTokens.list();
    expect(tokens.map(({ name }) => name)).toEqual(["bob", "ada"]);
    expect(tokens.every((token) => !("hash" in token))).toBe(true);
  });

  test("is refused without scopes, with one twice, and without a name", async () => {
    const { state } = await freshState();
    for (const options of [
      { name: "ada", scopes: [] },
      { name: "ada", scopes: ["read", "read"] as const },
      { name: "", scopes: ["read"] as const },
      { name: "ada", scopes: ["root"] as never },
    ])
      expect(await codeOf(() => state.accessTokens.create(options))).toBe("state.bad_option");
    expect(await codeOf(() => state.accessTokens.revoke("0123456789ab"))).toBe("state.not_found");
  });
});
