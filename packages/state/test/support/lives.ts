// Runs that have lived: steps, states, checkpoints, restores, forks, children, large content.

import type { Json } from "@sentient/schema";
import type { ExportOptions, State } from "../../src/index.ts";
import type { Lease } from "../../src/lease.ts";

const SERVES = [{ name: "research", versions: ["1"] }];

/** What an export says. */
export async function linesOf(state: State, run: string, options?: ExportOptions): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of state.export(run, options)) lines.push(line);
  return lines;
}

/** Claims one run and no other. */
export async function claimed(state: State, run: string): Promise<Lease> {
  const leases = await state.claim({ worker: "w-1", serves: SERVES, max: 50 });
  const mine = leases.find((lease) => lease.run.id === run)!;
  await Promise.all(leases.filter((lease) => lease !== mine).map((lease) => state.release(lease)));
  return mine;
}

/** What happens in a life, one thing after the other. */
export type Deed =
  | { do: "step"; result: Json }
  | { do: "state"; state: Json }
  | { do: "checkpoint" }
  | { do: "large" }
  | { do: "restore"; back: number }
  | { do: "signal" }
  | { do: "child" };

export const LARGE = "l".repeat(70_000);

/** A run that is over when it has lived; its children are over too. */
export async function live(state: State, deeds: readonly Deed[], id: string): Promise<string[]> {
  await state.start({ name: "research", id, input: { of: id } });
  const children: string[] = [];
  let lease = await claimed(state, id);
  for (const [i, deed] of deeds.entries()) {
    const key = `${deed.do}#${i + 1}`;
    const step = { key, name: deed.do, status: "completed" as const };
    switch (deed.do) {
      case "step":
        await state.commit(lease, { steps: [{ ...step, result: deed.result }] });
        break;
      case "state":
        await state.commit(lease, { state: { at: i, value: deed.state, steady: "s".repeat(300) } });
        break;
      case "checkpoint":
        await state.commit(lease, { checkpoint: { name: `c-${i}`, metadata: { i } } });
        break;
      case "large":
        await state.commit(lease, { steps: [{ ...step, result: LARGE }], state: { at: i, large: LARGE } });
        break;
      case "signal":
        await state.signal(id, "news", { i });
        break;
      case "child": {
        const child = `${id}.${i}`;
        await state.start({ name: "research", id: child, parent: id, parentStep: key, input: i });
        const its = await claimed(state, child);
        await state.commit(its, { end: { complete: { i } } });
        children.push(child);
        break;
      }
      case "restore": {
        await state.commit(lease, { end: { pause: { by: "ada" } } });
        const { n } = await last(state, id);
        const to = Math.max(1, n - deed.back);
        await state.restore(id, { n: to }).catch(() => state.resume(id)); // an earlier restore has left that point behind
        lease = await claimed(state, id);
        break;
      }
    }
  }
  await state.commit(lease, { end: { complete: { done: true } } });
  return [id, ...children];
}

async function last(state: State, id: string): Promise<{ n: number }> {
  const { events } = await state.history(id, { limit: 1_000 });
  return { n: events.at(-1)!.n! };
}
