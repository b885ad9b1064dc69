// Store. Owns: the database as runs need it: their tables are there before the first question.

import type { CallOptions, Database, Statement } from "@sentient/db-pool";
import type { EventBus } from "@sentient/event-bus";

export interface Store {
  query<T>(statement: Statement<T>, options?: CallOptions): Promise<T>;
}

export function storeOn(db: Database, bus: EventBus): Store {
  return {
    query: async (statement, options) => {
      await bus.ready();
      return db.query(statement, options);
    },
  };
}
