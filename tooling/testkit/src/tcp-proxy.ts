import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { type Direction, type Lane, type Line, lane } from "./tcp-lane.ts";

const LOOPBACK = "127.0.0.1";

export interface TcpTarget {
  host?: string;
  port: number;
}

interface Connection {
  client: Socket;
  upstream: Socket;
  lanes: Lane[];
}

/**
 * A TCP proxy on loopback that misbehaves on demand. It starts passing everything.
 *
 * @example
 * await using proxy = await tcpProxy({ port: 8000 });
 * const db = await connect(`ws://${proxy.host}:${proxy.port}/rpc`);
 * proxy.dropReplies();
 */
export async function tcpProxy(target: TcpTarget): Promise<TcpProxy> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.listen(0, LOOPBACK);
  await once(server, "listening");
  return new TcpProxy(server, target);
}

/**
 * Faults strike open and new connections alike, add up, and last until `pass()`. Swallowed bytes are gone for
 * good, which a real network never does to a connection that lives on: `reset()` before `pass()` is the honest end.
 */
export class TcpProxy implements AsyncDisposable {
  readonly host = LOOPBACK;
  readonly port: number;
  /** Bytes handed on so far. */
  readonly bytes: Readonly<Record<Direction, number>>;

  readonly #server: Server;
  readonly #target: TcpTarget;
  readonly #connections = new Set<Connection>();
  readonly #line: Line;
  #refusing = false;

  constructor(server: Server, target: TcpTarget) {
    this.#server = server.on("connection", (client) => this.#accept(client));
    this.#target = target;
    this.#line = {
      bytes: { up: 0, down: 0 },
      swallowed: new Set(),
      latency: 0,
      bytesPerSecond: Infinity,
      cut: undefined,
    };
    this.bytes = this.#line.bytes;
    this.port = (server.address() as AddressInfo).port;
  }

  /** How many clients are connected. */
  get connections(): number {
    return [...this.#connections].filter(({ client }) => !client.destroyed).length;
  }

  /** Lifts every fault. Ends of stream that were swallowed are delivered now. */
  pass(): void {
    this.#refusing = false;
    this.#line.swallowed = new Set();
    this.#line.latency = 0;
    this.#line.bytesPerSecond = Infinity;
    this.#line.cut = undefined;
    for (const { lanes } of this.#connections) for (const lane of lanes) lane.heal();
  }

  /** Requests arrive, replies are swallowed. */
  dropReplies(): void {
    this.oneWay("up");
  }

  /** Only bytes in this direction arrive; the others are swallowed, ends of stream too. */
  oneWay(direction: Direction): void {
    this.#swallow(direction === "up" ? "down" : "up");
  }

  /** Swallows both ways and ends nothing. New connections are accepted and stay silent. */
  blackHole(): void {
    this.#swallow("up");
    this.#swallow("down");
  }

  /** Resets (RST) every open connection at both ends, once. */
  reset(): void {
    for (const { client, upstream } of this.#connections) {
      client.resetAndDestroy();
      upstream.resetAndDestroy();
    }
  }

  /** Resets new connections at once; open ones go on. */
  refuse(): void {
    this.#refusing = true;
  }

  /** Delays every byte by `ms` milliseconds, each way. */
  latency(ms: number): void {
    if (!(ms >= 0)) throw new RangeError(`latency must be zero or more milliseconds, not ${ms}`);
    this.#line.latency = ms;
  }

  /** Limits each direction of each connection to this many bytes per second. */
  bandwidth(bytesPerSecond: number): void {
    if (!(bytesPerSecond >= 1))
      throw new RangeError(`bandwidth must be one or more bytes per second, not ${bytesPerSecond}`);
    this.#line.bytesPerSecond = bytesPerSecond;
  }

  /**
   * Lets `bytes` more bytes through, counted over all connections and in both directions unless one is named,
   * then closes the connection that carried the last one. Strikes once.
   *
   * @example proxy.cutAfter(100, "down") // in the middle of a reply
   */
  cutAfter(bytes: number, direction?: Direction): void {
    if (!(bytes >= 0)) throw new RangeError(`cannot cut after ${bytes} bytes`);
    this.#line.cut = { left: bytes, direction };
  }

  /** Drops every connection and stops listening. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const { client, upstream } of this.#connections) {
      client.destroy();
      upstream.destroy();
    }
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #swallow(direction: Direction): void {
    this.#line.swallowed = new Set([...this.#line.swallowed, direction]);
  }

  #accept(client: Socket): void {
    if (this.#refusing) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect({ host: LOOPBACK, ...this.#target, allowHalfOpen: true, noDelay: true });
    const lanes = [lane("up", client, upstream, this.#line), lane("down", upstream, client, this.#line)];
    const connection = { client, upstream, lanes };
    this.#connections.add(connection);
    const forget = () => {
      if (client.destroyed && upstream.destroyed) this.#connections.delete(connection);
    };
    client.once("close", forget);
    upstream.once("close", forget);
  }
}
