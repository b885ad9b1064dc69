// A fleet as it is in earnest: workers and an API as processes of their own, on a database that another one serves.

import { sabotage, seeded, until } from "@sentient/testkit";
import type { RunHandle, Sentient } from "@sentient/agent-core";
import { expect, test } from "vitest";
import { Listener, LISTENER, type Told } from "./listener.ts";
import { AGENTS, ApiProcess, served, WorkerProcess } from "./support.ts";

const RUNS = 50;
const CUTS = 20;
/** After which of the cuts a worker is killed. */
const KILLS = [4, 9, 14];

/** What of the log somebody has who was cut off again and again; something is told each time that nobody listens. */
async function heard(
  url: string,
  token: string,
  { resumes, cuts, enough, begun, away, isAll }: Hearing,
): Promise<Told[]> {
  const heard: Told[] = [];
  let place: string | undefined;
  for (let cut = 0; cut <= cuts; cut++) {
    const listener = new Listener(url, token, cut > 0 && resumes ? place : undefined);
    await until(() => listener.place !== undefined, { what: "a place to begin at", deadline: 60_000 });
    await begun(cut);
    const most = cut < cuts ? enough() : Infinity;
    const told = await listener.untilTold((some) => some.length >= most || isAll(some.at(-1)));
    listener.cut();
    heard.push(...told.slice(0, most)); // what else had come is lost with the connection
    place = heard.at(-1)!.id;
    if (cut < cuts) await away(cut);
  }
  return heard;
}

interface Hearing {
  /** Whether it is said where one was. */
  resumes: boolean;
  cuts: number;
  /** How many events are taken of a connection before it is cut. */
  enough: () => number;
  /** Is called while somebody listens, and when nobody does any more: then it tells of something. */
  begun: (connection: number) => Promise<unknown>;
  away: (cut: number) => Promise<unknown>;
  /** Whether this is the last there is. */
  isAll: (last: Told | undefined) => boolean;
}

async function logOf(sentient: Sentient, after: number): Promise<unknown[]> {
  const events: unknown[] = [];
  for (let next: number | undefined = after; next !== undefined;) {
    const page = await sentient.events.history({ after: next, order: "asc", limit: 500 });
    events.push(...page.events);
    ({ next } = page);
  }
  return JSON.parse(JSON.stringify(events)) as unknown[];
}

async function headOf(sentient: Sentient): Promise<number> {
  const { events } = await sentient.events.history({ order: "desc", limit: 1 });
  return events[0]?.position ?? 0;
}

/** Workers, one of which is killed now and then, and another put in its place. */
class Fleet {
  readonly #workers: WorkerProcess[];
  readonly #begin: () => WorkerProcess;
  killed = 0;

  constructor(size: number, begin: () => WorkerProcess) {
    this.#begin = begin;
    this.#workers = Array.from({ length: size }, begin);
  }

  async ready(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.says("advances runs")));
  }

  /** One that holds runs. */
  async kill(sentient: Sentient): Promise<void> {
    const at = await until(() => this.#holder(sentient), { what: "a worker with runs", deadline: 60_000 });
    await this.#workers[at.index]!.stop("SIGKILL");
    this.#workers[at.index] = this.#begin();
    this.killed++;
  }

  async #holder(sentient: Sentient): Promise<{ index: number } | undefined> {
    const { runs } = await sentient.list({ status: "running" });
    const holders = new Set(runs.map((run) => (run.status === "running" ? run.lease.worker : undefined)));
    const index = this.#workers.findIndex((worker) =>
      holders.has(worker.said("advances runs")?.worker as never),
    );
    return index < 0 ? undefined : { index };
  }

  /** @returns how each of them has ended */
  async stop() {
    await this.ready();
    return Promise.all(this.#workers.map((worker) => worker.stop("SIGTERM")));
  }
}

test(`a fleet whose workers are killed completes 50 runs, and who is cut off 20 times (${LISTENER}) has every event once, in order`, async () => {
  const { cwd, url, notes, sentient } = await served();
  const flags = ["--agents", AGENTS, "--url", url, "--slots", "4", "--lease", "1500"];
  const fleet = new Fleet(2, () => new WorkerProcess(flags, cwd, { WORKER_NOTES: notes }));
  const api = new ApiProcess(cwd, { SENTIENT_URL: url, SENTIENT_API_PORT: "0" });
  const { secret } = await sentient.state.accessTokens.create({ name: "listener", scopes: ["read"] });
  await fleet.ready();
  const { url: base } = (await api.says("listening")) as unknown as { url: string };
  const random = seeded();

  const handles: RunHandle[] = [];
  const startSome = async (until: number) => {
    while (handles.length < until) handles.push(await sentient.start("slow"));
  };
  let end = Infinity;
  const after = await headOf(sentient);
  const hearing = heard(`${base}/v1/events?after=${after}`, secret, {
    resumes: true,
    cuts: CUTS,
    enough: () => 1 + random.int(8),
    begun: async (connection) => connection === 0 && startSome(1),
    away: async (cut) => {
      await startSome(Math.ceil((RUNS * (cut + 1)) / CUTS));
      if (KILLS.includes(cut)) await fleet.kill(sentient);
    },
    isAll: (last) => last !== undefined && last.event.position >= end,
  });
  await Promise.race([until(() => handles.length === RUNS, { deadline: 110_000 }), hearing]);
  await Promise.all(handles.map((handle) => handle.result({ timeout: 60_000 })));
  end = await headOf(sentient);
  const all = await hearing;

  expect(fleet.killed).toBe(KILLS.length);
  const statuses = await Promise.all(handles.map((handle) => handle.status()));
  expect(statuses).toEqual(Array.from({ length: RUNS }, () => "completed"));
  const log = await logOf(sentient, after);
  expect(
    all.map(({ event }) => event),
    `SEED=${random.seed}`,
  ).toEqual(log.slice(0, all.length));
  expect(all.length).toBeGreaterThanOrEqual(end - after);

  await sabotage("it is not said where they were", async () => {
    const from = await headOf(sentient);
    const publish = () => sentient.events.publish({ type: "order.placed" });
    let last = Infinity;
    const some = await heard(`${base}/v1/events`, secret, {
      resumes: false,
      cuts: 3,
      enough: () => 1,
      begun: async (connection) => {
        const position = await publish();
        if (connection === 3) last = position;
      },
      away: publish,
      isAll: (told) => told !== undefined && told.event.position >= last,
    });
    expect(some.map(({ event }) => event)).toEqual((await logOf(sentient, from)).slice(0, some.length));
  });
  expect(await fleet.stop()).toEqual([
    [0, null],
    [0, null],
  ]);
  expect(await api.stop("SIGTERM")).toEqual([0, null]);
});
