// Options: what is taken, and what is refused with which words.

import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type DatabaseOptions, openDatabase, optionsFromEnv, Secret } from "../src/index.ts";
import { settingsFrom } from "../src/options.ts";
import { failureOf } from "./support/failure.ts";

describe("from the environment", () => {
  test("every option that can stand there is read", () => {
    const options = optionsFromEnv({
      SENTIENT_URL: "wss://db.example/rpc",
      SENTIENT_NAMESPACE: "shop",
      SENTIENT_DATABASE: "main",
      SENTIENT_USER: "ada",
      SENTIENT_PASSWORD: "s3cret",
      SENTIENT_TOKEN: "t0ken",
      SENTIENT_SIGN_IN_AS: "namespace",
      SENTIENT_ANONYMOUS: "true",
      SENTIENT_INSECURE: "false",
      SENTIENT_POOL_SIZE: "20",
      SENTIENT_POOL_MIN: "0",
      SENTIENT_MAX_WAITERS: "500",
      SENTIENT_ACQUIRE_TIMEOUT: "1000",
      SENTIENT_CONNECT_TIMEOUT: "2000",
      SENTIENT_TIMEOUT: "3000",
      SENTIENT_HEARTBEAT: "4000",
    });
    expect(options).toEqual({
      url: "wss://db.example/rpc",
      namespace: "shop",
      database: "main",
      user: "ada",
      password: "s3cret",
      token: "t0ken",
      signInAs: "namespace",
      anonymous: true,
      insecure: false,
      poolSize: 20,
      poolMin: 0,
      maxWaiters: 500,
      acquireTimeout: 1_000,
      connectTimeout: 2_000,
      timeout: 3_000,
      heartbeat: 4_000,
    });
  });

  test("what is empty or absent is left to its default, and what is not ours is left alone", () => {
    expect(optionsFromEnv({})).toEqual({});
    expect(optionsFromEnv({ SENTIENT_URL: "", SENTIENT_POOL_SIZE: "", SENTIENT_TIMEOUT: undefined })).toEqual(
      {},
    );
    expect(optionsFromEnv({ SENTIENT_API_PORT: "1", HOME: "/root" })).toEqual({});
  });

  test("it is that of this process unless another is given", () => {
    expect(optionsFromEnv()).toEqual(optionsFromEnv(process.env));
  });

  test.each([
    ["SENTIENT_POOL_SIZE", "ten"],
    ["SENTIENT_POOL_SIZE", "1.5"],
    ["SENTIENT_POOL_SIZE", "-1"],
    ["SENTIENT_POOL_SIZE", " 5"],
    ["SENTIENT_TIMEOUT", "5s"],
    ["SENTIENT_TIMEOUT", "1e3"],
    ["SENTIENT_HEARTBEAT", "0x10"],
    ["SENTIENT_INSECURE", "yes"],
    ["SENTIENT_ANONYMOUS", "TRUE"],
  ])("%s=%s is refused, naming the variable", async (name, value) => {
    const failure = await failureOf(() => optionsFromEnv({ [name]: value }));
    expect(failure.code).toBe("db.bad_option");
    expect(failure.message).toContain(name);
  });

  test("an impossible value of an option is refused when it is used", async () => {
    const failure = await failureOf(() => openDatabase(optionsFromEnv({ SENTIENT_POOL_SIZE: "0" })));
    expect(failure.code).toBe("db.bad_option");
    expect(failure.message).toMatch(/poolSize/);
  });
});

describe("an option", () => {
  test("that does not exist is refused, naming those that do", async () => {
    const failure = await failureOf(() => openDatabase({ pool_size: 5, url: "mem://" } as DatabaseOptions));
    expect(failure).toMatchObject({ code: "db.bad_option", outcome: "not_applied", retryable: false });
    expect(failure.message).toMatch(/no option pool_size.*url.*namespace.*poolSize.*heartbeat/);
  });

  test.each<[string, unknown]>([
    ["poolSize", 0],
    ["poolSize", 1.5],
    ["poolSize", "5"],
    ["poolSize", 1_001],
    ["poolMin", -1],
    ["maxWaiters", -1],
    ["maxWaiters", 0],
    ["timeout", 0],
    ["timeout", -1],
    ["timeout", Infinity],
    ["timeout", Number.NaN],
    ["timeout", 2 ** 31],
    ["acquireTimeout", "1s"],
    ["connectTimeout", null],
    ["heartbeat", 0.5],
    ["url", ""],
    ["url", 5],
    ["namespace", ""],
    ["namespace", "a b"],
    ["namespace", "a`; REMOVE DATABASE b"],
    ["database", "1st"],
    ["database", "x".repeat(129)],
    ["user", ""],
    ["password", ""],
    ["password", 5],
    ["token", 5],
    ["signInAs", "admin"],
    ["anonymous", "true"],
    ["insecure", 1],
    ["clock", {}],
  ])("%s: %o is refused by name", async (name, value) => {
    const failure = await failureOf(() => openDatabase({ url: "mem://", [name]: value }));
    expect(failure.code).toMatch(/^db\.bad_(option|url)$/);
    expect(failure.message).toContain(name);
  });

  test("that is left out has its default", () => {
    const { location, clock, ...rest } = settingsFrom({});
    expect(location).toMatchObject({ kind: "rocksdb", folder: join(process.cwd(), ".sentient/data") });
    expect(clock.now()).toBeCloseTo(Date.now(), -3);
    expect(rest).toEqual({
      namespace: "sentient",
      database: "sentient",
      credentials: undefined,
      poolSize: 10,
      poolMin: 1,
      maxWaiters: 10_000,
      acquireTimeout: 10_000,
      connectTimeout: 30_000,
      timeout: 30_000,
      heartbeat: 3_000,
    });
  });

  test("poolMin never exceeds poolSize", () => {
    expect(settingsFrom({ poolSize: 2, poolMin: 5 }).poolMin).toBe(2);
  });
});

describe("credentials", () => {
  const remote = { url: "ws://127.0.0.1:8000" };

  test.each<[string, DatabaseOptions]>([
    ["a token and a user", { ...remote, token: "t", user: "ada", password: "p" }],
    ["a token and a password", { ...remote, token: "t", password: "p" }],
    ["a user without a password", { ...remote, user: "ada" }],
    ["a password without a user", { ...remote, password: "p" }],
    ["none, for a server", remote],
    ["none, for a server over HTTP", { url: "http://127.0.0.1:8000" }],
  ])("%s are refused", async (_name, options) => {
    const failure = await failureOf(() => openDatabase(options));
    expect(failure).toMatchObject({ code: "db.bad_option", outcome: "not_applied" });
    expect(failure.message).toMatch(/token|user and password/);
  });

  test("none at all must be asked for by name", () => {
    expect(settingsFrom({ ...remote, anonymous: true }).credentials).toBeUndefined();
  });

  test("of a user are for its database, the least, unless said otherwise", () => {
    const user = { ...remote, user: "ada", password: "p" };
    expect(settingsFrom(user).credentials).toMatchObject({ kind: "password", level: "database" });
    expect(settingsFrom({ ...user, signInAs: "root" }).credentials).toMatchObject({ level: "root" });
  });

  test.each<[string, DatabaseOptions["token"]]>([
    ["text", "t0ken"],
    ["a Secret", new Secret("t0ken")],
    ["a function", () => "t0ken"],
    ["a function that takes its time", async () => "t0ken"],
  ])("a token may be %s", async (_name, token) => {
    const { credentials } = settingsFrom({ ...remote, token: token! });
    expect(credentials?.kind).toBe("token");
    const secret = credentials?.kind === "token" ? await credentials.fetch() : undefined;
    expect(secret?.reveal()).toBe("t0ken");
  });
});

test.each<DatabaseOptions>([{ user: "ada", password: "s3cret" }, { token: "t0ken" }])(
  "an embedded database takes no credentials, rather than ignore them",
  async (credentials) => {
    const failure = await failureOf(() => openDatabase({ url: "mem://", ...credentials }));
    expect(failure).toMatchObject({ code: "db.bad_option" });
    expect(failure.message).toMatch(/asks nobody to sign in/);
  },
);
