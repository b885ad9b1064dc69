// Every verb, as the typed client asks for it over a socket.

import type { Sentient } from "@sentient/agent-core";
import { until } from "@sentient/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import { ApiProblem, createClient, type Client, type StreamItem } from "../src/client/index.ts";
import type { App } from "../src/index.ts";
import { broken, careful, counter, hello } from "./support/agents.ts";
import { requireDescribed } from "./support/described.ts";
import { freshDatabase, sentientOn, served, tokenFor } from "./support/fresh.ts";

const agents = [hello, counter, broken];
const workflows = [careful];

interface Fresh {
  sentient: Sentient;
  app: App;
  client: Client;
}

async function freshClient(): Promise<Fresh> {
  const sentient = await sentientOn(await freshDatabase(), { agents, workflows });
  const { app, url } = await served(sentient);
  const token = await tokenFor(sentient, "admin");
  const fetch = async (to: string, init: RequestInit) => {
    const response = await globalThis.fetch(to, init);
    const isJson = response.headers.get("content-type")?.startsWith("application/json") === true;
    if (isJson)
      requireDescribed(app, init.method!.toLowerCase(), to, response.status, await response.clone().json());
    return response;
  };
  return { sentient, app, client: createClient({ url, token, fetch }) };
}

const statusIs = (client: Client, run: string, status: string) =>
  until(async () => (await client.runs.get(run)).status === status, { what: `${run} is ${status}` });

async function problemOf(work: Promise<unknown>): Promise<ApiProblem> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(ApiProblem);
  return thrown as ApiProblem;
}

describe("a run", () => {
  test("is started, waited for, found and looked into", async () => {
    const { client } = await freshClient();
    const { id } = await client.runs.start({ name: "hello", input: { to: "Ada" }, tags: ["t"] });
    expect(await client.runs.result(id, { wait: 20_000 })).toEqual({
      run: id,
      status: "completed",
      output: "hello Ada",
    });
    expect(await client.runs.get(id)).toMatchObject({
      id,
      status: "completed",
      output: "hello Ada",
      tags: ["t"],
    });
    const { runs } = await client.runs.list({ name: "hello", status: ["completed", "failed"], tag: "t" });
    expect(runs.map((run) => run.id)).toEqual([id]);
    const { events } = await client.runs.history(id);
    expect(events.map(({ type }) => type)).toEqual([
      "run.queued",
      "run.started",
      "step.completed",
      "run.completed",
    ]);
    expect((await client.runs.steps(id)).steps).toMatchObject([{ key: "main/greet#1", result: "hello Ada" }]);
    expect((await client.runs.explain(id)).explanations).toMatchObject([{ code: "over" }]);
    expect(await client.runs.ancestors(id)).toEqual({ runs: [], truncated: false });
    expect(await client.runs.descendants(id)).toEqual({ runs: [], truncated: false });
    const lines = await new Response(await client.runs.export(id)).text();
    expect(lines.trim().split("\n").length).toBeGreaterThan(5);
  });

  test("is started once under a key, however it is said", async () => {
    const { client, sentient, app } = await freshClient();
    const one = await client.runs.start({ name: "hello", input: { to: "Ada" }, key: "k" });
    const token = await tokenFor(sentient, "write");
    const again = async (body: object, key = "k") =>
      app.request("/v1/runs", {
        method: "POST",
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
          "idempotency-key": key,
        },
        body: JSON.stringify(body),
      });
    const same = await again({ name: "hello", input: { to: "Ada" } });
    expect([same.status, await same.json()]).toEqual([201, one]);
    expect(same.headers.get("location")).toBe(`/v1/runs/${one.id}`);
    expect((await again({ name: "hello", input: { to: "Bob" } })).status).toBe(409);
    expect(await (await again({ name: "hello", input: { to: "Ada" }, key: "other" })).json()).toMatchObject({
      code: "api.wrong_key",
    });
  });

  test("is done by whoever can do it", async () => {
    const { client } = await freshClient();
    const { id } = await client.runs.start({ capabilities: ["greet"], input: { to: "Ada" } });
    expect(await client.runs.result(id, { wait: 20_000 })).toMatchObject({ output: "hello Ada" });
  });

  test("is refused with what does not fit", async () => {
    const { client } = await freshClient();
    const refused = await problemOf(client.runs.start({ name: "hello", input: { to: 7 } }));
    expect(refused).toMatchObject({ status: 400, code: "agent.invalid_input", retryable: false });
    expect(await problemOf(client.runs.get("nobody"))).toMatchObject({
      status: 404,
      code: "state.not_found",
    });
    expect(await problemOf(client.runs.start({}))).toMatchObject({ status: 400, code: "api.bad_request" });
  });

  test("that has failed says with what", async () => {
    const { client } = await freshClient();
    const { id } = await client.runs.start({ name: "broken" });
    expect(await client.runs.result(id, { wait: 20_000 })).toMatchObject({
      status: "failed",
      error: { name: "TypeError", message: "it never works" },
    });
    expect((await problemOf(client.runs.cancel(id))).code).toBe("state.illegal_transition");
  });

  test("is paused, resumed and cancelled, and waited for no longer than one says", async () => {
    const { client } = await freshClient();
    const { id } = await client.runs.start({ name: "nobody" });
    expect(await client.runs.result(id, { wait: 20 })).toEqual({ run: id, status: "queued" });
    expect(await client.runs.pause(id, { reason: "lunch" })).toMatchObject({
      status: "paused",
      reason: "lunch",
    });
    expect((await client.runs.resume(id)).status).toBe("queued");
    expect((await client.runs.cancel(id, { force: true })).status).toBe("cancelled");
  });

  test("is asked, told, forked and put back", async () => {
    const { client } = await freshClient();
    const { id } = await client.runs.start({ name: "careful" });
    await statusIs(client, id, "waiting");
    const { questions } = await client.questions.list({ assignee: "ada" });
    const { key } = questions[0]!;
    expect(await client.questions.get(id, key)).toMatchObject({ status: "open", text: "may I?" });
    expect((await problemOf(client.questions.answer(id, key, "what?"))).code).toBe("state.invalid_answer");
    expect(await client.questions.answer(id, key, true)).toMatchObject({
      status: "answered",
      answeredBy: "admin",
    });
    await client.runs.signal(id, "paid", { total: 12 }, { id: "payment-17" });
    await client.runs.signal(id, "paid", { total: 12 }, { id: "payment-17" });
    expect(await client.runs.result(id, { wait: 20_000 })).toMatchObject({
      output: { value: true, paid: { total: 12 } },
    });
    expect((await client.runs.signals(id, { name: "paid" })).signals).toHaveLength(1);
    const { checkpoints } = await client.checkpoints.list(id);
    expect(checkpoints.map(({ name }) => name)).toEqual(["before"]);
    expect((await client.checkpoints.get(id, "before")).n).toBe(checkpoints[0]!.n);
    expect(await client.runs.state(id, { checkpoint: "before" })).toEqual({ state: {} });
    const fork = await client.runs.fork(id, { checkpoint: "before", key: "again" });
    expect((await client.runs.fork(id, { checkpoint: "before", key: "again" })).id).toBe(fork.id);
    await statusIs(client, fork.id, "waiting");
    await client.runs.pause(fork.id);
    await client.checkpoints.create(fork.id, "here", { ticket: 17 });
    expect((await client.runs.restore(fork.id, { n: 1 })).id).toBe(fork.id);
    await client.runs.cancel(fork.id, { force: true });
  });

  test("is followed with what it tells and streams, until its end", async () => {
    const { client } = await freshClient();
    const { id } = await client.runs.start({ name: "counter", input: { to: 3 } });
    const items: StreamItem[] = [];
    for await (const item of client.runs.follow(id)) items.push(item);
    const events = items.flatMap((item) => (item.type === "event" ? [item.event.type] : []));
    expect([events[0], events.at(-1)]).toEqual(["run.queued", "run.completed"]);
    const pieces = items.flatMap((item) =>
      item.type === "chunk" && item.chunk.kind === "data" ? [item.chunk.data] : [],
    );
    expect(pieces).toEqual(["1 ", "2 ", "3 "]);
    expect((await client.runs.chunks(id)).chunks.length).toBeGreaterThanOrEqual(3);
    const rest: StreamItem[] = [];
    const half = items[Math.floor(items.length / 2)]!;
    for await (const item of client.runs.follow(id, { after: half.place })) rest.push(item);
    expect(rest.map(({ place }) => place)).toHaveLength(items.length - items.indexOf(half) - 1);
  });
});

describe("the rest", () => {
  test("of the runtime is asked in the same way", async () => {
    const { client, sentient } = await freshClient();
    await client.runs.result((await client.runs.start({ name: "hello", input: { to: "Ada" } })).id, {
      wait: 20_000,
    });

    const position = (
      await client.events.publish({ type: "order.placed", data: { total: 12 }, eventId: "order-17" })
    ).position;
    expect(
      (await client.events.publish({ type: "order.placed", data: { total: 12 }, eventId: "order-17" }))
        .position,
    ).toBe(position);
    expect((await problemOf(client.events.publish({ type: "run.completed" }))).code).toBe("api.bad_request");
    const { events } = await client.events.history({ types: "order.*" });
    expect(events).toMatchObject([{ position, source: "admin", data: { total: 12 } }]);
    expect((await client.events.why(position)).event.eventId).toBe("order-17");
    expect((await client.events.trace("order-17")).root.event.position).toBe(position);

    expect((await client.agents.list({ capability: "greet" })).agents).toMatchObject([{ name: "hello" }]);
    expect((await client.agents.pause("hello")).agents).toMatchObject([
      { status: "paused", pausedBy: "admin" },
    ]);
    expect((await client.agents.resume("hello")).agents).toMatchObject([{ status: "idle" }]);
    expect((await client.agents.get("hello")).agents).toHaveLength(1);

    const schedule = { run: "hello", input: { to: "Ada" }, cron: "0 3 * * *", timeZone: "Europe/Berlin" };
    expect(await client.schedules.put("nightly", schedule)).toMatchObject({ id: "nightly", name: "hello" });
    expect((await client.schedules.pause("nightly")).pausedAt).toBeDefined();
    expect((await client.schedules.resume("nightly")).pausedAt).toBeUndefined();
    expect((await client.schedules.get("nightly")).cron).toBe("0 3 * * *");
    expect((await client.schedules.list()).schedules).toHaveLength(1);
    expect(await client.schedules.remove("nightly")).toEqual({ removed: true });

    const consumer = await sentient.events.consumer(
      "mailer",
      { filter: { types: "order.*" }, retry: { attempts: 1 } },
      () => {
        throw new Error("no mail today");
      },
    );
    onTestFinished(() => consumer.stop());
    await until(async () => (await client.consumers.get("mailer")).dead === 1, { what: "a dead letter" });
    expect((await client.consumers.list()).consumers).toEqual(["mailer"]);
    expect((await client.consumers.deadLetters("mailer")).letters).toMatchObject([
      { position, reason: { message: "no mail today" } },
    ]);
    expect(await client.consumers.redrive("mailer", [position])).toEqual({ redriven: 1 });

    expect((await client.workers.list()).workers).toMatchObject([{ live: true }]);
    expect(await client.limits.set("queue:default", { concurrency: 10 })).toMatchObject({ concurrency: 10 });
    expect((await client.limits.get("queue:default")).key).toBe("queue:default");
    expect((await client.limits.list()).limits).toHaveLength(1);
    expect(await client.limits.remove("queue:default")).toEqual({ removed: true });

    const { secret, token } = await client.tokens.create({ name: "bob", scopes: ["read"] });
    expect(secret).toContain(token.id);
    expect((await client.tokens.revoke(token.id)).revokedBy).toBe("admin");
    expect((await client.tokens.list()).tokens).toHaveLength(2);
    expect(await client.ready()).toEqual({ status: "ready", auth: "on" });
  });

  test("of what happens is followed from anywhere in the log", async () => {
    const { client } = await freshClient();
    for (let i = 0; i < 5; i++) await client.events.publish({ type: "order.placed", data: i });
    const stop = new AbortController();
    const seen: unknown[] = [];
    for await (const { data } of client.events.follow({ types: "order.*", after: 0, signal: stop.signal })) {
      seen.push(data);
      if (seen.length === 3) await client.events.publish({ type: "order.placed", data: 5 });
      if (seen.length === 6) stop.abort();
    }
    expect(seen).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("says that nobody is there, where nobody is", async () => {
    const client = createClient({ url: "http://127.0.0.1:9" });
    await expect(client.ready()).rejects.toThrow("fetch failed");
    await expect(client.events.follow().next()).rejects.toThrow("fetch failed");
  });
});

test("the client has a function for every operation", async () => {
  const { app } = await freshClient();
  const operations = app.routes.filter(({ policy, path }) => policy !== "public" && path !== "/metrics");
  const asked = new Set<string>();
  const template = (path: string) => path.replace(/\{\w+\}/g, "x");
  const fetch = async (to: string, init: RequestInit) => {
    asked.add(`${init.method} ${new URL(to).pathname}`);
    return new Response("{}", { headers: { "content-type": "application/json" } });
  };
  const client = createClient({ url: "http://api", fetch });
  for (const group of Object.values(client))
    for (const ask of typeof group === "function"
      ? []
      : (Object.values(group) as ((...args: unknown[]) => unknown)[])) {
      const made = ask("x", "x");
      if (Symbol.asyncIterator in Object(made)) {
        const stop = new AbortController();
        const follow =
          ask === client.events.follow
            ? client.events.follow({ signal: stop.signal })
            : client.runs.follow("x", { signal: stop.signal });
        void follow.next().catch(() => {});
        await until(() => [...asked].some((one) => one.endsWith("/events")), { what: "a stream" });
        stop.abort();
      } else await made;
    }
  const wanted = operations.map(({ method, path }) => `${method.toUpperCase()} ${template(path)}`);
  expect(wanted.filter((one) => !asked.has(one))).toEqual([]);
});
