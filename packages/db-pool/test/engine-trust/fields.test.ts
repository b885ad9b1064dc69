// DEFINE FIELD: what a definition does to writes that have nothing to do with it.

import { describe, expect, test } from "vitest";
import { defect, EVERYWHERE, open, type RawEngine } from "./support.ts";

const WRITTEN_ONCE = defect(
  "in a table with a field `id`, a record can be written once in a transaction (surrealdb#7343 has its error)",
  "let packages/schema/src/describe.ts define the key again (docs/decisions/0007-keys-are-left-to-zod.md)",
);

/** Forms of a definition of the key, each of which note:x fits. */
const DEFINITIONS = [
  "",
  "TYPE any",
  "TYPE string",
  "ASSERT true",
  "TYPE string ASSERT record::id($value) = 'x'",
];

const SECOND_WRITES: [what: string, text: string][] = [
  ["an UPDATE", "UPDATE note:x SET n = 1; UPDATE note:x SET n = 2"],
  ["an UPSERT", "UPSERT note:x SET n = 1; UPSERT note:x SET n = 2"],
  ["an UPDATE after a CREATE", "CREATE note:x SET n = 1; UPDATE note:x SET n = 2"],
  ["an UPDATE in the same block", "{ UPSERT note:x SET n = 1; UPDATE note:x SET n = 2 }"],
  ["an UPDATE to the same content", "UPSERT note:x SET n = 1; UPDATE note:x SET n = 1"],
];

const CHANGED_ID = "Found changed value for field `id`, with record `note:x`, but field is readonly";

async function prepare(engine: RawEngine, definition: string, writes: string): Promise<void> {
  await engine.run(`REMOVE TABLE IF EXISTS note; DEFINE TABLE note; ${definition}`);
  if (!writes.includes("CREATE")) await engine.run("CREATE note:x SET n = 0");
}

describe.for(EVERYWHERE)("on %s a transaction", (kind) => {
  test.for(SECOND_WRITES)("defect: refuses %s of a record whose key is defined", async ([, text]) => {
    await using engine = await open(kind);
    for (const form of DEFINITIONS) {
      await prepare(engine, `DEFINE FIELD id ON note ${form}`, text);
      const failure = await engine.failureOf(`BEGIN; ${text}; COMMIT`).catch((error: Error) => error);
      await WRITTEN_ONCE.shows(() => expect(failure.message).toBe(CHANGED_ID));
    }
  });

  test.for(SECOND_WRITES)("takes %s of a record whose key is not defined, or no more", async ([, text]) => {
    await using engine = await open(kind);
    for (const definition of ["", "DEFINE FIELD id ON note TYPE string; REMOVE FIELD id ON note"]) {
      await prepare(engine, definition, text);
      await engine.run(`BEGIN; ${text}; COMMIT`);
      expect(await engine.run("RETURN note:x.n")).toBe(text.includes("n = 2") ? 2 : 1);
    }
  });
});
