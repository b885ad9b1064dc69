/**
 * One writer at a time, in the order they came.
 *
 * SurrealDB's `mem` and `surrealkv` stores lose acknowledged updates when transactions that write run side by side
 * (surrealdb#7303, #7473). `rocksdb` and servers on it do not, and need no lane.
 */
export class WriteLane {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `write` when all before it have settled. */
  run<T>(write: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(write);
    this.#last = mine.catch(() => {});
    return mine;
  }

  /** Holds the lane until the returned function is called; for a transaction that spans several requests. */
  async hold(): Promise<() => void> {
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    const { promise: mine, resolve: begin } = Promise.withResolvers<void>();
    void this.run(() => {
      begin();
      return held;
    });
    await mine;
    return release;
  }
}
