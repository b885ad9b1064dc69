import { RecordId } from "@sentient/db-pool";
import type { NewEvent } from "../src/index.ts";

const data = { key: "research/extract#12", name: "extract", attempts: 1, note: "x".repeat(60) };
const text = JSON.stringify(data);

export const newEvent = (i: number): NewEvent => ({
  type: "step.completed",
  source: "worker-1",
  run: `run-${i % 50}`,
  workflow: "research",
  data,
});

/** The same as the log stores it. */
export const newRow = (table: string, i: number): Record<string, unknown> => ({
  id: new RecordId(table, i),
  type: "step.completed",
  source: "worker-1",
  run: `run-${i % 50}`,
  n: Math.floor(i / 50) + 1,
  workflow: "research",
  data: text,
  at: new Date(),
});
