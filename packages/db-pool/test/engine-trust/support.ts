// The engine as SurrealDB ships it. Owns: speaking to it with none of our protection in between, so that a test of this
// folder tells what SurrealDB does and not what we make of it. Run by Node, this file is the child process that a test
// kills, or that the engine aborts.

import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { type Child, freshNames, spawnChild } from "@sentient/testkit";
import { CborCodec, type RecordId, Table, type Uuid } from "surrealdb";
import { WebSocket } from "ws";
import { type EngineFailure, isBystander } from "../../src/classify.ts";
import { openDatabase, serve } from "../../src/index.ts";
import { openNative } from "../../src/native.ts";

export type OnDisk = "rocksdb" | "surrealkv";
export type Embedded = OnDisk | "mem";
/** `served` is rocksdb behind our own `serve`, over a socket. */
export type Kind = Embedded | "served";

export const ON_DISK: OnDisk[] = ["rocksdb", "surrealkv"];
export const EMBEDDED: Embedded[] = [...ON_DISK, "mem"];
export const EVERYWHERE: Kind[] = [...EMBEDDED, "served"];

const TOKEN = "whoever has this owns the database";

/** The SDK's own, so that a fault of our codec cannot hide one of the engine. */
export const codec = new CborCodec({});

export interface Defect {
  /** Expects what the defect does today. */
  shows(expectation: () => unknown): Promise<void>;
}

/**
 * A defect of SurrealDB that we work around.
 *
 * @param then what of ours can go on the day it no longer shows
 * @example await defect("surrealdb#7303", "remove the write lane").shows(() => expect(lost).toBeGreaterThan(0));
 */
export function defect(what: string, then: string): Defect {
  return {
    shows: (expectation) =>
      saying(
        `upstream seems to have mended a defect (${what}): ${then}, and turn this test round`,
        expectation,
      ),
  };
}

/** Adds to what a failed expectation says. */
export async function saying(what: string, expectation: () => unknown): Promise<void> {
  try {
    await expectation();
  } catch (cause) {
    throw new Error(`${what}\n${(cause as Error).message}`, { cause });
  }
}

/** What one statement answered. */
export interface Answer {
  status: "OK" | "ERR";
  result: unknown;
  kind?: string;
}

export interface Notification {
  action: "CREATE" | "UPDATE" | "DELETE" | "KILLED";
  record?: RecordId;
  result?: unknown;
}

/** In which session, and in which transaction of it. */
interface Place {
  session?: Uuid;
  txn?: Uuid;
}

type Variables = Record<string, unknown>;

interface Line {
  send(request: object): Promise<unknown>;
  hear(tell: (notification: Notification) => void): void;
}

/**
 * Opens an engine with a database of its own.
 *
 * @param folder where it keeps its data; one that goes with it, if left out
 * @example await using engine = await open("rocksdb");
 */
export async function open(kind: Kind, folder?: string): Promise<RawEngine> {
  await using parts = new AsyncDisposableStack();
  const path = folder ?? parts.use(await temporaryFolder()).path;
  const line = kind === "served" ? await lineToServed(path, parts) : await lineTo(urlOf(kind, path), parts);
  const engine = new RawEngine(line, parts.move());
  if (kind === "served") await engine.rpc("authenticate", [TOKEN]);
  const { namespace, database } =
    folder === undefined ? freshNames() : { namespace: "kept", database: "kept" };
  await engine.rpc("use", [namespace, database]);
  return engine;
}

export class RawEngine implements AsyncDisposable {
  /** What came since `listen`. */
  readonly heard: Notification[] = [];
  readonly #line: Line;
  readonly #parts: AsyncDisposableStack;
  #listening = false;

  constructor(line: Line, parts: AsyncDisposableStack) {
    this.#line = line;
    this.#parts = parts;
  }

  /** @throws what the engine answers instead of a result */
  async rpc<T>(method: string, params: unknown[] = [], place: Place = {}): Promise<T> {
    return (await this.#line.send({ method, params, ...place })) as T;
  }

  /** The answer of each statement, failed ones among them. */
  query(text: string, variables: Variables = {}, place?: Place): Promise<Answer[]> {
    return this.rpc("query", [text, variables], place);
  }

  /** The result of the last statement. @throws what the first that truly failed says */
  async run<T>(text: string, variables?: Variables, place?: Place): Promise<T> {
    const answers = await this.query(text, variables, place);
    const failure = failureAmong(answers);
    if (failure) throw new Error(failure.message);
    return answers.at(-1)!.result as T;
  }

  /** What the first statement that truly fails says. @throws if none does */
  async failureOf(text: string): Promise<EngineFailure> {
    const answers = await this.query(text).catch((error: Error) => error);
    const failure = answers instanceof Error ? answers : failureAmong(answers);
    if (!failure) throw new Error(`it did not fail: ${text}`);
    return failure;
  }

  /** `run`, again after every conflict, as the engine asks. */
  async insist<T>(text: string, variables?: Variables): Promise<T> {
    for (;;) {
      try {
        return await this.run<T>(text, variables);
      } catch (error) {
        if (!/can be retried/.test((error as Error).message)) throw error;
      }
    }
  }

  /** A LIVE query on a table that exists. Everything this engine tells from now on is in `heard`. */
  async listen(table: string): Promise<Uuid> {
    if (!this.#listening) this.#line.hear((notification) => this.heard.push(notification));
    this.#listening = true;
    return this.rpc<Uuid>("live", [new Table(table)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

function failureAmong(answers: Answer[]): EngineFailure | undefined {
  return answers
    .filter(({ status }) => status === "ERR")
    .map(({ result, ...more }) => ({ ...more, message: String(result) }))
    .find((failure) => !isBystander(failure));
}

async function lineTo(url: string, parts: AsyncDisposableStack): Promise<Line> {
  const native = await openNative(url);
  const calls = new Set<Promise<Uint8Array>>();
  parts.defer(async () => {
    await Promise.allSettled(calls); // to free it under a call aborts the process, and the report of the test with it
    native.free();
  });
  return {
    async send(request) {
      const call = native.execute(codec.encode({ id: "", ...request }));
      calls.add(call);
      return resultOf(codec.decode(await call.finally(() => calls.delete(call))));
    },
    async hear(tell) {
      const receiver = await native.notifications();
      for (;;) {
        const bytes = await receiver.recv();
        if (bytes === null) return;
        tell(codec.decode(bytes));
      }
    },
  };
}

async function lineToServed(folder: string, parts: AsyncDisposableStack): Promise<Line> {
  const database = parts.use(await openDatabase({ url: `rocksdb://${folder}` }));
  const served = parts.use(await serve(database, { token: TOKEN }));
  const socket = new WebSocket(served.url, "cbor");
  const waiting = new Map<string, PromiseWithResolvers<unknown>>();
  const listeners: ((notification: Notification) => void)[] = [];
  let lastId = 0;
  socket.on("message", (data: Buffer) => {
    const message = codec.decode<{ id?: string; result: Notification }>(data);
    if (message.id === undefined) for (const tell of listeners) tell(message.result);
    else waiting.get(message.id)?.resolve(message);
  });
  socket.once("close", () => {
    for (const { reject } of waiting.values()) reject(new Error("the socket was closed"));
  });
  await once(socket, "open");
  parts.defer(() => socket.terminate());
  return {
    async send(request) {
      const id = String(++lastId);
      const answer = Promise.withResolvers<unknown>();
      waiting.set(id, answer);
      socket.send(codec.encode({ id, ...request }));
      return (resultOf(await answer.promise) as { result: unknown }).result;
    },
    hear(tell) {
      listeners.push(tell);
    },
  };
}

function resultOf(answer: unknown): unknown {
  const { error } = (answer ?? {}) as { error?: { message?: string } };
  if (typeof error?.message === "string") throw new Error(error.message);
  return answer;
}

/** As many of `work` at once. */
export function atOnce<T>(writers: number, work: (writer: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: writers }, (_, writer) => work(writer)));
}

/** What a promise comes to, or `pending` if that takes too long to wait for. */
export async function outcomeWithin<T>(milliseconds: number, promise: Promise<T>): Promise<T | "pending"> {
  const late = new AbortController();
  return Promise.race([promise, after(milliseconds, "pending" as const, { signal: late.signal })]).finally(
    () => late.abort(),
  );
}

interface Folder extends AsyncDisposable {
  path: string;
}

/** @example await using folder = await temporaryFolder(); */
export async function temporaryFolder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), "engine-trust-"));
  // RocksDB may be writing still: it lives until the process ends.
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 10 }) };
}

export function urlOf(kind: Embedded, folder: string): string {
  return kind === "mem" ? "mem://" : `${kind}://${folder}`;
}

type Act = keyof typeof ACTS;

/** A process of its own that opens an engine and does one thing with it. */
export function inChild(act: Act, url: string): Child {
  return spawnChild(new URL(import.meta.url), { args: [act, url] });
}

const say = (message: object) => console.log(JSON.stringify(message));

const ACTS = {
  async "open it"(url: string) {
    const refused = await opened(url).then(
      () => false,
      (error: Error) => error.message,
    );
    say({ refused });
  },
  async "choose a null namespace"(url: string) {
    const { call } = await opened(url);
    await call("use", [null, "any"]);
  },
  async "call it after freeing it"(url: string) {
    const { native, call } = await opened(url);
    native.free();
    await call("ping");
  },
  async "free it with calls in flight"(url: string) {
    // It aborts if one of them has not begun by then, which is likely but not sure.
    for (let attempt = 0; attempt < 30; attempt++) {
      const { native, call } = await opened(url === "mem://" ? url : `${url}/${attempt}`);
      const calls = Array.from({ length: 500 }, () => call("query", ["RETURN 1"]));
      native.free();
      await Promise.allSettled(calls);
    }
  },
  async "leave it idle"(url: string) {
    const { native } = await opened(url);
    await native.notifications();
    say({ idle: true });
  },
  async "wait for a notification"(url: string) {
    const { native } = await opened(url);
    const receiver = await native.notifications();
    void receiver.recv();
    say({ waiting: true });
  },
  async "write until killed"(url: string) {
    const { call } = await opened(url);
    await call("query", ["DEFINE TABLE note"]);
    let last = 0;
    await atOnce(8, async () => {
      for (;;) {
        const written = ++last;
        const [answer] = (await call("query", ["CREATE note SET n = $written", { written }])) as Answer[];
        if (answer!.status === "OK") say({ written });
      }
    });
  },
  async "listen until killed"(url: string) {
    const { native, call } = await opened(url);
    await call("query", ["DEFINE TABLE bell"]);
    const answers = (await call("query", ["LIVE SELECT * FROM bell"])) as Answer[];
    say({ live: String(answers[0]!.result) });
    await (await native.notifications()).recv();
  },
};

async function opened(url: string) {
  const native = await openNative(url);
  const call = async (method: string, params: unknown[] = []) =>
    codec.decode(await native.execute(codec.encode({ id: "", method, params })));
  await call("use", ["kept", "kept"]);
  return { native, call };
}

if (import.meta.main) {
  const [act, url] = process.argv.slice(2);
  await ACTS[act as Act](url!);
}
