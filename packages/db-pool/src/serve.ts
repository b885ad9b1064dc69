import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { timingSafeEqual, createHash } from "node:crypto";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import type { Database } from "./db.ts";
import type { Engine } from "./engine.ts";
import { closedError, DbError } from "./errors.ts";
import { engineOf } from "./open.ts";
import { isLoopback } from "./options.ts";
import { Secret } from "./secret.ts";
import { answerHttp } from "./served-http.ts";
import { ServedSocket } from "./served-socket.ts";

const MAX_MESSAGE = 128 * 1024 * 1024; // as SurrealDB's own server
const MIN_TOKEN = 16;

export interface ServeOptions {
  /** What a client must present, at least 16 characters. Whoever has it owns the database. */
  token: string | Secret;
  /** Default 0: any that is free. */
  port?: number;
  /** A loopback address. Default 127.0.0.1. */
  host?: string;
}

/** An embedded engine that other processes can use. */
export interface Served extends AsyncDisposable {
  /** For `openDatabase({ url, token })`, or any SurrealDB client. */
  readonly url: string;
  readonly port: number;
  /** How many clients are connected now. */
  readonly clients: number;
  /** Disconnects the clients and ends what they left: LIVE queries, transactions, sessions. */
  close(): Promise<void>;
}

/**
 * Serves an embedded database to other processes of this machine, over SurrealDB's own WebSocket and HTTP protocol:
 * an unmodified SDK connects with `ws://`. A client that has not presented the token can do nothing.
 *
 * @throws `db.bad_option` for a short token, an address that is not loopback, or a database that is itself remote
 * @example const served = await serve(db, { port: 8000, token });
 */
export async function serve(
  database: Database,
  { token, port = 0, host = "127.0.0.1" }: ServeOptions,
): Promise<Served> {
  if (database.closed) throw closedError();
  const engine = engineOf(database);
  if (!engine) throw badOption("only an embedded database can be served; this one is at a server already");
  if (!isLoopback(host))
    throw badOption(`${host} is not a loopback address; put a SurrealDB server there instead`);
  const known = new Secret(typeof token === "string" ? token : token.reveal());
  if (known.reveal().length < MIN_TOKEN)
    throw badOption(`the token is too short: use at least ${MIN_TOKEN} random characters`);

  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw badOption(`port ${port} is not from 0 to 65535`);

  const isToken = (presented: string) => sameText(presented, known.reveal());
  const sockets = new Set<ServedSocket>();
  const server = createServer((request, response) => {
    if (!isLocal(request)) return void response.writeHead(403).end();
    answerHttp(engine, isToken, request, response).catch(() => endWith500(response));
  });
  acceptSockets(server, engine, isToken, sockets);
  await listening(server, port, host);
  engine.retain();

  const actualPort = (server.address() as AddressInfo).port;
  let closing: Promise<void> | undefined;
  const close = () => (closing ??= shutDown(server, engine, sockets));
  return {
    url: `ws://${host.includes(":") && !host.startsWith("[") ? `[${host}]` : host}:${actualPort}/rpc`,
    port: actualPort,
    get clients() {
      return sockets.size;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function acceptSockets(
  server: Server,
  engine: Engine,
  isToken: (text: string) => boolean,
  sockets: Set<ServedSocket>,
): void {
  const upgrader = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has("cbor") ? "cbor" : false),
  });
  server.on("upgrade", (request: IncomingMessage, stream, head) => {
    const offered = request.headers["sec-websocket-protocol"]?.split(",").map((name) => name.trim());
    if (!isLocal(request) || request.url !== "/rpc" || !offered?.includes("cbor")) {
      stream.end("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n");
      return;
    }
    upgrader.handleUpgrade(request, stream, head, (socket) => {
      const served = new ServedSocket(socket, engine, isToken);
      sockets.add(served);
      void served.closed.then(() => sockets.delete(served));
    });
  });
}

async function shutDown(server: Server, engine: Engine, sockets: Set<ServedSocket>): Promise<void> {
  const stopped = new Promise((resolve) => server.close(resolve));
  const open = [...sockets];
  for (const socket of open) socket.disconnect();
  server.closeAllConnections();
  await Promise.all([stopped, ...open.map((socket) => socket.closed)]);
  await engine.release();
}

/** Refuses browsers: a page of any site can reach a loopback port, and DNS can be made to point a name there. */
function isLocal({ headers }: IncomingMessage): boolean {
  const host = headers.host?.replace(/:\d+$/, "") ?? "";
  return headers.origin === undefined && isLoopback(host);
}

function listening(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) =>
      reject(badOption(`port ${port} on ${host} cannot be served: ${cause.message}`, cause)),
    );
    server.listen(port, host, resolve);
  });
}

/** In a time that tells nothing of where they differ. */
function sameText(a: string, b: string): boolean {
  return timingSafeEqual(digest(a), digest(b));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function endWith500(response: ServerResponse): void {
  if (!response.headersSent) response.writeHead(500);
  response.end();
}

function badOption(message: string, cause?: unknown): DbError {
  return new DbError({ code: "db.bad_option", message, cause });
}
