import type { Lease, State } from "../src/index.ts";

export const serves = [{ name: "extract", versions: ["1"] }];

/** Starts, claims and completes runs for so many seconds, so many at a time. */
export async function churn(
  state: State,
  worker: string,
  lanes: number,
  seconds: number,
): Promise<{ count: number }> {
  const end = performance.now() + seconds * 1_000;
  let count = 0;
  let wanted = 0;
  let claiming: Promise<void> | undefined;
  const waiting: ((lease: Lease | undefined) => void)[] = [];
  const claimAll = async () => {
    while (wanted > 0) {
      const max = wanted;
      wanted = 0;
      const leases = await state.claim({ worker, serves, max });
      for (const take of waiting.splice(0, max)) take(leases.pop());
    }
    claiming = undefined;
  };
  const next = () =>
    new Promise<Lease | undefined>((resolve) => {
      waiting.push(resolve);
      wanted++;
      claiming ??= Promise.resolve().then(claimAll);
    });
  const lane = async () => {
    while (performance.now() < end) {
      await state.start({ name: "extract", input: { page: 1 } });
      const lease = await next();
      if (!lease) continue;
      await state.commit(lease, { end: { complete: { words: 12 } } });
      count++;
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return { count };
}
