/** What an operation does, in a model's terms. */
export interface Action {
  op: string;
  value?: unknown;
}

/**
 * `ok`: it took effect. `fail`: it certainly did not. `info`: unknown; it may still take effect at any later time,
 * or never. A timeout is `info`.
 */
export type Outcome = "ok" | "fail" | "info";

export interface Operation<A extends Action = Action> {
  process: string;
  key: string;
  action: A;
  outcome: Outcome;
  /** What an `ok` operation returned; undefined is not compared with anything. */
  result: unknown;
  /** Place in the real-time order of the history. */
  invoked: number;
  /** Likewise; `Infinity` while the outcome is unknown. */
  completed: number;
}

export interface Call {
  ok(result?: unknown): void;
  fail(): void;
  info(): void;
}

/**
 * Records what clients asked and were told, in real-time order. A call never settled counts as `info`.
 *
 * @example
 * const history = new History<RegisterAction>();
 * const call = history.invoke("client-1", { op: "read" });
 * call.ok(await register.read());
 */
export class History<A extends Action = Action> {
  readonly operations: Operation<A>[] = [];
  #ticks = 0;

  /** Opens a call; report its outcome on what is returned, exactly once. */
  invoke(process: string, action: A, key = ""): Call {
    const operation: Operation<A> = {
      process,
      key,
      action,
      outcome: "info",
      result: undefined,
      invoked: ++this.#ticks,
      completed: Infinity,
    };
    this.operations.push(operation);
    let open = true;
    const settle = (outcome: Outcome, result?: unknown) => {
      if (!open) throw new Error(`${describe(operation)}: this call has its outcome already`);
      open = false;
      if (outcome === "info") return;
      Object.assign(operation, { outcome, result, completed: ++this.#ticks });
    };
    return { ok: (result) => settle("ok", result), fail: () => settle("fail"), info: () => settle("info") };
  }
}

/** One operation on one line: `3–7 client-1 write 5 → ok`. */
export function describe({ process, action, outcome, result, invoked, completed }: Operation): string {
  const end = completed === Infinity ? "…" : completed;
  const value = action.value === undefined ? "" : ` ${JSON.stringify(action.value)}`;
  const answer = result === undefined ? outcome : JSON.stringify(result);
  return `${invoked}–${end} ${process} ${action.op}${value} → ${answer}`;
}
