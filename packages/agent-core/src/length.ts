// Length. Owns: how much a run remembers, and when that is too much: the limits `steps` and `historyBytes`.

import { limits, type Json } from "@sentient/schema";

/** Of a limit: from there on it is said that it comes nearer. */
const WARNED = 1 / 4;

/** What of a step counts. */
interface Remembered {
  key: string;
  result?: Json;
}

export class Length {
  steps: number;
  /** Of results, as far as they were read or written in this pass. */
  bytes = 0;
  readonly #onLong: (steps: number, bytes: number) => void;
  #isTold = false;

  /** @param onLong hears once that it comes near a limit */
  constructor(steps: number, onLong: (steps: number, bytes: number) => void) {
    this.steps = steps;
    this.#onLong = onLong;
  }

  /** One that was there before. */
  read(step: Remembered): void {
    this.bytes += sizeOf(step);
    this.#tell();
  }

  /** Some that are new. */
  add(steps: readonly Remembered[]): void {
    this.steps += steps.length;
    for (const step of steps) this.bytes += sizeOf(step);
    this.#tell();
  }

  /** What is too much, in words. */
  get excess(): string | undefined {
    if (this.steps >= limits.steps) return `${this.steps} steps, and ${limits.steps} are allowed`;
    if (this.bytes >= limits.historyBytes)
      return `${this.bytes} bytes of results, and ${limits.historyBytes} are allowed`;
    return undefined;
  }

  #tell(): void {
    const isLong = this.steps >= limits.steps * WARNED || this.bytes >= limits.historyBytes * WARNED;
    if (!isLong || this.#isTold) return;
    this.#isTold = true;
    this.#onLong(this.steps, this.bytes);
  }
}

function sizeOf({ result }: Remembered): number {
  return result === undefined ? 0 : Buffer.byteLength(JSON.stringify(result));
}
