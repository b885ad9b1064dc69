// Notices. Owns: what happened to runs in this process, as a hint for who waits for it here: sooner than the log tells.
// Whoever hears one looks for themselves; whoever hears none finds out all the same, only later.

import { EventEmitter } from "node:events";
import type { Failure, Json } from "@sentient/schema";

/** How a run has ended, as whoever ended it knows it. */
export type Ended =
  | { status: "completed"; output: Json }
  | { status: "failed"; error: Failure }
  | { status: "cancelled"; by?: string; reason?: string };

export class Notices {
  readonly #emitter = new EventEmitter().setMaxListeners(0);

  /** Something may be there to be claimed. */
  ready(): void {
    this.#emitter.emit("ready");
  }

  onReady(hear: () => void): () => void {
    return this.#on("ready", hear);
  }

  /** Runs that are held here were asked to stop. */
  asked(): void {
    this.#emitter.emit("asked");
  }

  onAsked(hear: () => void): () => void {
    return this.#on("asked", hear);
  }

  /** Something of a run has changed: it has ended, was told something, was asked to stop. */
  changed(run: string): void {
    this.#emitter.emit(`run:${run}`);
  }

  onChanged(run: string, hear: () => void): () => void {
    return this.#on(`run:${run}`, hear);
  }

  /** A worker of this process holds it no longer; how it has ended, if it has. */
  letGo(run: string, ended: Ended | undefined): void {
    this.#emitter.emit(`held:${run}`, ended);
    this.changed(run);
  }

  onLetGo(run: string, hear: (ended?: Ended) => void): () => void {
    return this.#on(`held:${run}`, hear);
  }

  /** It has streamed something. */
  streamed(run: string): void {
    this.#emitter.emit(`chunks:${run}`);
  }

  onStreamed(run: string, hear: () => void): () => void {
    return this.#on(`chunks:${run}`, hear);
  }

  #on(name: string, hear: (ended?: Ended) => void): () => void {
    this.#emitter.on(name, hear);
    return () => this.#emitter.off(name, hear);
  }
}
