import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import { median, type TcpProxy, tcpProxy, until } from "../src/index.ts";
import { reading } from "../src/until.ts";

let server: ReturnType<typeof createServer>;
let serverSockets: Socket[];
let received: string;
let proxy: TcpProxy;
let clients: Client[];

beforeEach(async () => {
  serverSockets = [];
  received = "";
  clients = [];
  server = createServer({ allowHalfOpen: true }, (socket) => {
    serverSockets.push(socket);
    socket.on("error", () => {});
    socket.on("data", (data) => {
      received += data;
      socket.write(data);
    });
    socket.on("end", () => socket.end("bye"));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  proxy = await tcpProxy({ port: (server.address() as AddressInfo).port });
});

afterEach(async () => {
  for (const { socket } of clients) socket.destroy();
  await proxy.close();
  for (const socket of serverSockets) socket.destroy();
  server.close();
});

test("bytes pass both ways and are counted", async () => {
  const client = await open();
  expect(await client.echo("hello")).toBe("hello");
  expect(proxy.bytes).toEqual({ up: 5, down: 5 });
  expect(proxy.connections).toBe(1);
  client.socket.destroy();
  await until(() => proxy.connections === 0);
});

test("a client may end its half and still read the reply", async () => {
  const client = await open();
  client.socket.end("last words");
  await client.closed;
  expect(client.seen).toBe("last wordsbye");
  expect(client.error).toBeUndefined();
});

test("a large payload arrives whole, in order and with back-pressure", async () => {
  const payload = Array.from({ length: 200_000 }, (_, index) => `${index};`).join("");
  const socket = connect(proxy.port, proxy.host);
  socket.end(payload);
  expect(await text(socket)).toBe(`${payload}bye`);
});

test("a dead server shows as a reset", async () => {
  await using nowhere = await tcpProxy({ port: 1 });
  const client = await open(nowhere);
  await client.closed;
  expect(client.error).toBe("ECONNRESET");
});

test("dropped replies: the server hears, the client does not, until the proxy passes again", async () => {
  const [before, after] = [await open(), await openAfter(() => proxy.dropReplies())];
  before.socket.write("one");
  after.socket.write("two");
  await until(() => received.includes("one") && received.includes("two"));
  await quiet();
  expect([before.seen, after.seen]).toEqual(["", ""]);
  proxy.pass();
  expect(await before.echo("three")).toBe("three");
});

test("one way down: the client hears, the server does not", async () => {
  const client = await open();
  await until(() => serverSockets.length === 1);
  proxy.oneWay("down");
  client.socket.write("unheard");
  serverSockets[0]!.write("pushed");
  await until(() => client.seen === "pushed");
  expect(received).toBe("");
});

test("a black hole is silent and ends nothing, for old connections and new ones", async () => {
  const [before, after] = [await open(), await openAfter(() => proxy.blackHole())];
  before.socket.write("x");
  after.socket.write("y");
  await until(() => serverSockets.length === 2);
  for (const socket of serverSockets) socket.destroy();
  await quiet();
  expect([before, after].map(({ seen, error, socket }) => [seen, error, socket.destroyed])).toEqual([
    ["", undefined, false],
    ["", undefined, false],
  ]);
  expect(received).toBe("");
  proxy.pass(); // and now the news of the dead server arrives
  await Promise.all([before.closed, after.closed]);
});

test("a black hole hides that the server cannot be reached", async () => {
  await using nowhere = await tcpProxy({ port: 1 });
  nowhere.blackHole();
  const client = await open(nowhere);
  await quiet();
  expect(client.socket.destroyed).toBe(false);
  nowhere.pass();
  await client.closed;
  expect(client.error).toBe("ECONNRESET");
});

test("reset breaks every open connection at both ends, and only those", async () => {
  const [first, second] = [await open(), await open()];
  await Promise.all([first.echo("a"), second.echo("b")]);
  const atServer = serverSockets.map((socket) => new Promise((resolve) => socket.once("error", resolve)));
  proxy.reset();
  await Promise.all([first.closed, second.closed]);
  expect([first.error, second.error]).toEqual(["ECONNRESET", "ECONNRESET"]);
  expect(await Promise.all(atServer)).toMatchObject([{ code: "ECONNRESET" }, { code: "ECONNRESET" }]);
  expect(await (await open()).echo("c")).toBe("c");
});

test("refused: new connections are reset, open ones go on, until the proxy passes again", async () => {
  const before = await open();
  proxy.refuse();
  const after = await open();
  await after.closed;
  expect(after.error).toBe("ECONNRESET");
  expect(await before.echo("still here")).toBe("still here");
  proxy.pass();
  expect(await (await open()).echo("welcome")).toBe("welcome");
});

test("latency delays each way and keeps the order, even while it changes", async () => {
  const client = await open();
  proxy.latency(60);
  const started = performance.now();
  client.socket.write("1");
  await until(() => received === "1");
  expect(performance.now() - started).toBeGreaterThanOrEqual(59); // timers count in whole milliseconds
  await until(() => client.seen === "1");
  expect(performance.now() - started).toBeGreaterThanOrEqual(118);
  client.socket.write("2");
  await until(() => received === "12");
  proxy.latency(0);
  client.socket.write("3");
  await until(() => client.seen.length === 3);
  expect(client.seen).toBe("123");
});

test("latency does not add up over what is under way at the same time", async () => {
  const client = await open();
  await until(() => serverSockets.length === 1);
  const arrivals: number[] = [];
  serverSockets[0]!.on("data", (bytes: Buffer) => bytes.forEach(() => arrivals.push(performance.now())));
  proxy.latency(100);
  for (let count = 0; count < 10; count++) {
    client.socket.write("x");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await until(() => client.seen.length === 10);
  const gaps = arrivals.slice(1).map((arrival, before) => arrival - arrivals[before]!);
  expect(gaps).toHaveLength(9);
  expect(median(gaps)).toBeLessThan(50); // if it added up, each would be a latency
});

test("bandwidth paces a payload, in order", async () => {
  const client = await open();
  const payload = Array.from({ length: 1_000 }, (_, index) => `${index};`).join("");
  proxy.bandwidth(20_000);
  const started = performance.now();
  expect(await client.echo(payload)).toBe(payload);
  expect(performance.now() - started).toBeGreaterThan((payload.length / 20_000) * 900);
});

test("a cut lets exactly so many bytes through, strikes once, and counts only its direction", async () => {
  const client = await open();
  proxy.cutAfter(4, "down");
  client.socket.write("0123456789");
  await client.closed;
  expect(client.seen).toBe("0123");
  expect(received).toBe("0123456789");
  expect(await (await open()).echo("whole")).toBe("whole");
});

test("a cut without a direction counts both", async () => {
  const client = await open();
  proxy.cutAfter(15);
  client.socket.write("0123456789");
  await client.closed;
  expect(client.seen).toBe("01234");
});

test("faults add up, and pass lifts them all", async () => {
  const client = await open();
  proxy.latency(30);
  proxy.bandwidth(10);
  proxy.dropReplies();
  proxy.refuse();
  proxy.cutAfter(1_000);
  client.socket.write("a");
  await until(() => received === "a");
  proxy.latency(600_000);
  proxy.pass();
  const message = "b".repeat(10_000); // which would take a quarter of an hour, after ten minutes
  client.socket.write(message);
  await until(() => client.seen.endsWith(message));
  expect(await (await open()).echo("c")).toBe("c");
});

test("closing drops everything and frees the port, and twice is once", async () => {
  const client = await open();
  await client.echo("x");
  await proxy.close();
  await proxy.close();
  await client.closed;
  expect((await open()).error).toBe("ECONNREFUSED");
});

test("numbers that make no sense are refused", () => {
  expect(() => proxy.latency(-1)).toThrow(RangeError);
  expect(() => proxy.bandwidth(0.5)).toThrow(RangeError);
  expect(() => proxy.cutAfter(Number.NaN)).toThrow(RangeError);
});

interface Client {
  socket: Socket;
  /** Everything read so far. */
  seen: string;
  error: string | undefined;
  closed: Promise<unknown>;
  echo(message: string): Promise<string>;
}

async function open(through: TcpProxy = proxy): Promise<Client> {
  const socket = connect({ port: through.port, host: through.host });
  const closed = new Promise((resolve) => socket.once("close", resolve));
  const client: Client = {
    socket,
    seen: "",
    error: undefined,
    closed,
    async echo(message) {
      const from = client.seen.length;
      socket.write(message);
      await until(() => client.seen.length >= from + message.length);
      return client.seen.slice(from);
    },
  };
  socket.on("data", (data) => (client.seen += data));
  socket.on("error", (error: NodeJS.ErrnoException) => (client.error = error.code));
  clients.push(client);
  await Promise.race([new Promise((resolve) => socket.once("connect", resolve)), closed]);
  return client;
}

function openAfter(fault: () => void): Promise<Client> {
  fault();
  return open();
}

/** Long enough for bytes on loopback to arrive, if any were sent. */
async function quiet(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 50));
  await reading();
}
