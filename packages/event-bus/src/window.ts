// Windows. Owns: which of the events handed out are settled, and up to where all of them are.
// W1. `done` never passes an event that is not settled, whatever order they are settled in.

/** How many events may be handed out and not saved. What a crash makes come again is never more. */
export const WINDOW = 256;

export class Window {
  /** Handed out and not settled, in the order of their positions. */
  readonly #open = new Set<number>();
  #looked: number;
  /** Handed out and not saved. */
  #unsaved: number[] = [];
  readonly #turns = new Map<number, (isTheirs: boolean) => void>();
  /** The first that is not going to be settled. */
  #left = Infinity;
  #roomFreed: (() => void) | undefined;
  /** Nothing more is handed out. */
  #ended = false;

  /** @param position everything up to here is done */
  constructor(position: number) {
    this.#looked = position;
  }

  /** Everything up to here is settled, or was of no interest. */
  get done(): number {
    const first = this.#first();
    return first === undefined ? this.#looked : first - 1;
  }

  get isEmpty(): boolean {
    return this.#open.size === 0;
  }

  open(position: number): void {
    this.#open.add(position);
    this.#unsaved.push(position);
    this.looked(position);
  }

  settle(position: number): void {
    this.#open.delete(position);
    const first = this.#first();
    if (first !== undefined) this.#answer(first, first < this.#left);
  }

  /** It is not going to be settled: no event behind it has its turn any more. */
  leave(position: number): void {
    this.#left = Math.min(this.#left, position);
    for (const waiting of this.#turns.keys()) if (waiting > this.#left) this.#answer(waiting, false);
  }

  /** All of interest up to here was handed out. */
  looked(position: number): void {
    this.#looked = Math.max(this.#looked, position);
  }

  /** Everything up to here will not come again. */
  saved(position: number): void {
    this.#unsaved = this.#unsaved.filter((each) => each > position);
    this.#freeRoom();
  }

  /** Resolves once everything before an event is settled; with whether that can still be. */
  turn(position: number): Promise<boolean> {
    if (position > this.#left) return Promise.resolve(false);
    if (this.#first() === position) return Promise.resolve(true);
    return new Promise((resolve) => this.#turns.set(position, resolve));
  }

  /** Resolves when another one may be handed out, or none will be. */
  async room(): Promise<void> {
    while (this.#unsaved.length >= WINDOW && !this.#ended)
      await new Promise<void>((resolve) => (this.#roomFreed = resolve));
  }

  /** Nobody waits for room any longer. */
  end(): void {
    this.#ended = true;
    this.#freeRoom();
  }

  /** Nobody waits for anything any longer. */
  close(): void {
    this.end();
    this.leave(-1);
  }

  #freeRoom(): void {
    this.#roomFreed?.();
    this.#roomFreed = undefined;
  }

  #answer(position: number, isTheirs: boolean): void {
    this.#turns.get(position)?.(isTheirs);
    this.#turns.delete(position);
  }

  #first(): number | undefined {
    return this.#open.values().next().value;
  }
}

/**
 * Runs work side by side, but one after the other where it is of one lane. What came first goes first: who waits in
 * `commit` for those before it can so rely on their being run.
 */
export class Lanes {
  readonly #waiting: { lane: string; start: () => void }[] = [];
  readonly #busy = new Set<string>();
  #free: number;

  constructor(most: number) {
    this.#free = most;
  }

  async run(lane: string, work: () => Promise<void>): Promise<void> {
    await new Promise<void>((start) => {
      this.#waiting.push({ lane, start });
      this.#startNext();
    });
    try {
      await work();
    } finally {
      this.#busy.delete(lane);
      this.#free++;
      this.#startNext();
    }
  }

  #startNext(): void {
    while (this.#free > 0) {
      const next = this.#waiting.find(({ lane }) => !this.#busy.has(lane));
      if (!next) return;
      this.#waiting.splice(this.#waiting.indexOf(next), 1);
      this.#busy.add(next.lane);
      this.#free--;
      next.start();
    }
  }
}
