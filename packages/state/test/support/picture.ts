import type { State } from "../../src/index.ts";

/** Whatever can be known of a run; without where its events lie in the log, and when they were told. */
export async function pictureOf(state: State, run: string): Promise<Record<string, unknown>> {
  const { events } = await state.history(run, { limit: 1_000 });
  const own = events.filter(({ type }) => type !== "run.imported" && type !== "run.removed");
  const last = own.at(-1)!.n!;
  const ns = Array.from({ length: last }, (_, i) => i + 1);
  const { checkpoints } = await state.checkpoints.list(run, { limit: 100 });
  return {
    run: await state.load(run),
    journals: await Promise.all(
      [last, Math.ceil(last / 2)].map(async (n) => [...(await state.journal(run, { at: { n } }))]),
    ),
    states: await Promise.all(ns.map((n) => state.stateAt(run, { n }))),
    checkpoints: checkpoints.map(({ position: _, ...rest }) => rest),
    events: own.map(({ position: _, at: __, eventId: ___, hash: ____, data, ...rest }) => ({
      ...rest,
      data: rest.type === "checkpoint.restored" ? null : data,
    })),
    ancestors: (await state.ancestors(run)).runs
      .map(({ run: one, ...rest }) => JSON.stringify([one, rest]))
      .toSorted(),
  };
}
