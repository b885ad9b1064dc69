// Page size. Owns: how many events are asked for at a time, so that however large they are a page can be carried.

/** Bytes of data in one page: with larger events there are fewer of them. */
const PAGE_BYTES = 4 * 1024 * 1024;
const FIRST_PAGE = 100;
/** Positions that are looked through at a time at most. */
export const STRETCH = 1_000;

/** What was read at once. */
interface Sized {
  /** Of its data, about. */
  bytes: number;
  /** Whether there is more behind it: it is then as long as was asked for. */
  more: boolean;
}

export class PageSize {
  #limit = FIRST_PAGE;

  /** Reads a page of at most so many, and learns from it for the next one. */
  async read<P extends Sized>(ask: (limit: number) => Promise<P>): Promise<P> {
    try {
      const page = await ask(this.#limit);
      if (page.bytes > PAGE_BYTES) this.#shrink();
      else if (page.more) this.#limit = Math.min(STRETCH, this.#limit * 2);
      return page;
    } catch (error) {
      this.#shrink(); // it may have been too much to carry in time
      throw error;
    }
  }

  #shrink(): void {
    this.#limit = Math.max(1, this.#limit >> 2);
  }
}
