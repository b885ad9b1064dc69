import { type Action, type Call, History, type Model, type Operation } from "../src/index.ts";

/** What becomes of one operation: an unknown one takes effect at once, at the very end, or never. */
export type Fate = "ok" | "unknown, applied" | "unknown, applied last" | "unknown, never applied";

export interface Step<A extends Action> {
  action: A;
  fate: Fate;
}

/**
 * Really runs `model` for several clients at once. Each operation is invoked, applied and completed; `schedule`
 * says whose turn is next, so its numbers decide the interleaving.
 */
export function simulate<State, A extends Action>(
  model: Model<State, A>,
  scripts: readonly (readonly Step<A>[])[],
  schedule: readonly number[],
): Operation<A>[] {
  const history = new History<A>();
  let state = model.initial;
  const apply = (action: A) => {
    const next = model.apply(state, action);
    state = next.state;
    return next.result;
  };
  const late: A[] = [];
  function* client(name: string, script: readonly Step<A>[]): Generator<void> {
    for (const { action, fate } of script) {
      const call: Call = history.invoke(name, action);
      yield;
      if (fate === "unknown, applied last") late.push(action);
      const result = fate === "ok" || fate === "unknown, applied" ? apply(action) : undefined;
      yield;
      if (fate === "ok") call.ok(result);
      else call.info();
      yield;
    }
  }
  const running = scripts.map((script, index) => client(`client-${index}`, script));
  for (let turn = 0; running.length > 0; turn++) {
    const index = (schedule[turn % schedule.length] ?? 0) % running.length;
    if (running[index]!.next().done) running.splice(index, 1);
  }
  late.forEach(apply);
  return history.operations;
}
