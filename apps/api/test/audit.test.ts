// What is kept of who was let do what, and who was not let in.

import { until } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { createApp } from "../src/index.ts";
import { careful, hello } from "./support/agents.ts";
import { askerOf, freshApi, post, tokenFor } from "./support/fresh.ts";

describe("the audit", () => {
  test("has what was done over HTTP, by the name of the token", async () => {
    const { sentient, ask, app } = await freshApi({ agents: [hello], workflows: [careful] });
    const made = await ask("/v1/tokens", post({ name: "ada", scopes: ["write"] }));
    const asAda = askerOf(app, made.body.secret);
    const { body: run } = await asAda("/v1/runs", post({ name: "careful" }));
    await until(async () => (await sentient.get(run.id)).status === "waiting", { what: "a question" });
    const { questions } = (await asAda("/v1/questions")).body;
    await asAda(
      `/v1/runs/${run.id}/questions/${encodeURIComponent(questions[0].key)}/answer`,
      post({ value: true }),
    );
    await asAda(`/v1/runs/${run.id}/export`);
    await ask(`/v1/tokens/${made.body.token.id}`, { method: "DELETE" });
    await ask("/v1/events/trim", post({ keep: 1 }));
    const { body } = await ask("/v1/audit?limit=5");
    expect(body.records.map(({ what, by }: { what: string; by: string }) => [what, by])).toEqual([
      ["events.trimmed", "admin"],
      ["token.revoked", "admin"],
      ["run.exported", "ada"],
      ["question.answered", "ada"],
      ["token.created", "admin"],
    ]);
    expect(body.next).toBe(body.records.at(-1).n);
    expect((await ask("/v1/audit?what=run.exported")).body.records).toHaveLength(1);
    const { n, hash } = body.records[0];
    expect((await ask("/v1/audit/verify")).body).toEqual({ ok: true, records: n, hash });
    expect((await ask(`/v1/audit/verify?n=1&hash=${hash}`)).body).toMatchObject({
      ok: false,
      damage: "changed",
    });
    expect((await ask("/v1/audit/verify?n=1")).status).toBe(400);
    expect((await asAda("/v1/audit")).status).toBe(401);
  });

  test("has who was not let in, some of each, and nothing that they wrote", async () => {
    const { sentient, app } = await freshApi({ worker: false }, { limits: { failuresPerMinute: 3 } });
    const reader = await tokenFor(sentient, "read");
    const asReader = askerOf(app, reader);
    expect((await asReader("/v1/runs")).status).toBe(200);
    const stranger = askerOf(app, "sentient_0123456789ab_guess");
    for (let i = 0; i < 6; i++) await stranger("/v1/runs/hush?also=hush");
    for (let i = 0; i < 6; i++) expect((await asReader("/v1/tokens")).status).toBe(403);
    const failures = async () =>
      (await sentient.state.audit.list({ what: "auth.failed" })).records.toReversed();
    await until(async () => (await failures()).length === 6, { what: "all of it to be told" });
    const told = await failures();
    expect(told.slice(0, 3).map(({ by, data }) => [by, data])).toEqual(
      Array.from({ length: 3 }, () => [
        "unknown",
        { code: "api.not_authenticated", method: "GET", route: "/v1/runs/:run" },
      ]),
    );
    expect(told.slice(3).map(({ by, data }) => [by, data])).toEqual(
      Array.from({ length: 3 }, () => [
        reader.split("_")[1],
        { code: "api.not_allowed", method: "GET", route: "/v1/tokens" },
      ]),
    );
    for (const word of ["hush", "guess"]) expect(JSON.stringify(told)).not.toContain(word);
  });

  test("that cannot be written keeps nobody from being answered", async () => {
    const { db, sentient } = await freshApi({ worker: false });
    const lines: object[] = [];
    const logger = { info: () => {}, error: (fields: object) => void lines.push(fields) };
    const app = createApp(sentient, { logger });
    await db.close({ deadline: 100 });
    const { status } = await askerOf(app)("/v1/runs");
    expect(status).toBe(401);
    await app.close();
    expect(lines).toMatchObject([{ who: "unknown", code: "api.not_authenticated" }]);
  });
});
