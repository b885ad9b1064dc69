// Metrics. Owns: what is counted, as Prometheus reads it. The library that counts takes a second to load, so it comes with the
// first who asks, and what is counted begins there.

import type { Histogram, Meter } from "@opentelemetry/api";
import type { Sentient } from "@sentient/agent-core";
import type { Streams } from "./streams.ts";

const ENDS = ["run.completed", "run.failed", "run.cancelled", "run.parked"] as const;
/** Seconds. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60];

interface Loaded {
  durations: Histogram;
  text(): Promise<string>;
  close(): Promise<void>;
}

export class Metrics {
  readonly #sentient: Sentient;
  readonly #streams: Streams;
  #loading: Promise<Loaded> | undefined;
  #loaded: Loaded | undefined;

  constructor(sentient: Sentient, streams: Streams) {
    this.#sentient = sentient;
    this.#streams = streams;
  }

  /** @param took in milliseconds */
  count(method: string, route: string, status: number, took: number): void {
    this.#loaded?.durations.record(took / 1_000, { method, route, status });
  }

  /** In the text format of Prometheus. */
  async text(): Promise<string> {
    this.#loading ??= load(this.#sentient, this.#streams).catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    this.#loaded = await this.#loading;
    return this.#loaded.text();
  }

  async close(): Promise<void> {
    const loading = await this.#loading?.catch(() => undefined);
    await loading?.close();
  }
}

async function load(sentient: Sentient, streams: Streams): Promise<Loaded> {
  const [{ MeterProvider }, { PrometheusExporter, PrometheusSerializer }] = await Promise.all([
    import("@opentelemetry/sdk-metrics"),
    import("@opentelemetry/exporter-prometheus"),
  ]);
  const reader = new PrometheusExporter({ preventServerStart: true });
  const provider = new MeterProvider({ readers: [reader] });
  const meter = provider.getMeter("sentient");
  const runs = meter.createCounter("sentient_runs", { description: "runs by how they ended" });
  for (const type of ENDS) runs.add(0, { outcome: type.slice("run.".length) });
  const { unsubscribe } = sentient.events.subscribe({ types: ENDS }, ({ type }) =>
    runs.add(1, { outcome: type.slice("run.".length) }),
  );
  meter
    .createObservableGauge("sentient_runs_queued", { description: "runs that wait in the queues" })
    .addCallback(async (gauge) => gauge.observe(await sentient.state.queued()));
  observeFleet(meter, sentient);
  meter
    .createObservableGauge("sentient_streams_open", { description: "streams that are followed" })
    .addCallback((gauge) => gauge.observe(streams.count));
  const durations = meter.createHistogram("sentient_http_request_duration_seconds", {
    description: "requests by what they were for, until the answer began",
    advice: { explicitBucketBoundaries: BUCKETS },
  });
  const serializer = new PrometheusSerializer("", false, undefined, true, true); // no path of this process
  return {
    durations,
    text: async () => serializer.serialize((await reader.collect()).resourceMetrics),
    close: async () => {
      await unsubscribe();
      await provider.shutdown();
    },
  };
}

/** Who is there to work, and what waits for whom: what one scales by. Read when it is asked for. */
function observeFleet(meter: Meter, { state }: Sentient): void {
  const gauge = (name: string, description: string) => meter.createObservableGauge(name, { description });
  const workers = gauge("sentient_workers", "workers that were heard of within 30 seconds");
  const slots = gauge("sentient_worker_slots", "runs that they can advance at once");
  const running = gauge("sentient_runs_running", "runs that they advance");
  meter.addBatchObservableCallback(
    async (result) => {
      const live = await state.workers.list();
      const sum = (of: (worker: (typeof live)[number]) => number) =>
        live.reduce((total, each) => total + of(each), 0);
      result.observe(workers, live.length);
      result.observe(
        slots,
        sum((each) => each.slots),
      );
      result.observe(
        running,
        sum((each) => each.running),
      );
    },
    [workers, slots, running],
  );
  const queued = gauge("sentient_agent_runs_queued", "runs of an agent that wait to be claimed, up to 1,000");
  const serving = gauge("sentient_agent_workers", "workers that serve an agent");
  meter.addBatchObservableCallback(
    async (result) => {
      for await (const agent of agentsOf(state)) {
        const labels = { agent: agent.name, version: agent.version, queue: agent.queue };
        result.observe(queued, agent.queued, labels);
        result.observe(serving, agent.workers, labels);
      }
    },
    [queued, serving],
  );
}

async function* agentsOf({ agents }: Sentient["state"]) {
  for (let after: string | undefined; ;) {
    const page = await agents.list(after === undefined ? {} : { after });
    yield* page.agents;
    if (page.next === undefined) return;
    after = page.next;
  }
}
