// The process: where it listens, how it starts and ends, what it says when the database is away.

import { readFile, stat, writeFile, readdir } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { SentientError } from "@sentient/db-pool";
import { createSentient } from "@sentient/agent-core";
import { spawnChild, until } from "@sentient/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import { configFromEnv, createApp, createLogger, ensureFirstToken, serveApi } from "../src/index.ts";
import { askerOf, freshApi, freshDatabase, freshFolder, post, sentientOn, served } from "./support/fresh.ts";

const main = new URL("../src/main.ts", import.meta.url);

async function codeOf(work: () => unknown): Promise<string | undefined> {
  try {
    await work();
  } catch (error) {
    if (error instanceof SentientError) return error.code;
    throw error;
  }
  return undefined;
}

describe("a server", () => {
  test("listens where other machines reach it only with tokens, TLS or a proxy, and its names", async () => {
    const { sentient } = await freshApi({ worker: false });
    const everywhere = { host: "0.0.0.0", port: 0 };
    const whole = { ...everywhere, behindProxy: true, allowedHosts: ["sentient.example"] };
    for (const lacking of [
      everywhere,
      { ...whole, auth: false },
      { ...whole, behindProxy: false },
      { ...everywhere, behindProxy: true },
    ])
      expect(await codeOf(() => serveApi(sentient, lacking))).toBe("api.bad_config");
    await using api = await serveApi(sentient, whole);
    const at = api.url.replace("0.0.0.0", "127.0.0.1");
    expect((await fetch(`${at}/healthz`)).status).toBe(200);
    expect(await (await fetch(`${at}/openapi.json`)).json()).toMatchObject({ code: "api.wrong_host" });
  });

  test("is asked by its own names only, and by no page of somebody else's", async () => {
    const { sentient, token } = await freshApi({ worker: false });
    const { app, url } = await served(sentient, { allowedOrigins: ["https://studio.example"] });
    const { host } = new URL(url);
    const ask = askerOf(app, token);
    const from = (headers: Record<string, string>) => ask("/v1/runs", { headers });
    for (const name of [host, "localhost:1234", "LOCALHOST", "[::1]:80"])
      expect((await from({ host: name })).status, name).toBe(200);
    for (const name of ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example"])
      expect((await from({ host: name })).body, name).toMatchObject({ status: 421, code: "api.wrong_host" });
    for (const origin of ["https://evil.example", "null", "http://localhost:1"])
      expect((await from({ host, origin })).body, origin).toMatchObject({
        status: 403,
        code: "api.wrong_origin",
      });
    expect((await from({ host, origin: `http://${host}` })).status).toBe(200);
    const allowed = await from({ host, origin: "https://studio.example" });
    expect(allowed.headers.get("access-control-allow-origin")).toBe("https://studio.example");
    const preflight = await ask("/v1/runs", {
      method: "OPTIONS",
      headers: { host, origin: "https://studio.example" },
    });
    expect([preflight.status, preflight.headers.get("access-control-allow-methods")]).toEqual([
      204,
      "GET, POST, PUT, DELETE",
    ]);
    expect((await from({ host })).headers.get("access-control-allow-origin")).toBeNull();
  });

  test("is not ready while the database is away, and says when to come again", async () => {
    const { db, ask } = await freshApi({ worker: false });
    await until(async () => (await ask("/readyz")).status === 200);
    await db.close({ deadline: 100 });
    const answer = await ask("/readyz");
    expect(answer.body).toMatchObject({ status: 503, code: "api.not_ready", retryable: true });
    expect(answer.headers.get("retry-after")).toBe("1");
    expect((await ask("/v1/runs")).body).toMatchObject({ status: 503, code: "db.closed" });
    expect((await ask("/healthz")).status).toBe(200);
  });

  test("counts, from when somebody asks for it", async () => {
    const { sentient, ask } = await freshApi({ worker: false });
    await sentient.state.agents.register({ name: "nobody" });
    const served = { queues: ["default"], serves: ["nobody@1"], slots: 8, running: 3 };
    await sentient.state.workers.beat({ id: "w", host: "h", pid: 1, release: "0", ...served });
    await ask("/metrics");
    await ask("/v1/runs", post({ name: "nobody" }));
    const { body } = await ask("/v1/runs", post({ name: "nobody" }));
    await sentient.cancel(body.id);
    await until(
      async () => (await ask("/metrics")).text.includes('sentient_runs_total{outcome="cancelled"} 1'),
      { what: "a run to count" },
    );
    const { text } = await ask("/metrics");
    expect(text).toContain("sentient_runs_queued 1");
    expect(text).toContain("sentient_streams_open 0");
    for (const [name, value] of Object.entries({ workers: 1, worker_slots: 8, runs_running: 3 }))
      expect(text).toContain(`sentient_${name} ${value}`);
    const labels = '{agent="nobody",version="1",queue="default"}';
    expect(text).toContain(`sentient_agent_runs_queued${labels} 1`);
    expect(text).toContain(`sentient_agent_workers${labels} 1`);
    expect(text).toMatch(
      /sentient_http_request_duration_seconds_count\{method="POST",route="\/v1\/runs",status="201"\} 2/,
    );
    expect(text).not.toContain(body.id);
  });

  test("logs each request, and nothing of what was said", async () => {
    const lines: string[] = [];
    const sentient = await sentientOn(await freshDatabase(), { worker: false });
    const { secret } = await sentient.state.accessTokens.create({ name: "ada", scopes: ["write"] });
    const logger = createLogger("info", { write: (line) => lines.push(line) });
    const ask = askerOf(createApp(sentient, { logger }), secret);
    await ask("/v1/runs?x=hush\n\u001b[31m", post({ name: "hello", input: { password: "hush" } }));
    await ask("/v1/runs", post({ name: "hello", input: { password: "hush" } }));
    expect(lines).toHaveLength(2);
    expect(JSON.parse(lines[1]!)).toMatchObject({
      method: "POST",
      route: "/v1/runs",
      status: 201,
      who: secret.split("_")[1],
    });
    expect(lines.join("")).not.toContain("hush");
    for (const word of ["\u001b", secret]) expect(lines.join("")).not.toContain(word);
  });
});

describe("the configuration", () => {
  test("is what the environment says, and refuses what it does not know", () => {
    expect(
      configFromEnv({
        SENTIENT_API_PORT: "5000",
        SENTIENT_API_BEHIND_PROXY: "true",
        SENTIENT_API_ALLOWED_HOSTS: "a.example, b.example",
        SENTIENT_API_STREAMS: "7",
        SENTIENT_URL: "mem://",
        SENTIENT_API_HOST: "",
      }),
    ).toEqual({
      serve: {
        port: 5000,
        behindProxy: true,
        allowedHosts: ["a.example", "b.example"],
        limits: { streams: 7 },
      },
      tokenFile: ".sentient/api-token",
      logLevel: "info",
    });
    for (const env of [
      { SENTIENT_API_PORT: "http" },
      { SENTIENT_API_PROT: "5000" },
      { SENTIENT_API_INSECURE: "yes" },
      { SENTIENT_API_TLS_KEY: "key.pem" },
      { SENTIENT_API_TLS_KEY: "no-such.pem", SENTIENT_API_TLS_CERT: "no-such.pem" },
    ])
      expect(() => configFromEnv(env), JSON.stringify(env)).toThrow(
        expect.objectContaining({ code: "api.bad_config" }),
      );
  });

  test("has a first token made if none counts, and overwrites no file", async () => {
    const sentient = await sentientOn(await freshDatabase(), { worker: false });
    const file = join(await freshFolder(), "deep", "token");
    expect(await ensureFirstToken(sentient, file)).toBe(true);
    const secret = (await readFile(file, "utf8")).trim();
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await sentient.state.accessTokens.check(secret)).toMatchObject({ scopes: ["admin"] });
    expect(await ensureFirstToken(sentient, file)).toBe(false);
    await sentient.state.accessTokens.revoke(secret.split("_")[1]!);
    expect(await codeOf(() => ensureFirstToken(sentient, file))).toBe("api.bad_config");
    expect((await readFile(file, "utf8")).trim()).toBe(secret);
  });
});

describe("the process", () => {
  test("serves, lets in who has its first token, and ends in order on SIGTERM", async () => {
    const folder = await freshFolder();
    const tokenFile = join(folder, "token");
    const child = spawnChild(main, {
      env: {
        SENTIENT_URL: `rocksdb://${folder}/data`,
        SENTIENT_API_PORT: "0",
        SENTIENT_API_TOKEN_FILE: tokenFile,
      },
    });
    onTestFinished(() => child[Symbol.asyncDispose]());
    const url = await until(() => /"url":"([^"]+)"/.exec(child.stderr)?.[1], {
      what: "its address",
      deadline: 60_000,
    });
    const headers = { authorization: `Bearer ${(await readFile(tokenFile, "utf8")).trim()}` };
    await until(async () => (await fetch(`${url}/readyz`)).status === 200);
    expect((await fetch(`${url}/v1/runs`, { headers })).status).toBe(200);
    const stream = await fetch(`${url}/v1/events`, { headers });
    const exit = child.kill("SIGTERM");
    expect(await stream.text()).toContain("retry:");
    expect(await exit).toEqual({ code: 0, signal: null });
    expect(child.stderr).not.toContain(headers.authorization.slice(7));
    expect(child.stdout).toBe("");
  });

  test("says what is wrong with its configuration, and ends with 2", async () => {
    const folder = await freshFolder();
    const env = {
      SENTIENT_URL: `rocksdb://${folder}/data`,
      SENTIENT_API_HOST: "0.0.0.0",
      SENTIENT_API_TOKEN_FILE: join(folder, "token"),
    };
    const child = spawnChild(main, { env });
    expect(await child.exited).toEqual({ code: 2, signal: null });
    expect(child.stderr).toMatch(/0\.0\.0\.0 can be reached from other machines/);
    expect(child.stderr).not.toMatch(/\n\s+at /);
  });

  test("says what it takes, and begins nothing when asked for that or for what it does not know", async () => {
    const folder = await freshFolder();
    const env = { SENTIENT_URL: `rocksdb://${folder}/data`, SENTIENT_API_TOKEN_FILE: join(folder, "token") };
    for (const [word, code] of [
      ["--help", 0],
      ["--version", 0],
      ["--port", 2],
    ] as const) {
      const child = spawnChild(main, { env, args: [word] });
      expect(await child.exited).toEqual({ code, signal: null });
      expect(`${child.stdout}${child.stderr}`).toMatch(
        /Usage: sentient-api|^\d+\.\d+\.\d+\n$|it takes no --port/,
      );
    }
    expect(await readdir(folder)).toEqual([]);
  });

  test("says that its port is taken, and ends with 1", async () => {
    const folder = await freshFolder();
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    onTestFinished(() => void other.close());
    await writeFile(join(folder, "unused"), "");
    const { port } = other.address() as { port: number };
    const env = {
      SENTIENT_URL: `rocksdb://${folder}/data`,
      SENTIENT_API_PORT: String(port),
      SENTIENT_API_TOKEN_FILE: join(folder, "token"),
    };
    const child = spawnChild(main, { env });
    expect(await child.exited).toEqual({ code: 1, signal: null });
    expect(child.stderr).toContain("EADDRINUSE");
  });
});

test("a runtime that is closed answers that it is", async () => {
  const db = await freshDatabase();
  const sentient = await createSentient({ database: db, worker: false });
  const { secret } = await sentient.state.accessTokens.create({ name: "ada", scopes: ["admin"] });
  const ask = askerOf(createApp(sentient), secret);
  await sentient.close();
  expect((await ask("/v1/runs", post({ name: "hello" }))).status).toBe(503);
});
