// What is followed live: resumed from anywhere, never silent, closed with nothing left behind.

import { readdir } from "node:fs/promises";
import { createSentient } from "@sentient/agent-core";
import { RecordId, surql } from "@sentient/db-pool";
import { sabotage, seeded, until, type SeededRandom } from "@sentient/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import { counter, hello } from "./support/agents.ts";
import { freshApi, freshDatabase, sentientOn, served, tokenFor } from "./support/fresh.ts";
import { framesIn, positionOf, StreamReader, type Seen } from "./support/frames.ts";

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

interface Following {
  urls: readonly string[];
  token: string;
  random: SeededRandom;
  /** Where the log ends; infinity as long as that is not known. */
  last: () => number;
  /** Whether it is said where one was. */
  resumes?: boolean;
}

/** Follows the log to its end, cut off 20 times, over several servers in turn. */
async function followed({ urls, token, random, last, resumes = true }: Following): Promise<Seen[]> {
  const seen: Seen[] = [];
  for (let place = "0", cuts = 0; ; cuts++) {
    const headers: Record<string, string> = resumes ? { "last-event-id": place } : {};
    const reader = await StreamReader.open(`${urls[cuts % urls.length]}/v1/events?after=0`, token, headers);
    const enough = cuts < 20 ? 1 + random.int(5) : Infinity;
    const isThere = () =>
      reader.frames.length >= enough || reader.frames.some((frame) => positionOf(frame) >= last());
    await until(isThere, { what: "more frames", deadline: 60_000 });
    const got = reader.frames.slice(0, enough); // what else had come is lost with the connection
    reader.cut();
    seen.push(...got);
    place = got.at(-1)!.id!;
    if (cuts >= 20) return seen;
  }
}

describe("the log", () => {
  test("has every event once, in order, for who is cut off 20 times and goes on at another server", async () => {
    const db = await freshDatabase();
    const sentient = await sentientOn(db, { agents: [counter] });
    const other = await sentientOn(db, { worker: false });
    const urls = [(await served(sentient)).url, (await served(other)).url];
    const token = await tokenFor(sentient, "read");
    const random = seeded();
    let end = Infinity;
    const following = followed({ urls, token, random, last: () => end });
    const handles = [];
    for (let i = 0; i < 30; i++) handles.push(await sentient.start(counter, { to: 4 }));
    await Promise.all(handles.map((handle) => handle.result()));
    end = (await sentient.events.history({ order: "desc", limit: 1 })).events[0]!.position;
    const seen = await following;
    expect(seen.map(positionOf), `SEED=${random.seed}`).toEqual(range(1, seen.length));
    expect(seen.length).toBeGreaterThanOrEqual(end);
    await sabotage("who does not say where they were", async () => {
      const again = await followed({ urls, token, random, last: () => end, resumes: false });
      expect(again.map(positionOf)).toEqual(range(1, again.length));
    });
  });

  test("begins now, and misses nothing that happens before the first frame", async () => {
    const { sentient, app, token } = await freshApi({ worker: false });
    await sentient.events.publish({ type: "order.placed", data: "before" });
    const { url } = await served(sentient);
    const reader = await StreamReader.open(`${url}/v1/events`, token);
    await until(() => /^id: \d+$/m.test(reader.text), { what: "a place to begin at" });
    const place = /^id: (\d+)$/m.exec(reader.text)![1]!;
    reader.cut();
    await sentient.events.publish({ type: "order.placed", data: "meanwhile" });
    const again = await StreamReader.open(`${url}/v1/events`, token, { "last-event-id": place });
    await until(() => again.frames.length === 1, { what: "what happened meanwhile" });
    expect(JSON.parse(again.frames[0]!.data)).toMatchObject({ data: "meanwhile" });
    again.cut();
    expect(app.streams).toBe(0);
  });

  test("is refused from a place that is none, is not there yet, or was trimmed", async () => {
    const { sentient, ask } = await freshApi({ worker: false });
    for (let i = 0; i < 10; i++) await sentient.events.publish({ type: "order.placed", data: i });
    const at = (place: string) => ask("/v1/events", { headers: { "last-event-id": place } });
    expect((await at("seven")).body).toMatchObject({ status: 400, code: "api.bad_request" });
    expect((await at("1.2.3")).status).toBe(400);
    expect((await at("1000")).body).toMatchObject({ status: 400, code: "event_bus.position_ahead" });
    await sentient.events.trim({ keep: 2 });
    expect((await at("1")).body).toMatchObject({ status: 410, code: "event_bus.position_trimmed" });
    expect((await ask("/v1/events?types=.")).body).toMatchObject({
      status: 400,
      code: "event_bus.bad_filter",
    });
  });
});

describe("a run", () => {
  test("ends its stream, and tells a browser that comes again to stay away", async () => {
    const { sentient, ask } = await freshApi({ agents: [hello] });
    const handle = await sentient.start(hello, { to: "Ada" });
    await handle.result();
    const frames = framesIn((await ask(`/v1/runs/${handle.id}/events`)).text);
    expect(frames.at(-1)).toMatchObject({
      event: "end",
      data: JSON.stringify({ run: handle.id, status: "completed" }),
    });
    const place = frames.at(-2)!.id!;
    const again = await ask(`/v1/runs/${handle.id}/events`, { headers: { "last-event-id": place } });
    expect([again.status, again.text]).toEqual([204, ""]);
    expect((await ask("/v1/runs/nobody/events")).status).toBe(404);
  });

  test("has every piece that it streamed once, for who is cut off between two of them", async () => {
    const { sentient, ask } = await freshApi({ agents: [counter] });
    const handle = await sentient.start(counter, { to: 5 });
    await handle.result();
    const all = framesIn((await ask(`/v1/runs/${handle.id}/events`)).text).filter(
      ({ event }) => event !== "end",
    );
    for (const [i, { id }] of all.entries()) {
      const { text } = await ask(`/v1/runs/${handle.id}/events`, { headers: { "last-event-id": id! } });
      const rest = framesIn(text).filter(({ event }) => event !== "end");
      const byData = (frames: Seen[]) => frames.map(({ data }) => data).sort();
      expect(byData(rest), `after ${id}`).toEqual(byData(all.slice(i + 1)));
    }
    const without = framesIn((await ask(`/v1/runs/${handle.id}/events?chunks=false`)).text);
    expect(without.some(({ event }) => event === "chunk")).toBe(false);
  });
});

describe("a stream", () => {
  test("is never silent for longer than its heartbeat", async () => {
    const { sentient, token } = await freshApi({ worker: false });
    const { url } = await served(sentient, { heartbeat: 20 });
    const reader = await StreamReader.open(`${url}/v1/events`, token);
    await until(() => reader.text.split("\n").filter((line) => line === ":").length >= 5, {
      what: "heartbeats",
    });
    expect(reader.response.headers).toMatchObject({
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    });
    reader.cut();
  });

  test("leaves nothing behind, however often it is opened and cut off", async () => {
    const { sentient, token } = await freshApi({ worker: false });
    const { app, url } = await served(sentient);
    const handles = async () => (await readdir("/proc/self/fd")).length;
    const cycle = async () => {
      const reader = await StreamReader.open(`${url}/v1/events?after=0`, token);
      await until(() => reader.text.includes("id: "), { what: "a frame" });
      reader.cut();
    };
    for (let i = 0; i < 20; i++) await cycle();
    await until(() => app.streams === 0, { what: "all to be closed" });
    const before = await handles();
    for (let i = 0; i < 500; i += 10) await Promise.all(range(1, 10).map(cycle));
    await until(() => app.streams === 0, { what: "all to be closed" });
    await until(async () => (await handles()) <= before + 5, { what: "no more files than before" });
    const { events } = sentient;
    expect(await events.publish({ type: "order.placed" })).toBeGreaterThan(0);
  });

  test("whose reader takes nothing holds nothing back, and is cut off", async () => {
    const { sentient, token } = await freshApi({ worker: false });
    const { app, url } = await served(sentient, { stall: 10_000 });
    const stuck = await StreamReader.open(`${url}/v1/events?after=0`, token);
    stuck.response.removeAllListeners("data").pause();
    const quick = await StreamReader.open(`${url}/v1/events?after=0`, token);
    const data = "x".repeat(100_000);
    for (let i = 0; i < 100; i++) await sentient.events.publish({ type: "order.placed", data });
    await until(() => quick.frames.filter(({ data: text }) => text.includes("xxx")).length === 100, {
      what: "all of them",
      deadline: 60_000,
    });
    await until(() => app.streams === 1, { what: "the other to be cut off", deadline: 60_000 });
    quick.cut();
  });

  test("ends when its token was revoked, or has expired", async () => {
    const { db, sentient } = await freshApi({ worker: false });
    const { app, url } = await served(sentient, { recheck: 20 });
    const { accessTokens } = sentient.state;
    const one = await accessTokens.create({ name: "ada", scopes: ["read"] });
    const expiresAt = new Date(Date.now() + 3_600_000);
    const other = await accessTokens.create({ name: "bob", scopes: ["read"], expiresAt });
    const readers = [
      await StreamReader.open(`${url}/v1/events`, one.secret),
      await StreamReader.open(`${url}/v1/events`, other.secret),
    ];
    expect(app.streams).toBe(2);
    await accessTokens.revoke(one.token.id);
    const row = new RecordId("access_token", other.token.id);
    await db.query(surql`UPDATE ONLY ${row} SET expiresAt = time::now() - 1h`); // as if an hour had passed
    await until(() => readers.every(({ isOver }) => isOver), { what: "both to end" });
    expect(app.streams).toBe(0);
  });

  test("is one of so many that a token may have open", async () => {
    const { sentient, token } = await freshApi({ worker: false });
    const { app, url } = await served(sentient, { limits: { streams: 3 } });
    const readers = [];
    for (let i = 0; i < 5; i++) readers.push(await StreamReader.open(`${url}/v1/events`, token));
    expect(readers.map(({ response }) => response.statusCode)).toEqual([200, 200, 200, 429, 429]);
    const other = await StreamReader.open(`${url}/v1/events`, await tokenFor(sentient, "read"));
    expect(other.response.statusCode).toBe(200);
    for (const reader of [...readers, other]) reader.cut();
    await until(() => app.streams === 0, { what: "room again" });
  });

  test("is not opened by who asks for its head", async () => {
    const { app, ask } = await freshApi({ worker: false });
    const { status, text, headers } = await ask("/v1/events", { method: "HEAD" });
    expect([status, text, headers.get("content-type")]).toEqual([200, "", "text/event-stream"]);
    expect(app.streams).toBe(0);
  });

  test("ends in order when the server stops", async () => {
    const folder = await freshDatabase();
    const sentient = await createSentient({ database: folder, worker: false });
    onTestFinished(() => sentient.close());
    const api = await served(sentient);
    const reader = await StreamReader.open(`${api.url}/v1/events`, await tokenFor(sentient, "read"));
    await api.close();
    await until(() => reader.isOver, { what: "its end" });
    expect(reader.response.complete).toBe(true);
  });
});
