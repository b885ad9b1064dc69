// Who may ask what: every route with every kind of token.

import type { Sentient } from "@sentient/agent-core";
import { until } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { createApp, type App, type Listed, type Policy } from "../src/index.ts";
import { askerOf, freshApi, freshDatabase, sentientOn, tokenFor } from "./support/fresh.ts";

const SAMPLES: Record<string, string> = {
  run: "no-run",
  name: "nobody",
  key: "main%2Fask%231",
  event: "1",
  token: "0123456789ab",
};
const sampleOf = (path: string) => path.replace(/\{(\w+)\}/g, (_, name: string) => SAMPLES[name]!);

type Kind =
  | "none"
  | "garbage"
  | "basic"
  | "wrong secret"
  | "in the query"
  | "alg none"
  | "expired"
  | "revoked"
  | "of another database"
  | "read"
  | "write"
  | "worker"
  | "admin";

const LET_IN: Record<Policy, readonly Kind[]> = {
  public: [],
  read: ["read", "write", "worker", "admin"],
  write: ["write", "admin"],
  worker: ["worker", "admin"],
  admin: ["admin"],
};
const KNOWN: readonly Kind[] = ["read", "write", "worker", "admin"];

/** What is refused, by the table; undefined for what is let in. */
function refusalOf(policy: Policy, kind: Kind): number | undefined {
  if (policy === "public" || LET_IN[policy].includes(kind)) return undefined;
  return KNOWN.includes(kind) ? 403 : 401;
}

async function headersOf(sentient: Sentient): Promise<Record<Kind, Record<string, string>>> {
  const { accessTokens } = sentient.state;
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  const read = await tokenFor(sentient, "read");
  const expired = await accessTokens.create({
    name: "old",
    scopes: ["admin"],
    expiresAt: new Date(Date.now() - 1),
  });
  const revoked = await accessTokens.create({ name: "gone", scopes: ["admin"] });
  await accessTokens.revoke(revoked.token.id);
  const other = await sentientOn(await freshDatabase(), { worker: false });
  const unsigned = Buffer.from(JSON.stringify({ alg: "none" })).toString("base64url");
  return {
    none: {},
    garbage: bearer("garbage"),
    basic: { authorization: `Basic ${Buffer.from(`admin:${read}`).toString("base64")}` },
    "wrong secret": bearer(`${read.slice(0, -4)}AAAA`),
    "in the query": {},
    "alg none": bearer(`${unsigned}.${unsigned}.`),
    expired: bearer(expired.secret),
    revoked: bearer(revoked.secret),
    "of another database": bearer(await tokenFor(other, "admin")),
    read: bearer(read),
    write: bearer(await tokenFor(sentient, "write")),
    worker: bearer(await tokenFor(sentient, "worker")),
    admin: bearer(await tokenFor(sentient, "admin")),
  };
}

async function statusOf(
  app: App,
  { method, path }: Listed,
  kind: Kind,
  headers: Record<string, string>,
  token: string,
) {
  const query = kind === "in the query" ? `?token=${token}&access_token=${token}` : "";
  const stop = new AbortController();
  const response = await app.request(`${sampleOf(path)}${query}`, {
    method: method.toUpperCase(),
    headers: { ...headers, ...(method === "get" ? {} : { "content-type": "application/json" }) },
    ...(method === "get" || method === "delete" ? {} : { body: "{}" }),
    signal: stop.signal,
  });
  await response.body?.cancel();
  stop.abort();
  return response.status;
}

describe("every route", () => {
  test("lets in whom its policy says, and nobody else", async () => {
    const { app, sentient, token } = await freshApi({ worker: false });
    const kinds = await headersOf(sentient);
    const wrong: string[] = [];
    for (const route of app.routes)
      for (const [kind, headers] of Object.entries(kinds) as [Kind, Record<string, string>][]) {
        const status = await statusOf(app, route, kind, headers, token);
        const refusal = refusalOf(route.policy, kind);
        const isRight =
          refusal === undefined ? ![401, 403].includes(status) && status < 500 : status === refusal;
        if (!isRight) wrong.push(`${route.method} ${route.path} with ${kind}: ${status}, and not ${refusal}`);
      }
    expect(wrong).toEqual([]);
    expect(app.routes.length).toBeGreaterThan(50);
    expect(app.streams).toBe(0);
  });

  test("is in the document, with its policy", async () => {
    const { app } = await freshApi({ worker: false });
    const { paths } = app.document() as {
      paths: Record<string, Record<string, { security: { token?: string[] }[] }>>;
    };
    const documented = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(
        ([method, { security }]) => `${method} ${path} ${security[0]?.token?.[0] ?? "public"}`,
      ),
    );
    expect(documented.sort()).toEqual(
      app.routes.map(({ method, path, policy }) => `${method} ${path} ${policy}`).sort(),
    );
  });

  test("is for everybody only where nothing is told", async () => {
    const { app } = await freshApi({ worker: false });
    const open = app.routes.filter(({ policy }) => policy === "public").map(({ path }) => path);
    expect(open.sort()).toEqual(["/", "/healthz", "/openapi.json", "/readyz", "/reference"]);
    const changing = app.routes.filter(({ method, policy }) => method !== "get" && policy === "read");
    expect(changing).toEqual([]);
  });
});

describe("without tokens", () => {
  test("everybody may do everything, and it is shown", async () => {
    const { app } = await freshApi({ worker: false }, { auth: false });
    const ask = askerOf(app);
    expect((await ask("/v1/tokens")).status).toBe(200);
    const body = await until(async () => {
      const ready = await ask("/readyz");
      return ready.status === 200 && ready.body;
    });
    expect(body).toEqual({ status: "ready", auth: "off" });
  });
});

describe("a token", () => {
  test("that is revoked here is refused at once, and elsewhere after its recheck", async () => {
    const { sentient, app, ask } = await freshApi({ worker: false });
    const elsewhere = createApp(sentient, { recheck: 10 });
    const secret = await tokenFor(sentient, "read");
    const there = askerOf(elsewhere, secret);
    const here = askerOf(app, secret);
    expect([(await here("/v1/runs")).status, (await there("/v1/runs")).status]).toEqual([200, 200]);
    const { status } = await ask(`/v1/tokens/${secret.split("_")[1]}`, { method: "DELETE" });
    expect(status).toBe(200);
    expect((await here("/v1/runs")).status).toBe(401);
    await until(async () => (await there("/v1/runs")).status === 401);
  });

  test("is made once, told once, and is whose name stands in what it does", async () => {
    const { sentient, app, ask } = await freshApi({ worker: false });
    const made = await ask("/v1/tokens", { method: "POST", json: { name: "ada", scopes: ["write"] } });
    expect(made.status).toBe(201);
    const asAda = askerOf(app, made.body.secret);
    const { body } = await asAda("/v1/runs", { method: "POST", json: { name: "nobody" } });
    await asAda(`/v1/runs/${body.id}/pause`, { method: "POST", json: { reason: "lunch" } });
    expect(await sentient.get(body.id)).toMatchObject({ status: "paused", pausedBy: "ada", reason: "lunch" });
    expect((await ask("/v1/tokens")).text).not.toContain(made.body.secret);
  });

  test("cannot be guessed: after some tries an address has to wait", async () => {
    const { app, ask } = await freshApi({ worker: false }, { limits: { failuresPerMinute: 5 } });
    expect((await ask("/v1/runs")).status).toBe(200);
    const stranger = askerOf(app, "sentient_0123456789ab_guess");
    const statuses = [];
    for (let i = 0; i < 8; i++) statuses.push((await stranger("/v1/runs")).status);
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429, 429]);
    expect((await ask("/v1/runs")).status).toBe(200); // who was let in a short time ago does not suffer for it
  });
});
