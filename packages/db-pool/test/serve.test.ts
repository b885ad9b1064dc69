// A served database, as its clients meet it: the unmodified SDK, raw protocol, strangers, users with few rights.

import { request } from "node:http";
import { freshNames, servedEngine, tcpProxy, until } from "@sentient/testkit";
import { type LiveMessage, Surreal, Table } from "surrealdb";
import { describe, expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { decode, encode, ident, openDatabase, RecordId, serve, surql, Uuid } from "../src/index.ts";
import type { Database, Served, ServeOptions } from "../src/index.ts";
import { engineOf } from "../src/open.ts";
import { failureOf } from "./support/failure.ts";
import { freshDatabase, freshFolder } from "./support/fresh.ts";

const TOKEN = "a-token-of-this-test-file";
const REFUSED = /sign in first/;

interface Site {
  url: string;
  token: string;
  namespace: string;
  database: string;
}

interface OwnSite extends Site {
  db: Database;
  served: Served;
}

type Engine = "rocksdb" | "mem";

/** A database of its own in an engine of this process, and served. */
async function serveHere(engine: Engine = "rocksdb", options?: Partial<ServeOptions>): Promise<OwnSite> {
  const db = await freshDatabase(engine === "mem" ? { url: "mem://" } : {});
  const served = await serve(db, { token: TOKEN, ...options });
  onTestFinished(() => served.close());
  return { namespace: db.namespace, database: db.database, db, served, url: served.url, token: TOKEN };
}

async function serveElsewhere(): Promise<Site> {
  const entry = new URL("./fixtures/serve-child.ts", import.meta.url);
  const engine = await servedEngine({ entry, folder: await freshFolder() });
  onTestFinished(() => engine.close());
  return { ...freshNames("serve"), url: engine.url, token: engine.token };
}

/** The SDK, as it comes. */
async function connected({ url, token, namespace, database }: Site, options = {}): Promise<Surreal> {
  const sdk = new Surreal();
  onTestFinished(async () => void (await sdk.close()));
  await sdk.connect(url, { authentication: token, namespace, database, ...options });
  return sdk;
}

interface Answer {
  result?: unknown;
  error?: { code: number; message: string };
}

/** The bare protocol, for what no SDK would send. */
class RawClient {
  readonly socket: WebSocket;
  readonly #waiting = new Map<string, (answer: Answer) => void>();
  #ids = 0;

  private constructor(socket: WebSocket) {
    this.socket = socket.on("message", (data: Buffer) => {
      const { id, ...answer } = decode(data) as Answer & { id?: string };
      if (id !== undefined) this.#waiting.get(id)?.(answer);
    });
  }

  static open(url: string, { protocol = "cbor", headers = {} } = {}): Promise<RawClient> {
    const socket = new WebSocket(url, protocol, { headers: { ...headers } });
    onTestFinished(() => socket.terminate());
    return new Promise((resolve, reject) => {
      socket.once("open", () => resolve(new RawClient(socket)));
      socket.once("error", reject);
    });
  }

  /** Signed in with the token, in the site's database. */
  static async owner({ url, token, namespace, database }: Site): Promise<RawClient> {
    const client = await RawClient.open(url);
    await client.ask("authenticate", [token]);
    await client.ask("use", [namespace, database]);
    return client;
  }

  ask(method: string, params: unknown[] = [], more: Record<string, unknown> = {}): Promise<Answer> {
    const id = String(++this.#ids);
    this.socket.send(encode({ id, method, params, ...more }));
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }
}

/** A statement for `ask`. */
function text(statement: string): unknown[] {
  return [statement, {}];
}

async function livesOn(db: Database, table: string): Promise<string[]> {
  const info = await db.query(surql<{ lives: Record<string, string> }>`INFO FOR TABLE ${ident(table)}`);
  return Object.keys(info.lives);
}

async function engineSessions(db: Database): Promise<number> {
  return ((await engineOf(db)!.call({ method: "sessions" })) as unknown[]).length;
}

async function namespaces(db: Database): Promise<string[]> {
  const info = await db.query(surql<{ namespaces: Record<string, string> }>`INFO FOR ROOT`);
  return Object.keys(info.namespaces).toSorted();
}

/** Collects what a LIVE query tells, as `ACTION id`. */
async function heardBy(
  client: Surreal,
  table: string,
): Promise<{ heard: string[]; kill: () => Promise<void> }> {
  const subscription = await client.live(new Table(table));
  const heard: string[] = [];
  subscription.subscribe(({ action, recordId }: LiveMessage) => void heard.push(`${action} ${recordId}`));
  return { heard, kill: () => subscription.kill() };
}

describe("an unmodified SDK", () => {
  test.for([
    { where: "this process", site: () => serveHere() },
    { where: "another process", site: serveElsewhere },
  ])("asks a database served by $where in every way it has", async ({ site }) => {
    const sdk = await connected(await site());
    const [ada, bob] = [new RecordId("person", "ada"), new RecordId("person", "bob")];
    expect(await sdk.version()).toEqual({ version: expect.stringMatching(/^surrealdb-3\./) });
    expect(await sdk.health()).toBeUndefined();
    expect(await sdk.create(ada).content({ age: 36 })).toEqual({ id: ada, age: 36 });
    expect(await sdk.insert(new Table("person"), [{ id: bob, age: 7 }])).toEqual([{ id: bob, age: 7 }]);
    expect(await sdk.update(ada).merge({ born: 1815 })).toEqual({ id: ada, age: 36, born: 1815 });
    expect(await sdk.update(bob).patch([{ op: "replace", path: "/age", value: 8 }])).toEqual({
      id: bob,
      age: 8,
    });
    expect(await sdk.upsert(bob).content({ age: 9 })).toEqual({ id: bob, age: 9 });
    expect(await sdk.select(new Table("person"))).toHaveLength(2);
    expect(await sdk.relate(ada, new Table("knows"), bob)).toMatchObject({ in: ada, out: bob });
    expect(await sdk.delete(bob)).toEqual({ id: bob, age: 9 });
    expect(await sdk.select(bob)).toBeUndefined();
    expect(await sdk.run("string::len", ["four"])).toBe(4);
    expect(await sdk.query("RETURN $n + 1; RETURN $n", { n: 1 })).toEqual([2, 1]);
    await expect(sdk.query("CREATE person:ada")).rejects.toThrow("already exists");
    await expect(sdk.query("SELECT FROM")).rejects.toThrow("Parse error");
  });

  test("keeps the variables and the database of each session apart", async () => {
    const site = await serveHere();
    const sdk = await connected(site);
    const [one, two] = [await sdk.forkSession(), await sdk.forkSession()];
    await one.set("who", "one");
    await two.set("who", "two");
    await two.use({ database: "elsewhere" });
    const whereAndWho = "RETURN [session::db(), $who]";
    expect(await sdk.query(whereAndWho)).toEqual([[site.database, undefined]]);
    expect(await one.query(whereAndWho)).toEqual([[site.database, "one"]]);
    expect(await two.query(whereAndWho)).toEqual([["elsewhere", "two"]]);
    await one.closeSession();
    expect(await two.query("RETURN $who")).toEqual(["two"]);
  });

  test("gives a fork the variables its parent had", async () => {
    const sdk = await connected(await serveHere());
    await sdk.set("who", "parent");
    const fork = await sdk.forkSession();
    expect(await fork.query("RETURN $who")).toEqual(["parent"]);
  });

  test("has its sign-in, database and variables back after a reconnect", async () => {
    const site = await serveHere();
    await using proxy = await tcpProxy({ port: site.served.port });
    const url = `ws://${proxy.host}:${proxy.port}/rpc`;
    const sdk = await connected(
      { ...site, url },
      { reconnect: { enabled: true, attempts: -1, retryDelay: 10 } },
    );
    await sdk.set("who", "me");
    proxy.reset();
    const answer = await until(() => sdk.query("RETURN [session::db(), $who]"), { what: "the reconnect" });
    expect(answer).toEqual([[site.database, "me"]]);
  });

  test("shows a transaction to others once it is committed, and never if it is cancelled", async () => {
    const site = await serveHere();
    await site.db.query(surql`DEFINE TABLE note`);
    const [writer, reader] = [await connected(site), await connected(site)];
    const kept = await writer.beginTransaction();
    await kept.query("CREATE note:kept");
    expect(await kept.query("SELECT VALUE id FROM note")).toEqual([[new RecordId("note", "kept")]]);
    expect(await reader.query("SELECT VALUE id FROM note")).toEqual([[]]);
    await kept.commit();
    const dropped = await writer.beginTransaction();
    await dropped.query("CREATE note:dropped");
    await dropped.cancel();
    expect(await reader.query("SELECT VALUE id FROM note")).toEqual([[new RecordId("note", "kept")]]);
    await expect(kept.query("CREATE note:late")).rejects.toThrow("Transaction not found");
  });

  test("hears the changes it asked for and no others, and none after it has killed its LIVE query", async () => {
    const site = await serveHere();
    await site.db.query(surql`DEFINE TABLE apple`);
    await site.db.query(surql`DEFINE TABLE pear`);
    const apples = await heardBy(await connected(site), "apple");
    const pears = await heardBy(await connected(site), "pear");
    await site.db.query(surql`CREATE apple:1`);
    await site.db.query(surql`CREATE pear:1`);
    await until(() => apples.heard.length === 1 && pears.heard.length === 1);
    await apples.kill();
    expect(await livesOn(site.db, "apple")).toEqual([]);
    await site.db.query(surql`CREATE apple:2`);
    await site.db.query(surql`CREATE pear:2`);
    await until(() => pears.heard.length === 2); // later than the apple, and heard over the same engine
    expect(apples.heard).toEqual(["CREATE apple:1"]);
    expect(pears.heard).toEqual(["CREATE pear:1", "CREATE pear:2"]);
  });

  test("carries 8 MB there and back", async () => {
    const sdk = await connected(await serveHere());
    const bytes = new Uint8Array(8 * 1024 * 1024).map((_, i) => i * 31);
    await sdk.create(new RecordId("blob", 1)).content({ bytes });
    const [read] = await sdk.query<[ArrayBuffer]>("SELECT VALUE bytes FROM ONLY blob:1");
    expect(Buffer.from(read).equals(bytes)).toBe(true);
  });

  test("asks over http:// with the token, and is refused with another", async () => {
    const site = await serveHere();
    const url = site.url.replace("ws:", "http:");
    const sdk = await connected({ ...site, url });
    expect(await sdk.query("CREATE ONLY note:1 SET over = 'http'")).toEqual([
      { id: new RecordId("note", 1), over: "http" },
    ]);
    expect(await site.db.query(surql`SELECT VALUE over FROM note`)).toEqual(["http"]);
    await expect(connected({ ...site, url, token: "not the token of this server" })).rejects.toThrow();
    expect(await site.db.query(surql`SELECT VALUE over FROM note`)).toEqual(["http"]);
  });
});

describe("a client", () => {
  test("need not wait for the answer to its sign-in before it asks", async () => {
    const site = await serveHere();
    const client = await RawClient.open(site.url);
    const answers = await Promise.all([
      client.ask("use", [site.namespace, site.database]),
      client.ask("authenticate", [site.token]),
      client.ask("query", text("CREATE note:1")),
      client.ask("invalidate"),
      client.ask("query", text("CREATE note:2")),
    ]);
    expect(answers.map((answer) => "error" in answer)).toEqual([false, false, false, false, true]);
    expect(await site.db.query(surql`SELECT VALUE id FROM note`)).toEqual([new RecordId("note", 1)]);
  });

  test("that does not read what it asked to hear is cut off, and others hear on", async () => {
    const site = await serveHere("mem");
    await site.db.query(surql`DEFINE TABLE note`);
    const attentive = await heardBy(await connected(site), "note");
    const client = await RawClient.owner(site);
    await client.ask("query", text("LIVE SELECT * FROM note"));
    client.socket.pause();
    const megabyte = "x".repeat(1024 * 1024);
    const write = async () =>
      void (await site.db.query(surql`CREATE note SET text = ${megabyte} RETURN NONE`));
    await until(() => write().then(() => site.served.clients === 1), {
      deadline: 60_000,
      what: "it to be cut off",
    });
    await until(async () => (await livesOn(site.db, "note")).length === 1);
    const before = attentive.heard.length;
    await write();
    await until(() => attentive.heard.length > before);
  });
});

describe("a transaction of a client", () => {
  test("cannot be used, committed or cancelled by another", async () => {
    const site = await serveHere();
    await site.db.query(surql`DEFINE TABLE note`);
    const [mine, yours] = [await RawClient.owner(site), await RawClient.owner(site)];
    const { result: txn } = await mine.ask("begin");
    await mine.ask("query", text("CREATE note:1"), { txn });
    const notFound = { error: { code: -32_000, message: "Transaction not found" } };
    expect(await yours.ask("query", text("CREATE note:2"), { txn })).toEqual(notFound);
    expect(await yours.ask("commit", [txn])).toEqual(notFound);
    expect(await yours.ask("cancel", [txn])).toEqual(notFound);
    expect(await site.db.query(surql`SELECT * FROM note`)).toEqual([]);
    expect(await mine.ask("commit", [txn])).not.toHaveProperty("error");
    expect(await site.db.query(surql`SELECT VALUE id FROM note`)).toEqual([new RecordId("note", 1)]);
  });

  test("holds the write lane of mem, and a second writer waits for it", async () => {
    const site = await serveHere("mem");
    await site.db.query(surql`CREATE counter:x SET n = 0`);
    const client = await RawClient.owner(site);
    const { result: txn } = await client.ask("begin");
    await client.ask("query", text("UPDATE counter:x SET n += 1"), { txn });
    const order: string[] = [];
    const second = site.db.query(surql`UPDATE counter:x SET n += 1`).then(() => order.push("second"));
    expect(await site.db.query(surql`SELECT VALUE n FROM counter:x`)).toEqual([0]); // who reads need not wait
    order.push("commit");
    await client.ask("commit", [txn]);
    await second;
    expect(order).toEqual(["commit", "second"]);
    expect(await site.db.query(surql`SELECT VALUE n FROM counter:x`)).toEqual([2]);
  });

  test("is not waited for longer than a call may take; what gave up waiting is never done", async () => {
    const site = await serveHere("mem");
    await site.db.query(surql`CREATE counter:x SET n = 0`);
    const client = await RawClient.owner(site);
    const { result: txn } = await client.ask("begin");
    const late = await failureOf(() => site.db.query(surql`UPDATE counter:x SET n += 1`, { timeout: 100 }));
    expect(late).toMatchObject({ code: "db.timeout", outcome: "not_applied", retryable: true });
    await client.ask("cancel", [txn]);
    await site.db.query(surql`UPDATE counter:x SET n += 10`); // behind it in the lane
    expect(await site.db.query(surql`SELECT VALUE n FROM counter:x`)).toEqual([10]);
  });

  test.for(["cancel", "a closed session", "a closed connection"])(
    "gives the write lane back by %s",
    async (how) => {
      const site = await serveHere("mem");
      const client = await RawClient.owner(site);
      const session = Uuid.v4();
      await client.ask("attach", [], { session });
      await client.ask("authenticate", [site.token], { session });
      await client.ask("use", [site.namespace, site.database], { session });
      const { result: txn } = await client.ask("begin", [], { session });
      await client.ask("query", text("CREATE note:unfinished"), { session, txn });
      if (how === "cancel") await client.ask("cancel", [txn], { session });
      else if (how === "a closed session") await client.ask("detach", [], { session });
      else client.socket.terminate();
      await site.db.query(surql`CREATE note:next`);
      expect(await site.db.query(surql`SELECT VALUE id FROM note`)).toEqual([new RecordId("note", "next")]);
    },
  );
});

describe("a client that is gone", () => {
  test("leaves no transaction, no LIVE query and no session behind", async () => {
    const site = await serveHere();
    await site.db.query(surql`DEFINE TABLE note`);
    const before = await engineSessions(site.db);
    await using proxy = await tcpProxy({ port: site.served.port });
    const url = `ws://${proxy.host}:${proxy.port}/rpc`;
    const sdk = await connected({ ...site, url }, { reconnect: false });
    await sdk.forkSession();
    await heardBy(sdk, "note");
    const transaction = await sdk.beginTransaction();
    await transaction.query("CREATE note:unfinished");
    expect(await livesOn(site.db, "note")).toHaveLength(1);
    expect(await engineSessions(site.db)).toBe(before + 2);
    proxy.reset();
    await until(async () => (await livesOn(site.db, "note")).length === 0, {
      what: "its LIVE query to be killed",
    });
    await until(async () => (await engineSessions(site.db)) === before, { what: "its sessions to end" });
    expect(site.served.clients).toBe(0);
    expect(await site.db.query(surql`SELECT * FROM note`)).toEqual([]);
  });

  test.for<Engine>(["rocksdb", "mem"])(
    "leaves no LIVE query behind that was just being made (%s)",
    async (engine) => {
      const site = await serveHere(engine);
      await site.db.query(surql`DEFINE TABLE note`);
      for (let i = 0; i < 30; i++) {
        const client = await RawClient.owner(site);
        for (let n = 0; n < 3; n++) void client.ask("query", text("LIVE SELECT * FROM note"));
        await turns(i % 3);
        client.socket.terminate();
      }
      await until(() => site.served.clients === 0);
      await until(async () => (await livesOn(site.db, "note")).length === 0, {
        what: "all LIVE queries to be killed",
      });
      await site.served.close();
      await site.db.close();
      const again = await freshDatabase(engine === "mem" ? { url: "mem://" } : {}); // an engine that still listened is lost
      expect(await again.query(surql`RETURN 1`)).toBe(1);
    },
  );

  test("does not keep the write lane by a transaction that was just beginning", async () => {
    const site = await serveHere("mem");
    for (let i = 0; i < 30; i++) {
      const client = await RawClient.owner(site);
      for (let n = 0; n < 3; n++) void client.ask("begin");
      await turns(i % 3);
      client.socket.terminate();
      await site.db.query(surql`UPSERT counter:x SET n += 1`);
    }
    expect(await site.db.query(surql`SELECT VALUE n FROM ONLY counter:x`)).toBe(30);
  });
});

describe("a stranger", () => {
  const DATA_METHODS: [method: string, ...params: unknown[]][] = [
    ["query", "CREATE note", {}],
    ["select", "note"],
    ["create", "note", {}],
    ["insert", "note", {}],
    ["insert_relation", "knows", {}],
    ["update", "note", {}],
    ["upsert", "note", {}],
    ["merge", "note", {}],
    ["patch", "note", []],
    ["delete", "note"],
    ["relate", "note:1", "knows", "note:2"],
    ["run", "string::len", null, ["four"]],
    ["live", "note"],
    ["kill", Uuid.v4()],
    ["info"],
    ["begin"],
  ];

  test("is refused every method that touches data, before it signs in", async () => {
    const site = await serveHere();
    const stranger = await RawClient.open(site.url);
    expect(await stranger.ask("use", [site.namespace, site.database])).not.toHaveProperty("error");
    for (const [method, ...params] of DATA_METHODS) {
      expect(await stranger.ask(method, params), method).toEqual({
        error: { code: expect.any(Number), message: expect.stringMatching(REFUSED) },
      });
    }
    expect(await stranger.ask("ping")).not.toHaveProperty("error");
    expect(await stranger.ask("authenticate", [site.token])).not.toHaveProperty("error");
    expect(await stranger.ask("create", ["note", {}])).not.toHaveProperty("error");
  });

  test("is refused over HTTP without a token, and with one leaves no LIVE query that nobody could hear", async () => {
    const site = await serveHere();
    await site.db.query(surql`DEFINE TABLE note`);
    const post = async (headers: Record<string, string>, statement: string) => {
      const answer = await fetch(site.url.replace("ws:", "http:"), {
        method: "POST",
        headers: { "Surreal-NS": site.namespace, "Surreal-DB": site.database, ...headers },
        body: encode({ id: "1", method: "query", params: [statement, {}] }),
      });
      return { status: answer.status, body: new Uint8Array(await answer.arrayBuffer()) };
    };
    const owner = { Authorization: `Bearer ${site.token}` };
    const stranger = await post({}, "CREATE note");
    expect(decode(stranger.body)).toMatchObject({ error: { message: expect.stringMatching(REFUSED) } });
    expect(await post({ Authorization: "Bearer nonsense" }, "CREATE note")).toMatchObject({ status: 401 });
    await post(owner, "LIVE SELECT * FROM note");
    expect(await livesOn(site.db, "note")).toEqual([]);
    expect(await site.db.query(surql`SELECT * FROM note`)).toEqual([]);
    expect(await post(owner, "CREATE note")).toMatchObject({ status: 200 });
    expect(await site.db.query(surql`SELECT * FROM note`)).toHaveLength(1);
  });

  test.for(["invalidate", "reset"])("is what a client becomes by %s", async (goodbye) => {
    const site = await serveHere();
    const client = await RawClient.owner(site);
    expect(await client.ask("query", text("CREATE note:1"))).not.toHaveProperty("error");
    expect(await client.ask(goodbye)).not.toHaveProperty("error");
    for (const [method, ...params] of DATA_METHODS) {
      expect(await client.ask(method, params), method).toEqual({
        error: { code: expect.any(Number), message: expect.stringMatching(REFUSED) },
      });
    }
    await client.ask("authenticate", [site.token]);
    await client.ask("use", [site.namespace, site.database]);
    expect(await client.ask("query", text("CREATE note:2"))).not.toHaveProperty("error");
    expect(await site.db.query(surql`SELECT VALUE id FROM note`)).toHaveLength(2);
  });

  test.for([
    { who: "with a wrong token", token: "not the token of this server" },
    { who: "with a token of another shape", token: "eyJhbGciOiJub25lIn0.eyJOUyI6Im4iLCJJRCI6InJvb3QifQ." },
    { who: "without a token", token: undefined },
  ])("$who makes no namespace and reads nothing", async ({ token }) => {
    const site = await serveHere();
    const before = await namespaces(site.db);
    const sdk = new Surreal();
    onTestFinished(async () => void (await sdk.close()));
    const asked = sdk
      .connect(site.url, { authentication: token, namespace: "theirs", database: "theirs", reconnect: false })
      .then(() => sdk.query("CREATE note"));
    await expect(asked).rejects.toThrow();
    expect(await namespaces(site.db)).toEqual(before);
    const opened = await failureOf(() => openDatabase({ url: site.url, token: token ?? "none at all" }));
    expect(opened.code).toBe("db.auth_failed");
    expect(await namespaces(site.db)).toEqual(before);
  });

  test.for([
    { who: "a page in a browser", headers: { Origin: "http://localhost:3000" } },
    { who: "a page that a sandbox made nameless", headers: { Origin: "null" } },
    { who: "a name that DNS made point here", headers: { Host: "evil.example" } },
    { who: "a name that begins as an address", headers: { Host: "127.0.0.1.evil.example:8000" } },
  ])("that is $who is turned away, over WebSocket and HTTP", async ({ headers }) => {
    const site = await serveHere();
    await expect(RawClient.open(site.url, { headers })).rejects.toThrow("403");
    expect(await statusOf(site, "GET", "/health", headers)).toBe(403);
    expect(await statusOf(site, "POST", "/rpc", headers)).toBe(403);
    expect(await statusOf(site, "GET", "/health")).toBe(200);
  });

  test("that speaks another dialect, or at another path, is turned away", async () => {
    const site = await serveHere();
    await expect(RawClient.open(site.url, { protocol: "json" })).rejects.toThrow("403");
    await expect(RawClient.open(site.url.replace("/rpc", "/other"))).rejects.toThrow("403");
    expect(await statusOf(site, "POST", "/sql")).toBe(404);
    expect(await statusOf(site, "GET", "/export")).toBe(404);
  });

  test("that does not sign in is shown the door", async () => {
    const site = await serveHere();
    const [stranger, guest] = [await RawClient.open(site.url), await RawClient.owner(site)];
    await stranger.ask("use", [site.namespace, site.database]);
    await until(() => stranger.socket.readyState === WebSocket.CLOSED, {
      deadline: 60_000,
      what: "the door",
    });
    expect(guest.socket.readyState).toBe(WebSocket.OPEN);
  });
});

describe("what makes no sense", () => {
  test("is answered, or ends that client only", async () => {
    const site = await serveHere();
    const bystander = await connected(site);
    for (const garbage of [
      Buffer.alloc(0),
      Buffer.from([0xff]),
      Buffer.from("{}"),
      Buffer.alloc(1_000, 0x81),
      encode([1]),
      encode({ method: "ping" }),
    ]) {
      const { socket } = await RawClient.open(site.url);
      socket.send(garbage);
      await until(() => socket.readyState === WebSocket.CLOSED, { what: "the end of who sends garbage" });
    }
    const client = await RawClient.owner(site);
    const refused = { error: { code: expect.any(Number), message: expect.any(String) } };
    expect(await client.ask("dance")).toEqual({
      error: { code: -32_601, message: "Method not found: dance" },
    });
    expect(await client.ask("__proto__")).toMatchObject(refused);
    expect(await client.ask("query", [])).toMatchObject(refused);
    expect(await client.ask("query", [1, 2, 3])).toMatchObject(refused);
    expect(await client.ask("authenticate", [{}])).toMatchObject(refused);
    expect(await client.ask("commit", ["nothing"])).toMatchObject(refused);
    expect(await client.ask("ping", [], { session: "no uuid" })).toEqual({ result: undefined });
    expect(await bystander.query("RETURN 1")).toEqual([1]);
    expect(await site.db.query(surql`RETURN 1`)).toBe(1);
  });

  test.for([[[null, null]], [[null, "a"]], [["a", null]], [[1, 2]], [[{}, []]]])(
    "use(%j) is refused, and does not take the owner down",
    async ([names]) => {
      const site = await serveHere();
      const client = await RawClient.owner(site);
      expect(await client.ask("use", names)).toMatchObject({
        error: { message: expect.stringMatching(/^use /) },
      });
      expect(await client.ask("query", text("RETURN session::db()"))).toMatchObject({
        result: [{ status: "OK", result: site.database }],
      });
    },
  );

  test("an HTTP request that is too large is refused, and the next is served", async () => {
    const site = await serveHere();
    const db = await openDatabase({
      ...namesOf(site),
      url: site.url.replace("ws:", "http:"),
      token: site.token,
    });
    onTestFinished(() => db.close());
    const tooLarge = surql`CREATE ONLY blob:1 SET text = ${"x".repeat(5 * 1024 * 1024)}`;
    expect(await failureOf(() => db.query(tooLarge))).toMatchObject({
      outcome: "not_applied",
      message: expect.stringMatching(/large/),
    });
    expect(await db.query(surql`RETURN 1`)).toBe(1);
  });
});

describe("a user that is defined in the database", () => {
  const PASSWORD = "password of someone";

  async function withUser(
    engine: Engine,
    role: "VIEWER" | "EDITOR",
  ): Promise<OwnSite & { credentials: object }> {
    const site = await serveHere(engine);
    await site.db.query(
      role === "VIEWER"
        ? surql`DEFINE USER someone ON DATABASE PASSWORD "password of someone" ROLES VIEWER`
        : surql`DEFINE USER someone ON DATABASE PASSWORD "password of someone" ROLES EDITOR`,
    );
    await site.db.query(surql`CREATE note:first`);
    return {
      ...site,
      credentials: { ns: site.namespace, db: site.database, user: "someone", pass: PASSWORD },
    };
  }

  async function signedIn({
    url,
    namespace,
    database,
    credentials,
  }: Site & { credentials: object }): Promise<RawClient> {
    const client = await RawClient.open(url);
    await client.ask("use", [namespace, database]);
    expect(await client.ask("signin", [credentials])).not.toHaveProperty("error");
    return client;
  }

  const notes = (db: Database) => db.query(surql`SELECT VALUE id FROM note`);
  const onlyTheFirst = [new RecordId("note", "first")];

  test("signs in with the SDK, and has that user's rights", async () => {
    const site = await withUser("rocksdb", "EDITOR");
    const authentication = { ...namesOf(site), username: "someone", password: PASSWORD };
    const editor = await connected(site, { authentication });
    await editor.query("CREATE note:second");
    expect(await notes(site.db)).toHaveLength(2);
    await expect(editor.query("DEFINE USER another ON DATABASE PASSWORD 'x' ROLES OWNER")).rejects.toThrow(
      "Not enough permissions",
    );
    await expect(editor.query("INFO FOR ROOT")).rejects.toThrow("Not enough permissions");
    await expect(
      connected(site, { authentication: { ...authentication, password: "wrong" } }),
    ).rejects.toThrow("authentication");
  });

  test.for<Engine>(["rocksdb", "mem"])("reads as a viewer and writes nothing (%s)", async (engine) => {
    const site = await withUser(engine, "VIEWER");
    const viewer = await signedIn(site);
    expect(await viewer.ask("query", text("SELECT VALUE id FROM note"))).toMatchObject({
      result: [{ result: onlyTheFirst }],
    });
    await viewer.ask("query", text("CREATE note:second"));
    await viewer.ask("query", text("DELETE note"));
    await viewer.ask("create", ["note", {}]);
    const { result: txn } = await viewer.ask("begin");
    await viewer.ask("query", text("CREATE note:third"), { txn });
    await viewer.ask("commit", [txn]);
    expect(await notes(site.db)).toEqual(onlyTheFirst);
  });

  test("stays that user when another sign-in fails", async () => {
    const site = await withUser("rocksdb", "VIEWER");
    const viewer = await signedIn(site);
    expect(await viewer.ask("signin", [{ ...site.credentials, pass: "wrong" }])).toHaveProperty("error");
    expect(await viewer.ask("authenticate", ["not the token of this server"])).toHaveProperty("error");
    await viewer.ask("query", text("CREATE note:second"));
    expect(await notes(site.db)).toEqual(onlyTheFirst);
  });

  test.for<Engine>(["rocksdb", "mem"])(
    "does nothing with the owner's rights by signing out (%s)",
    async (engine) => {
      const site = await withUser(engine, "VIEWER");
      for (let i = 0; i < 20; i++) {
        const viewer = await signedIn(site);
        const { result: txn } = await viewer.ask("begin"); // on mem, what follows waits in the write lane
        const asked = [
          ...Array.from({ length: 5 }, () => viewer.ask("query", text("CREATE note"))),
          viewer.ask(i % 2 ? "invalidate" : "reset"),
          viewer.ask("query", text("CREATE note")),
        ];
        await Promise.all([viewer.ask("cancel", [txn]), ...asked]);
      }
      expect(await notes(site.db)).toEqual(onlyTheFirst);
    },
  );

  test("makes no namespace and no database by choosing it", async () => {
    const site = await withUser("rocksdb", "EDITOR");
    const before = await namespaces(site.db);
    const editor = await signedIn(site);
    await editor.ask("use", ["theirs", "theirs"]);
    await editor.ask("use", [site.namespace, "theirs"]);
    expect(await namespaces(site.db)).toEqual(before);
    const info = await site.db.query(surql<{ databases: object }>`INFO FOR NS`);
    expect(Object.keys(info.databases)).toEqual([site.database]);
  });

  test("is refused once its session has lasted as long as it may", async () => {
    const site = await withUser("rocksdb", "VIEWER");
    await site.db.query(
      surql`DEFINE USER OVERWRITE someone ON DATABASE PASSWORD "password of someone" ROLES VIEWER DURATION FOR SESSION 1s`,
    );
    const viewer = await signedIn(site);
    const expired = await until(async () => (await viewer.ask("query", text("SELECT * FROM note"))).error);
    expect(expired.message).toMatch(/session has expired/);
    expect(await viewer.ask("query", text("CREATE note:second"))).toHaveProperty("error");
    expect(await notes(site.db)).toEqual(onlyTheFirst);
  });
});

describe("serve", () => {
  test("disconnects its clients when closed, and the owner's database goes on", async () => {
    const site = await serveHere();
    const sdk = await connected(site, { reconnect: false });
    const gone = new Promise((resolve) => sdk.subscribe("disconnected", () => resolve("disconnected")));
    await sdk.query("CREATE note:1");
    await site.served.close();
    expect(await gone).toBe("disconnected");
    expect(site.served.clients).toBe(0);
    await expect(RawClient.open(site.url)).rejects.toThrow("ECONNREFUSED");
    expect(await site.db.query(surql`CREATE ONLY note:2`)).toEqual({ id: new RecordId("note", 2) });
    await site.served.close(); // closing twice is closing once
  });

  test("goes on serving until it is closed itself, though its owner's database was closed", async () => {
    const site = await serveHere("mem");
    const sdk = await connected(site);
    await site.db.close();
    expect(await sdk.query("CREATE ONLY note:1")).toEqual([{ id: new RecordId("note", 1) }]);
    await site.served.close();
  });

  test("refuses a database that is closed", async () => {
    const db = await openDatabase({ url: "mem://" });
    await db.close();
    expect(await failureOf(() => serve(db, { token: TOKEN }))).toMatchObject({ code: "db.closed" });
  });

  test("refuses a database that is at a server already", async () => {
    const site = await serveHere();
    await using remote = await openDatabase({ ...namesOf(site), url: site.url, token: site.token });
    const refusal = await failureOf(() => serve(remote, { token: TOKEN }));
    expect(refusal).toMatchObject({
      code: "db.bad_option",
      message: expect.stringMatching(/only an embedded/),
    });
  });

  test.for([
    { what: "a short token", options: { token: "fifteen letters" }, says: /at least 16/ },
    { what: "no token", options: { token: "" }, says: /at least 16/ },
    { what: "an address others can reach", options: { host: "0.0.0.0" }, says: /not a loopback address/ },
    {
      what: "a name others can reach",
      options: { host: "localhost.example" },
      says: /not a loopback address/,
    },
    { what: "a port that does not exist", options: { port: 70_000 }, says: /port 70000/ },
  ])("refuses $what", async ({ options, says }) => {
    await using db = await openDatabase({ url: "mem://" });
    const refusal = await failureOf(() => serve(db, { token: TOKEN, ...options }));
    expect(refusal).toMatchObject({ code: "db.bad_option", message: expect.stringMatching(says) });
    expect(await db.query(surql`RETURN 1`)).toBe(1);
  });

  test("refuses a port that is in use, and goes on serving there", async () => {
    const site = await serveHere();
    await using other = await openDatabase({ url: "mem://" });
    const { port } = site.served;
    const refusal = await failureOf(() => serve(other, { token: TOKEN, port }));
    expect(refusal).toMatchObject({
      code: "db.bad_option",
      message: expect.stringContaining(`port ${port}`),
    });
    expect(await (await connected(site)).query("RETURN 1")).toEqual([1]);
  });

  test("serves on IPv6 loopback", async () => {
    const site = await serveHere("mem", { host: "::1" });
    expect(site.url).toMatch(/^ws:\/\/\[::1\]:\d+\/rpc$/);
    expect(await (await connected(site)).query("RETURN 1")).toEqual([1]);
  });
});

function namesOf({ namespace, database }: Site): { namespace: string; database: string } {
  return { namespace, database };
}

/** Lets what was sent get some way, and differently far each time. */
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

function statusOf(
  site: OwnSite,
  method: string,
  path: string,
  headers: object = {},
): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request(
      { port: site.served.port, host: "127.0.0.1", method, path, headers: { ...headers } },
      (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      },
    );
    asked.on("error", reject).end();
  });
}
