import { appendFileSync, readFileSync } from "node:fs";

export type Effect = Record<string, unknown>;

export interface LedgerOptions {
  /** Flush every record to disk before `record` returns. */
  fsync?: boolean;
}

export interface Ledger<E> {
  effects: (E & { pid: number })[];
  /** Lines that are no JSON: their writer died, or the disk was full. */
  torn: string[];
}

/**
 * What was really executed, kept outside the database: a file every process appends to, one JSON line per effect.
 *
 * @example
 * const ledger = new EffectLedger<{ run: string; step: string }>(path);
 * ledger.record({ run, step });
 * ledger.countBy((effect) => effect.step).get("charge"); // 1
 */
export class EffectLedger<E extends Effect = Effect> {
  readonly path: string;
  readonly #fsync: boolean;

  constructor(path: string, { fsync = false }: LedgerOptions = {}) {
    this.path = path;
    this.#fsync = fsync;
  }

  /** Appends one effect, with the process id, in a single write. */
  record(effect: E): void {
    const line = JSON.stringify({ ...effect, pid: process.pid });
    // The line break comes first, so that a torn line never swallows the record after it.
    appendFileSync(this.path, `\n${line}`, { flush: this.#fsync });
  }

  /** Everything recorded so far, in file order; empty when there is no file yet. */
  read(): Ledger<E> {
    const ledger: Ledger<E> = { effects: [], torn: [] };
    for (const line of this.#lines()) {
      try {
        ledger.effects.push(JSON.parse(line));
      } catch {
        ledger.torn.push(line);
      }
    }
    return ledger;
  }

  /** How many effects share each key; torn lines are not counted. */
  countBy<K>(key: (effect: E & { pid: number }) => K): Map<K, number> {
    const counts = new Map<K, number>();
    for (const effect of this.read().effects) {
      counts.set(key(effect), (counts.get(key(effect)) ?? 0) + 1);
    }
    return counts;
  }

  #lines(): string[] {
    try {
      return readFileSync(this.path, "utf8").split("\n").filter(Boolean);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }
  }
}
