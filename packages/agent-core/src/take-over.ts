import type { Database, Predecessor } from "@sentient/db-pool";
import type { State } from "@sentient/state";
import type { Logger } from "./tools.ts";

/**
 * Takes over, once, from the process that died with this folder: that it is gone is known by its lock, so nobody has to wait
 * until its leases have run out. Where that fails they run out.
 */
export function takeOver({ predecessor }: Database, state: State, logger: Logger): () => Promise<void> {
  let done: Promise<void> | undefined;
  const isOther = predecessor && predecessor.pid !== process.pid; // a pid may come again
  return () => (done ??= isOther ? release(predecessor) : Promise.resolve());

  async function release(gone: Predecessor): Promise<void> {
    try {
      const runs = await state.releaseOf(gone);
      if (runs.length > 0) logger.info({ ...gone, runs }, "runs are taken over from a process that has died");
    } catch (error) {
      logger.warn({ ...gone, error }, "runs could not be taken over at once; their leases run out");
    }
  }
}
