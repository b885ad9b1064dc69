// Metrics. Owns: what is counted, as Prometheus reads it. The library that counts takes a second to load, so it comes with the
// first who asks, and what is counted begins there.

import type { Histogram } from "@opentelemetry/api";
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
