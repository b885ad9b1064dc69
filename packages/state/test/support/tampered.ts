import type { Database, Statement } from "@sentient/db-pool";
import type { EventBus } from "@sentient/event-bus";
import { createState, type State, type StateOptions } from "../../src/index.ts";

type Append = EventBus["log"]["append"];
export type Entry = Parameters<Append>[0];

/** State whose appends go through `change`: to hold them back, or to take a protection away. */
export function tamperedState(
  db: Database,
  bus: EventBus,
  change: (entry: Entry) => Entry | Promise<Entry>,
  options: StateOptions = {},
): State {
  const log = {
    append: async (entry: Entry, options?: Parameters<Append>[1]) =>
      bus.log.append(await change(entry), options),
  };
  const other = new Proxy(bus, {
    get(target, name) {
      if (name === "log") return log;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value as () => unknown).bind(target) : value;
    },
  });
  return createState(db, other, options);
}

/** An entry without those of its statements that say `text`. */
export function without(entry: Entry, text: string): Entry {
  const { statements = [] } = entry;
  const keep = (all: readonly Statement[]) => all.filter((statement) => !statement.text.includes(text));
  return {
    ...entry,
    statements:
      typeof statements === "function" ? (placed, at) => keep(statements(placed, at)) : keep(statements),
  };
}
