import { until } from "@sentient/testkit";

/** What comes out of an iteration so far, and how it ended. */
export interface Collected<T> {
  items: T[];
  ended: boolean;
  error: unknown;
  /** Waits until there are so many. */
  atLeast(count: number): Promise<T[]>;
  done: Promise<void>;
}

/** Iterates in the background. */
export function collect<T>(iteration: AsyncIterable<T>, onItem?: (item: T) => unknown): Collected<T> {
  const collected: Collected<T> = {
    items: [],
    ended: false,
    error: undefined,
    async atLeast(count) {
      await until(() => collected.items.length >= count || collected.ended, {
        deadline: 60_000,
        what: `${count} of them`,
      });
      if (collected.error !== undefined) throw collected.error;
      return collected.items;
    },
    done: Promise.resolve(),
  };
  const run = async () => {
    try {
      for await (const item of iteration) {
        collected.items.push(item);
        await onItem?.(item);
      }
    } catch (error) {
      collected.error = error;
    } finally {
      collected.ended = true;
    }
  };
  collected.done = run();
  return collected;
}
