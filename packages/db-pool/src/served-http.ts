import type { IncomingMessage, ServerResponse } from "node:http";
import { decode, encode, Encoded, entriesOf } from "./codec.ts";
import type { Engine } from "./engine.ts";
import { isErrorAnswer, ServedSession } from "./served-session.ts";

const MAX_BODY = 4 * 1024 * 1024; // as SurrealDB's own server

/** SurrealDB over HTTP: `/health`, `/version`, and `/rpc` with one request in a session of its own. */
export async function answerHttp(
  engine: Engine,
  isToken: (text: string) => boolean,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  switch (`${request.method} ${request.url}`) {
    case "GET /health":
      return void response.writeHead(200).end();
    case "GET /version":
      return void response
        .writeHead(200, { "content-type": "text/plain" })
        .end(String(await engine.call({ method: "version" })));
    case "POST /rpc":
      return answerRpc(engine, isToken, request, response);
    default:
      return void response.writeHead(404).end();
  }
}

async function answerRpc(
  engine: Engine,
  isToken: (text: string) => boolean,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await bodyOf(request);
  if (!body) return void response.writeHead(413).end();
  const entries = entriesOf(body);
  const id = entries?.get("id");
  const method = entries?.get("method");
  if (!entries || !id || !method) return void response.writeHead(400).end();

  const session = new ServedSession(engine, isToken);
  await session.begin();
  try {
    const { "surreal-ns": namespace, "surreal-db": database, authorization } = request.headers;
    const call = (name: string, params: unknown[]) =>
      session.handle({ method: name, params: encode(params), txn: undefined }, false);
    if (namespace) await call("use", [namespace, database]);
    const token = authorization?.replace(/^Bearer /i, "");
    if (token && isErrorAnswer(await call("authenticate", [token])))
      return void response.writeHead(401).end();
    const answer = await session.handle(
      { method: String(decode(method)), params: entries.get("params"), txn: undefined },
      false,
    );
    const said = isErrorAnswer(answer) ? entriesOf(answer)!.get("error")! : answer;
    reply(response, { id: new Encoded(id), [said === answer ? "result" : "error"]: new Encoded(said) });
  } catch (error) {
    reply(response, { id: new Encoded(id), error: { code: -32000, message: (error as Error).message } });
  } finally {
    await session.end();
  }
}

function reply(response: ServerResponse, message: Record<string, unknown>): void {
  response.writeHead(200, { "content-type": "application/cbor" }).end(encode(message));
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
