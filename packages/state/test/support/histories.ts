// Runs with a history: brought somewhere by a worker, step by step.

import type { Json } from "@sentient/schema";
import type { Lease } from "../../src/index.ts";
import type { Fresh } from "./fresh.ts";

export const serves = [{ name: "write", versions: ["1", "2"] }];
export const problem = { name: "Error", message: "it did not work", retryable: false };

export async function claimed({ state }: Pick<Fresh, "state">, queue = "default"): Promise<Lease> {
  const [lease] = await state.claim({ worker: "w1", serves, queues: [queue] });
  return lease!;
}

export async function started(fresh: Pick<Fresh, "state">, queue = "default"): Promise<Lease> {
  await fresh.state.start({ name: "write", queue });
  return claimed(fresh, queue);
}

export const done = (key: string, result: Json = null) => ({
  key: `main/${key}#1`,
  name: key,
  status: "completed" as const,
  result,
});

/** A run that a worker has brought to where it was asked to, with a checkpoint after its first step. */
const STATUSES = {
  queued: (fresh: Fresh, lease: Lease) => fresh.state.release(lease),
  running: () => {},
  waiting: (fresh: Fresh, lease: Lease) =>
    fresh.state.commit(lease, { end: { wait: [{ for: "signal", at: "main/w#1", name: "go" }] } } as never),
  paused: (fresh: Fresh, lease: Lease) => fresh.state.commit(lease, { end: { pause: { by: "ada" } } }),
  parked: (fresh: Fresh, lease: Lease) =>
    fresh.state.commit(lease, { end: { park: { reason: "asked", problem } } }),
  completed: (fresh: Fresh, lease: Lease) => fresh.state.commit(lease, { end: { complete: 1 } }),
  failed: (fresh: Fresh, lease: Lease) => fresh.state.commit(lease, { end: { fail: problem } }),
  cancelled: (fresh: Fresh, lease: Lease) => fresh.state.commit(lease, { end: { cancel: {} } }),
} satisfies Record<string, (fresh: Fresh, lease: Lease) => unknown>;
type Status = keyof typeof STATUSES;

export async function runThatIs(status: Status, fresh: Fresh): Promise<{ id: string; lease: Lease }> {
  const lease = await started(fresh, status);
  const change = { steps: [done("fetch", 1)], state: { seen: 1 }, checkpoint: { name: "fetched" } };
  await fresh.state.commit(lease, change);
  await fresh.state.commit(lease, { steps: [done("send", 2)], state: { seen: 2 } });
  await STATUSES[status](fresh, lease);
  return { id: lease.run.id, lease };
}

/** A run with three steps, each with a state, and a checkpoint after the second. */
export async function parent(
  fresh: Fresh,
  end?: object,
): Promise<{ id: string; points: number[]; lease: Lease }> {
  const { run } = await fresh.state.start({
    name: "write",
    input: { q: 1 },
    tags: ["t"],
    secrets: ["token"],
  });
  const lease = await claimed(fresh);
  const points: number[] = [];
  for (const [i, name] of ["plan", "fetch", "send"].entries()) {
    const checkpoint = name === "fetch" ? { checkpoint: { name: "fetched" } } : {};
    points.push((await fresh.state.commit(lease, { steps: [done(name, i)], state: { i }, ...checkpoint })).n);
  }
  if (end) await fresh.state.commit(lease, { end } as never);
  return { id: run.id, points, lease };
}
