import { Uuid } from "surrealdb";
import type { Database } from "../../src/index.ts";
import { engineOf } from "../../src/open.ts";

export interface EngineAnswer {
  status: string;
  result: unknown;
}

/** What the engine itself makes of a text, past everything this package does. For controls. */
export async function askEngine(db: Database, text: string): Promise<EngineAnswer[]> {
  const engine = engineOf(db)!;
  const session = Uuid.v4();
  await engine.call({ method: "attach", session });
  await engine.call({ method: "use", params: [db.namespace, db.database], session });
  const answers = await engine.call({ method: "query", params: [text, {}], session });
  await engine.call({ method: "detach", session });
  return answers as EngineAnswer[];
}
