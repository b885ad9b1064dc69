// Files that are not sound, and runs that are there already: nothing of them is brought.

import { openDatabase, surql, type Database } from "@sentient/db-pool";
import { createEventBus } from "@sentient/event-bus";
import { hashOf } from "@sentient/schema";
import { freshNames, sabotage } from "@sentient/testkit";
import { beforeEach, describe, expect, test } from "vitest";
import { createState } from "../src/index.ts";
import { FileCheck } from "../src/import-check.ts";
import { before } from "./support/broken.ts";
import { freshFolder, freshState, stateOn } from "./support/fresh.ts";
import { linesOf, live } from "./support/lives.ts";
import { pictureOf } from "./support/picture.ts";
import { codeOf, failureOf, started } from "./support/runs.ts";

/** The same lines under a seal that fits them. */
function sealed(lines: readonly string[]): string[] {
  const body = lines.slice(0, -1);
  const sha256 = hashOf(body.map((line) => `${line}\n`).join(""));
  return [...body, JSON.stringify({ kind: "end", lines: body.length, sha256 })];
}

function problemOf(lines: readonly string[]): string | undefined {
  const check = new FileCheck();
  try {
    for (const line of lines) check.add(line);
    check.sound();
    return undefined;
  } catch (error) {
    expect(error).toMatchObject({
      code: "state.bad_export",
      details: { line: expect.any(Number) as unknown },
    });
    return (error as Error).message;
  }
}

async function countAll(db: Database): Promise<unknown> {
  return db.query(
    surql`RETURN [array::len((SELECT VALUE id FROM run)), array::len((SELECT VALUE id FROM event)), array::len((SELECT VALUE id FROM blob)), array::len((SELECT VALUE id FROM step))]`,
  );
}

let lines: string[] = [];
beforeEach(async () => {
  if (lines.length > 0) return;
  const db = await openDatabase({ url: `rocksdb://${await freshFolder()}/engine`, ...freshNames() });
  const bus = createEventBus(db);
  await bus.history({ limit: 1 }); // the tables are there
  const state = createState(db, bus);
  await live(
    state,
    [{ do: "large" }, { do: "state", state: 1 }, { do: "checkpoint" }, { do: "child" }],
    "one",
  );
  lines = await linesOf(state, "one");
  await bus.close();
  await db.close();
});

const without = (i: number) => lines.filter((_, at) => at !== i);
const changed = (i: number, change: (line: string) => string) =>
  lines.map((line, at) => (at === i ? change(line) : line));
const indexOf = (kind: string) => lines.findIndex((line) => line.includes(`"kind":"${kind}"`));

describe("a file that is not sound", () => {
  test("is one that was cut off, wherever that was", () => {
    for (let length = 0; length < lines.length; length++)
      expect(problemOf(lines.slice(0, length))).toContain(`line ${length + 1} of`);
    expect(problemOf(lines)).toBeUndefined();
    expect(problemOf(changed(lines.length - 1, (line) => line.slice(0, -9)))).toContain("no JSON");
  });

  test("is one of which a line was changed, left out, doubled or moved", () => {
    for (let i = 0; i < lines.length; i++) {
      expect(problemOf(changed(i, (line) => line.replace(/[a-z0-9](?=[^a-z0-9]*$)/, "~")))).toBeDefined();
      expect(problemOf(without(i))).toBeDefined();
      expect(problemOf([...lines.slice(0, i + 1), ...lines.slice(i)])).toBeDefined();
    }
    expect(problemOf([...lines, "{}"])).toContain("follows the end");
  });

  test("is one whose lines do not fit each other, though its seal fits them", () => {
    for (const i of [indexOf("run"), indexOf("event") + 1, indexOf("blob")])
      expect(problemOf(sealed(without(i)))).toBeDefined();
    const other = (kind: string, change: (line: string) => string) => sealed(changed(indexOf(kind), change));
    expect(problemOf(other("event", (line) => line.replace('"n":1', '"n":3')))).toContain("comes 2");
    expect(
      problemOf(other("run", (line) => line.replace('"status":"completed"', '"status":"done"'))),
    ).toContain("status");
    expect(problemOf(other("run", (line) => line.replace('"input":"', '"input":" ')))).toContain("hash");
    expect(problemOf(other("step", (line) => line.replace('["one",', '["none",')))).toContain(
      "not in the file",
    );
    expect(problemOf(other("blob", (line) => line.replace('"content":"', '"content":"AAAA')))).toContain(
      "is another",
    );
    expect(problemOf(sealed([...lines.slice(0, -1), lines[indexOf("event")]!, ""]))).toContain("order");
  });

  test("is one of a newer release, or of something else", () => {
    expect(problemOf(sealed(changed(0, (line) => line.replace('"format":1', '"format":2'))))).toContain(
      "format 2",
    );
    expect(problemOf(["{}"])).toContain("no export begins");
    expect(problemOf(["hello"])).toContain("no JSON");
    expect(problemOf([])).toContain("cut off");
  });

  test("leaves nothing behind", async () => {
    const { state, db } = await freshState();
    const before = await countAll(db);
    for (const bad of [lines.slice(0, -1), without(4), sealed(without(indexOf("blob")))])
      expect(await codeOf(() => state.import(bad))).toBe("state.bad_export");
    expect(await codeOf(() => state.importFromFile("/dev/null"))).toBe("state.bad_export");
    expect(await countAll(db)).toEqual(before);
  });
});

describe("a run that is there already", () => {
  test("stays what it is", async () => {
    const { state, db } = await freshState();
    await started(state, { id: "one.3", input: "another" });
    const before = await countAll(db);
    const conflict = await failureOf(() => state.import(lines));
    expect(conflict).toMatchObject({ code: "state.run_conflict", details: { run: "one.3" } });
    expect(await countAll(db)).toEqual(before);
  });

  test("does not come between: its place is held", async () => {
    const { db, bus } = await freshState();
    const other = await stateOn(db);
    let inserted = false;
    const racing = before(db, async (text) => {
      if (inserted || !text.startsWith("INSERT INTO run ")) return;
      inserted = true;
      await started(other.state, { id: "one" });
    });
    expect(await codeOf(() => createState(racing, bus).import(lines))).toBe("state.run_conflict");
    expect(await other.state.load("one")).toMatchObject({ status: "queued" });
    expect(await codeOf(() => other.state.load("one.3"))).toBe("state.not_found");
  });

  test("is not mixed with the same run of another file", async () => {
    const { state, db, bus } = await freshState();
    const dying = before(db, (text) => {
      if (text.includes("UPSERT $row.id")) throw new Error("died");
    });
    await expect(createState(dying, bus).import(lines)).rejects.toThrow("died");
    const other = sealed(
      changed(0, (line) => line.replace(/"at":"[^"]*"/, '"at":"2026-01-01T00:00:00.000Z"')),
    );
    expect(await codeOf(() => state.import(other))).toBe("state.run_conflict");
    await state.import(lines);
    expect(await state.load("one")).toMatchObject({ status: "completed" });
  });

  test("two imports of one file at a time make one", async () => {
    const { state, db } = await freshState();
    const second = await stateOn(db);
    const both = await Promise.allSettled([state.import(lines), second.state.import(lines)]);
    expect(both.some(({ status }) => status === "fulfilled")).toBe(true);
    await state.import(lines);
    const picture = await pictureOf(state, "one");
    const alone = await freshState();
    await alone.state.import(lines);
    expect(picture).toEqual(await pictureOf(alone.state, "one"));
  });
});

test("a run is seen when all of it is there, and not before", async () => {
  const look = async (protects: boolean) => {
    const { db, bus, state } = await freshState();
    const seen: string[] = [];
    const watched = before(db, async (text) => {
      if (!text.includes("UPSERT $row.id")) return;
      if (!protects)
        await db.query(surql`UPDATE run SET problem.code = "other", problem.message = problem.message`);
      seen.push(await codeOf(() => state.journal("one")), await codeOf(() => state.resume("one")));
    });
    await createState(watched, bus).import(lines);
    expect(new Set(seen)).toEqual(new Set(["state.details_removed", "state.illegal_transition"]));
  };
  await look(true);
  await sabotage("a place that is not known as one", () => look(false));
});
