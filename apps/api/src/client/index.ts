// The client. Owns: every operation of the API as a function, by what it is about.

import type { AccessScope } from "@sentient/schema";
import { follow } from "./follow.ts";
import { Http, path, type ClientOptions } from "./http.ts";
import type {
  DiffOptions,
  EventFilter,
  EventPage,
  ForkOptions,
  HistoryOptions,
  Point,
  Reason,
  RunFilter,
  ScheduleOptions,
  Signalled,
  StartOptions,
  StateChange,
} from "./options.ts";
import type * as wire from "./wire.ts";

export { ApiProblem } from "./http.ts";
export type { ClientOptions } from "./http.ts";
export type {
  DiffOptions,
  EventFilter,
  EventPage,
  ForkOptions,
  HistoryOptions,
  Point,
  RunFilter,
  ScheduleOptions,
  StartOptions,
  StateChange,
} from "./options.ts";
export type * from "./wire.ts";

type Json = wire.Json;

/** What a run tells and streams, with the place behind it. */
export type StreamItem =
  | { type: "event"; place: string; event: wire.Event }
  | { type: "chunk"; place: string; chunk: wire.Chunk };

/** Made by `createClient`. */
export type Client = ReturnType<typeof createClient>;

/**
 * Asks a Sentient server. What it refuses is thrown as an `ApiProblem` with its `code`.
 *
 * @example
 * const sentient = createClient({ url: "http://127.0.0.1:4840", token });
 * const { id } = await sentient.runs.start({ name: "research", input: { question: "why?" } });
 * for await (const item of sentient.runs.follow(id)) console.log(item.place);
 * const { output } = await sentient.runs.result(id, { wait: 60_000 });
 */
export function createClient(options: ClientOptions) {
  const http = new Http(options);
  return {
    runs: runsOf(http),
    checkpoints: checkpointsOf(http),
    questions: questionsOf(http),
    events: eventsOf(http),
    agents: agentsOf(http),
    schedules: schedulesOf(http),
    consumers: consumersOf(http),
    ...fleetOf(http),
    tokens: tokensOf(http),
    audit: auditOf(http),
    /** Whether the server is ready to be asked. */
    ready: () => http.json<{ status: "ready"; auth: "on" | "off" }>("GET", "/readyz"),
  };
}

const of = (run: string, what = "") => `${path`/v1/runs/${run}`}${what}`;

function runsOf(http: Http) {
  return {
    /** Starts a run, and answers once it is on disk. */
    start: (body: StartOptions) => http.json<{ id: string }>("POST", "/v1/runs", { body }),
    /** A page of runs, the newest first. */
    list: (query: RunFilter = {}) =>
      http.json<{ runs: wire.ListedRun[]; next?: number }>("GET", "/v1/runs", { query: { ...query } }),
    get: (run: string) => http.json<wire.Run>("GET", of(run)),
    /** How it has ended; with `wait`, up to 60,000 milliseconds, as soon as it has. */
    result: (run: string, { wait, signal }: { wait?: number } & Signalled = {}) =>
      http.json<wire.Outcome>("GET", of(run, "/result"), { query: { wait }, signal }),
    cancel: (run: string, body: Reason & { force?: boolean } = {}) =>
      http.json<wire.Run>("POST", of(run, "/cancel"), { body }),
    pause: (run: string, body: Reason = {}) => http.json<wire.Run>("POST", of(run, "/pause"), { body }),
    resume: (run: string, body: Reason = {}) => http.json<wire.Run>("POST", of(run, "/resume"), { body }),
    restore: (run: string, body: { checkpoint: string } | { n: number }) =>
      http.json<wire.Run>("POST", of(run, "/restore"), { body }),
    fork: (run: string, body: ForkOptions = {}) =>
      http.json<{ id: string }>("POST", of(run, "/fork"), { body }),
    /** Says something to a run; under the same id it is said once. */
    signal: (run: string, name: string, data: Json = null, options: { id?: string } = {}) =>
      http.json<wire.Signal>("POST", of(run, "/signals"), { body: { name, data, ...options } }),
    signals: (run: string, query: { name?: string; taken?: boolean; after?: number; limit?: number } = {}) =>
      http.json<{ signals: wire.Signal[]; next?: number }>("GET", of(run, "/signals"), { query }),
    history: (run: string, query: EventPage = {}) =>
      http.json<{ events: wire.Event[]; next?: number }>("GET", of(run, "/history"), { query: { ...query } }),
    explain: (run: string) => http.json<{ explanations: wire.Explanation[] }>("GET", of(run, "/explain")),
    ancestors: (run: string) =>
      http.json<{ runs: wire.RelatedRun[]; truncated: boolean }>("GET", of(run, "/ancestors")),
    descendants: (run: string) =>
      http.json<{ runs: wire.RelatedRun[]; truncated: boolean }>("GET", of(run, "/descendants")),
    state: (run: string, at: Point = {}) =>
      http.json<{ state: Json }>("GET", of(run, "/state"), { query: { ...at } }),
    steps: (run: string, at: Point = {}) =>
      http.json<{ steps: wire.Step[] }>("GET", of(run, "/steps"), { query: { ...at } }),
    chunks: (run: string, query: { after?: number; limit?: number } = {}) =>
      http.json<{ chunks: wire.Chunk[] }>("GET", of(run, "/chunks"), { query }),
    /** All that belongs to it, as lines of JSON. */
    export: async (run: string, query: { tree?: boolean } = {}) =>
      (await http.response("GET", of(run, "/export"), { query })).body!,
    /** Brings what `export` gave into this database. */
    import: (lines: string | ReadableStream<Uint8Array>) =>
      http.json<wire.Imported>("POST", "/v1/runs/import", { lines }),
    /** Changes its state or its tags, if no worker holds it and it is still at that revision. */
    update: (run: string, body: StateChange) =>
      http.json<{ run: wire.Run; state: Json }>("PUT", of(run, "/state"), { body }),
    /** Adds an event of one's own to its history; under the same id it is added once. */
    addHistory: (run: string, type: string, data: Json = null, options: HistoryOptions = {}) =>
      http.json<{ n: number; position: number }>("POST", of(run, "/history"), {
        body: { type, data, ...options },
      }),
    /** How it differs from another one, or from another point of itself. */
    diff: (run: string, query: DiffOptions = {}) =>
      http.json<wire.Diff>("GET", of(run, "/diff"), { query: { ...query } }),
    /** Whether its events are those that were told, where the log has hashes. */
    verify: (run: string, query: { hash?: string } = {}) =>
      http.json<wire.Verified>("GET", of(run, "/verify"), { query }),
    /** How many bytes it takes up. */
    storage: (run: string, query: { tree?: boolean } = {}) =>
      http.json<wire.Storage>("GET", of(run, "/storage"), { query }),
    /** What it tells and streams, until its end, over as many connections as that takes. */
    async *follow(
      run: string,
      { after, chunks, signal }: { after?: string; chunks?: boolean } & Signalled = {},
    ): AsyncGenerator<StreamItem, void, undefined> {
      for await (const frame of follow(http, of(run, "/events"), { query: { chunks }, after, signal })) {
        const place = frame.id ?? "";
        const data = JSON.parse(frame.data) as never;
        yield frame.event === "chunk"
          ? { type: "chunk", place, chunk: data }
          : { type: "event", place, event: data };
      }
    },
  };
}

function checkpointsOf(http: Http) {
  return {
    list: (run: string, query: { before?: number; limit?: number } = {}) =>
      http.json<{ checkpoints: wire.Checkpoint[]; next?: number }>("GET", path`/v1/runs/${run}/checkpoints`, {
        query,
      }),
    get: (run: string, name: string) =>
      http.json<wire.Checkpoint>("GET", path`/v1/runs/${run}/checkpoints/${name}`),
    create: (run: string, name: string, metadata?: Json) =>
      http.json<wire.Checkpoint>("POST", path`/v1/runs/${run}/checkpoints`, { body: { name, metadata } }),
  };
}

function questionsOf(http: Http) {
  return {
    list: (
      query: {
        run?: string;
        assignee?: string;
        status?: wire.Question["status"];
        after?: number;
        limit?: number;
      } = {},
    ) => http.json<{ questions: wire.ListedQuestion[]; next?: number }>("GET", "/v1/questions", { query }),
    get: (run: string, key: string) =>
      http.json<wire.Question>("GET", path`/v1/runs/${run}/questions/${key}`),
    /** Once. */
    answer: (run: string, key: string, value: Json) =>
      http.json<wire.Question>("POST", path`/v1/runs/${run}/questions/${key}/answer`, { body: { value } }),
  };
}

function eventsOf(http: Http) {
  return {
    history: (query: EventFilter & EventPage & { run?: string } = {}) =>
      http.json<{ events: wire.Event[]; next?: number }>("GET", "/v1/events/history", {
        query: { ...query },
      }),
    /** Everything that happens from now on, or behind a position. */
    async *follow({
      after,
      signal,
      ...filter
    }: EventFilter & Signalled & { after?: number } = {}): AsyncGenerator<wire.Event, void, undefined> {
      const from = { after: after === undefined ? undefined : String(after), signal };
      for await (const { data } of follow(http, "/v1/events", { query: filter, ...from }))
        yield JSON.parse(data) as wire.Event;
    },
    publish: (body: {
      type: string;
      data?: Json;
      eventId?: string;
      target?: string;
      workflow?: string;
      correlation?: string;
      causation?: string;
    }) => http.json<{ position: number }>("POST", "/v1/events", { body }),
    /** Removes the oldest ones, for ever. */
    trim: (body: { before?: number; olderThan?: number; keep?: number; force?: boolean }) =>
      http.json<wire.Trimmed>("POST", "/v1/events/trim", { body }),
    why: (event: string | number) => http.json<wire.Why>("GET", path`/v1/events/${String(event)}/why`),
    trace: (event: string | number, query: { limit?: number } = {}) =>
      http.json<wire.Trace>("GET", path`/v1/events/${String(event)}/trace`, { query }),
  };
}

function agentsOf(http: Http) {
  type Versions = { agents: wire.Agent[] };
  return {
    list: (query: { capability?: string; queue?: string; after?: string; limit?: number } = {}) =>
      http.json<Versions & { next?: string }>("GET", "/v1/agents", { query }),
    get: (name: string) => http.json<Versions>("GET", path`/v1/agents/${name}`),
    pause: (name: string, body: Reason = {}) =>
      http.json<Versions>("POST", path`/v1/agents/${name}/pause`, { body }),
    resume: (name: string, body: Reason = {}) =>
      http.json<Versions>("POST", path`/v1/agents/${name}/resume`, { body }),
    /** What it remembers across its runs. */
    state: (name: string) => http.json<wire.AgentState>("GET", path`/v1/agents/${name}/state`),
    /** Changes that, if it is still at that revision; 0 begins it. */
    putState: (name: string, state: Json, revision: number) =>
      http.json<wire.AgentState>("PUT", path`/v1/agents/${name}/state`, { body: { state, revision } }),
  };
}

function schedulesOf(http: Http) {
  return {
    list: (query: { after?: string; limit?: number } = {}) =>
      http.json<{ schedules: wire.Schedule[]; next?: string }>("GET", "/v1/schedules", { query }),
    get: (name: string) => http.json<wire.Schedule>("GET", path`/v1/schedules/${name}`),
    put: (name: string, body: ScheduleOptions) =>
      http.json<wire.Schedule>("PUT", path`/v1/schedules/${name}`, { body }),
    pause: (name: string) => http.json<wire.Schedule>("POST", path`/v1/schedules/${name}/pause`),
    resume: (name: string) => http.json<wire.Schedule>("POST", path`/v1/schedules/${name}/resume`),
    remove: (name: string) => http.json<{ removed: boolean }>("DELETE", path`/v1/schedules/${name}`),
  };
}

function consumersOf(http: Http) {
  return {
    list: () => http.json<{ consumers: string[] }>("GET", "/v1/consumers"),
    get: (name: string) => http.json<wire.Consumer>("GET", path`/v1/consumers/${name}`),
    deadLetters: (name: string, query: { after?: number; limit?: number } = {}) =>
      http.json<{ letters: wire.DeadLetter[] }>("GET", path`/v1/consumers/${name}/dead-letters`, { query }),
    redrive: (name: string, positions?: readonly number[]) =>
      http.json<{ redriven: number }>("POST", path`/v1/consumers/${name}/redrive`, { body: { positions } }),
    /** Has it go on with the event at a position. */
    move: (name: string, from: number) =>
      http.json<wire.Consumer>("POST", path`/v1/consumers/${name}/move`, { body: { from } }),
    remove: (name: string) => http.json<{ removed: boolean }>("DELETE", path`/v1/consumers/${name}`),
  };
}

function fleetOf(http: Http) {
  return {
    workers: {
      list: (query: { live?: boolean } = {}) =>
        http.json<{ workers: wire.Worker[] }>("GET", "/v1/workers", { query }),
    },
    limits: {
      list: () => http.json<{ limits: wire.Limit[] }>("GET", "/v1/limits"),
      get: (key: string) => http.json<wire.Limit>("GET", path`/v1/limits/${key}`),
      set: (key: string, body: { concurrency?: number; rate?: { count: number; per: number } }) =>
        http.json<wire.Limit>("PUT", path`/v1/limits/${key}`, { body }),
      remove: (key: string) => http.json<{ removed: boolean }>("DELETE", path`/v1/limits/${key}`),
    },
  };
}

function auditOf(http: Http) {
  return {
    /** The latest first. */
    list: (query: { what?: string; by?: string; before?: number; limit?: number } = {}) =>
      http.json<{ records: wire.AuditRecord[]; next?: number }>("GET", "/v1/audit", { query }),
    /** Whether all records are as they were made. */
    verify: (noted: { n?: number; hash?: string } = {}) =>
      http.json<wire.AuditVerified>("GET", "/v1/audit/verify", { query: noted }),
  };
}

function tokensOf(http: Http) {
  return {
    list: () => http.json<{ tokens: wire.Token[] }>("GET", "/v1/tokens"),
    create: (body: { name: string; scopes: readonly AccessScope[]; expiresAt?: string }) =>
      http.json<{ secret: string; token: wire.Token }>("POST", "/v1/tokens", { body }),
    revoke: (token: string) => http.json<wire.Token>("DELETE", path`/v1/tokens/${token}`),
  };
}
