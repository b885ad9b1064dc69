// Texts that would be statements, wherever a text comes in.

import { RecordId, surql } from "@sentient/db-pool";
import { describe, expect, test } from "vitest";
import { freshApi, post } from "./support/fresh.ts";
import { TEXTS } from "./support/nasty.ts";

const texts = TEXTS.map((text) => text.toWellFormed());

describe("a text that would be a statement", () => {
  test("is no statement in any path, query or cursor, and finds nothing of others", async () => {
    const { db, app, ask } = await freshApi({ worker: false });
    await db.query(surql`CREATE ${new RecordId("canary", 1)} SET alive = true`);
    await ask(
      "/v1/runs",
      post({ name: "private", queue: "private", tags: ["private"], correlation: "private" }),
    );
    const gets = app.routes.filter(
      ({ method, path }) => method === "get" && path.startsWith("/v1/") && path !== "/v1/events",
    );
    const found: string[] = [];
    for (const { path } of gets)
      for (const text of texts) {
        const value = encodeURIComponent(text);
        const inPath = await ask(path.replace(/\{\w+\}/g, () => (value === "" ? "x" : value)));
        expect(inPath.status, `${path} ${text}`).toBeLessThan(500);
      }
    for (const name of [
      "name",
      "queue",
      "tag",
      "root",
      "parent",
      "correlation",
      "status",
      "kind",
      "parkedFor",
      "before",
    ])
      for (const text of texts) {
        const { status, body } = await ask(`/v1/runs?${name}=${encodeURIComponent(text)}`);
        expect(status).toBeLessThan(500);
        if (status === 200 && body.runs.length > 0) found.push(`${name}=${text}`);
      }
    for (const name of ["run", "types", "source", "target", "workflow", "correlation"])
      for (const text of texts) {
        const { status, body } = await ask(`/v1/events/history?${name}=${encodeURIComponent(text)}`);
        expect(status).toBeLessThan(500);
        if (status === 200 && body.events.length > 0) found.push(`${name}=${text}`);
      }
    expect(found).toEqual([]);
    expect(await db.query(surql<unknown[]>`SELECT VALUE alive FROM canary`)).toEqual([true]);
  });

  test("comes back as it was, or is refused, in every body", async () => {
    const { db, ask } = await freshApi({ worker: false });
    await db.query(surql`CREATE ${new RecordId("canary", 1)} SET alive = true`);
    for (const text of texts) {
      const { status, body } = await ask("/v1/runs", post({ name: "echo", input: { text, [text]: text } }));
      if (status === 201) {
        const { body: run } = await ask(`/v1/runs/${body.id}`);
        expect(run.input.text).toBe(text);
        expect(Object.entries(run.input)).toContainEqual([text, text]);
      } else expect(status, text).toBe(400);
      const fields = { name: text, key: text, queue: text, tags: [text], correlation: text, id: text };
      for (const [field, value] of Object.entries(fields)) {
        const answer = await ask("/v1/runs", post({ name: "echo", [field]: value }));
        expect([201, 400, 409], `${field} ${text}: ${answer.text}`).toContain(answer.status);
      }
      const published = await ask("/v1/events", post({ type: "order.placed", data: text, target: text }));
      expect([201, 400]).toContain(published.status);
      const signal = await ask("/v1/runs/nobody-there/signals", post({ name: text, data: text, id: text }));
      expect([400, 404]).toContain(signal.status);
      const schedule = await ask("/v1/schedules/s", {
        method: "PUT",
        json: { run: "echo", cron: text, timeZone: text },
      });
      expect(schedule.status, text).toBe(400);
      const token = await ask("/v1/tokens", post({ name: text, scopes: ["read"] }));
      expect([201, 400]).toContain(token.status);
    }
    expect(await db.query(surql<unknown[]>`SELECT VALUE alive FROM canary`)).toEqual([true]);
  });
});
