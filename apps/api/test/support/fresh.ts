import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSentient, type Sentient, type SentientOptions } from "@sentient/agent-core";
import { openDatabase, type Database } from "@sentient/db-pool";
import type { AccessScope } from "@sentient/schema";
import { freshNames } from "@sentient/testkit";
import { afterAll, onTestFinished } from "vitest";
import { createApp, serveApi, type App, type AppOptions, type ServeOptions } from "../../src/index.ts";
import { requireDescribed } from "./described.ts";

const folders: string[] = [];
let engineFolder: Promise<string> | undefined;

afterAll(async () => {
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
});

/** An empty folder, gone after the tests of this file. */
export async function freshFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sentient-api-"));
  folders.push(folder);
  return folder;
}

/** An empty database: one rocksdb engine a test file, and in it a fresh namespace. */
export async function freshDatabase(): Promise<Database> {
  engineFolder ??= freshFolder();
  const db = await openDatabase({ url: `rocksdb://${await engineFolder}/engine`, ...freshNames() });
  onTestFinished(() => db.close({ deadline: 500 }));
  return db;
}

export async function sentientOn(db: Database, options: SentientOptions = {}): Promise<Sentient> {
  const sentient = await createSentient({ database: db, ...options });
  onTestFinished(() => sentient.close());
  return sentient;
}

export type Ask = (path: string, init?: Asking) => Promise<Answer>;

export interface Asking extends Omit<RequestInit, "body" | "headers"> {
  /** Made JSON of. */
  json?: unknown;
  /** As it is. */
  raw?: RequestInit["body"];
  token?: string | undefined;
  headers?: Record<string, string>;
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  body: any; // eslint-disable-line typescript/no-explicit-any -- whatever was answered
}

/** Asks an app; what it answers is what its document says. */
export function askerOf(app: App, token?: string): Ask {
  return async (path, { json, raw, token: other = token, headers = {}, ...init } = {}) => {
    const response = await app.request(path, {
      ...init,
      headers: {
        ...(other === undefined ? {} : { authorization: `Bearer ${other}` }),
        ...(json === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
      ...(raw === undefined ? {} : { body: raw }),
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get("content-type") ?? "");
    const body =
      isJson && !/ndjson/.test(response.headers.get("content-type")!) ? JSON.parse(text) : undefined;
    const method = (init.method ?? "GET").toLowerCase();
    if (body !== undefined) requireDescribed(app, method, path, response.status, body);
    return { status: response.status, headers: response.headers, text, body };
  };
}

/** Asks with POST. */
export const post = (json: unknown = {}): Asking => ({ method: "POST", json });

export async function tokenFor(sentient: Sentient, ...scopes: AccessScope[]): Promise<string> {
  const { secret } = await sentient.state.accessTokens.create({ name: scopes.join("-"), scopes });
  return secret;
}

export interface FreshApi {
  db: Database;
  sentient: Sentient;
  app: App;
  /** As somebody who may do everything. */
  ask: Ask;
  token: string;
}

/** Limits that no test reaches by chance. */
const WIDE = { failuresPerMinute: 1_000_000, requestsPerSecond: 1_000_000 };

export async function freshApi(
  runtime: SentientOptions = {},
  { limits, ...options }: AppOptions = {},
): Promise<FreshApi> {
  const db = await freshDatabase();
  const sentient = await sentientOn(db, runtime);
  const app = createApp(sentient, { ...options, limits: { ...WIDE, ...limits } });
  onTestFinished(() => app.close());
  const token = await tokenFor(sentient, "admin");
  return { db, sentient, app, token, ask: askerOf(app, token) };
}

/** The same behind a socket. */
export async function served(sentient: Sentient, { limits, ...options }: ServeOptions = {}) {
  const api = await serveApi(sentient, { port: 0, ...options, limits: { ...WIDE, ...limits } });
  onTestFinished(() => api.close({ deadline: 500 }));
  return api;
}
