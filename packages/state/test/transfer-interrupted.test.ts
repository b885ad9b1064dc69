// Imports that others come between: who sets going what is there already, and who removes what is read.

import { surql } from "@sentient/db-pool";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import * as history from "../src/history-queries.ts";
import { createState, type State } from "../src/index.ts";
import * as transfers from "../src/transfer-queries.ts";
import { answering, before } from "./support/broken.ts";
import { control } from "./support/claiming.ts";
import { freshState, stateOn, type Fresh } from "./support/fresh.ts";
import { claimed, linesOf, live } from "./support/lives.ts";
import { pictureOf } from "./support/picture.ts";
import { codeOf, done, range, started, withAppend } from "./support/runs.ts";

const outcomeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "done",
    (error: { code?: string; message: string }) => error.code ?? error.message,
  );

describe("an import that was cut off while it set its runs free", () => {
  const CHILDREN = 70; // 64 runs are set free at once, the newest first

  /** Up to the second of the two groups. */
  async function cutOff(): Promise<Fresh & { lines: string[] }> {
    const here = await freshState();
    const there = await freshState();
    await started(here.state, { id: "one" });
    await Promise.all(range(CHILDREN).map((i) => started(here.state, { id: `one.${i}`, parent: "one" })));
    const lines = await linesOf(here.state, "one");
    let groups = 0;
    const bus = withAppend(there.bus, (entry, options) =>
      entry.events?.[0]?.type === "run.imported" && ++groups === 2
        ? Promise.reject(new Error("died"))
        : there.bus.log.append(entry, options),
    );
    expect(await outcomeOf(createState(there.db, bus).import(lines))).toBe("died");
    return { ...there, lines };
  }

  async function oneThatIsThere(state: State): Promise<string> {
    const { runs } = await state.list({ parkedFor: "asked", limit: 1_000 });
    return runs.find((run) => run.status === "parked" && run.problem.code === "imported")!.id;
  }

  async function expectFinished(hides: boolean): Promise<void> {
    const { state, db, bus, lines } = await cutOff();
    const child = await oneThatIsThere(state);
    await state.resume(child);
    await state.commit(await claimed(state, child), { steps: [done("here")], end: { complete: "here" } });
    const blind = answering(db, (text, answer) => (text.includes("run.imported") ? [] : answer));
    const again = hides ? createState(blind, bus) : state;
    expect(await outcomeOf(again.import(lines))).toBe("done");
    expect(await state.load("one")).toMatchObject({ status: "parked", problem: { code: "imported" } });
    expect(await state.load(child)).toMatchObject({ status: "completed", output: "here" });
    expect([...(await state.journal(child)).keys()]).toEqual(["here"]);
    expect(await state.import(lines)).toMatchObject({ imported: [] });
  }

  test("is finished by the next, though a run of it was set going", () => expectFinished(false));

  test("control: if nobody looked what was told of it, it would not be", () =>
    control("what was told of imports is hidden", () => expectFinished(true)));

  test("is not finished by another file", async () => {
    const { state, lines } = await cutOff();
    await state.import(lines);
    await state.resume("one");
    const other = await freshState();
    await other.state.import(lines);
    expect(await codeOf(async () => state.import(await linesOf(other.state, "one")))).toBe(
      "state.run_conflict",
    );
  });
});

describe("a run that has the id of one that was imported from the file once, and removed", () => {
  async function expectOther(): Promise<void> {
    const [here, there] = [await freshState(), await freshState()];
    await live(here.state, [{ do: "step", result: 1 }], "one");
    const lines = await linesOf(here.state, "one");
    await there.state.import(lines);
    for (let more = true; more;) ({ more } = await there.state.retain({ runs: 0, events: false }));
    expect(await codeOf(() => there.state.load("one"))).toBe("state.not_found");
    await started(there.state, { id: "one", input: "another" });
    expect(await outcomeOf(there.state.import(lines))).toBe("state.run_conflict");
  }

  test("is another", () => expectOther());

  test("control: by what was told of the id alone it would be the same", async () => {
    const { readImports } = transfers;
    const spy = vi.spyOn(transfers, "readImports");
    spy.mockImplementation((run, after) => readImports(run, after, 1));
    onTestFinished(() => spy.mockRestore());
    await control("since when the run is there is not asked", () => expectOther());
  });
});

describe("a fork whose parent is there, and is emptied while the fork is brought", () => {
  async function expectNotThere(): Promise<void> {
    const [here, there] = [await freshState(), await freshState()];
    await live(here.state, [{ do: "step", result: 1 }, { do: "large" }], "one");
    await here.state.fork("one", { id: "fork" });
    const lease = await claimed(here.state, "fork");
    await here.state.commit(lease, { steps: [done("more")], state: { forked: 1 }, end: { complete: 1 } });
    await there.state.import(await linesOf(here.state, "one"));
    const lines = await linesOf(here.state, "fork");
    const other = await stateOn(there.db);
    let emptied: string[] = [];
    const racing = before(there.db, async (text) => {
      if (!text.includes("UPSERT $row.id") || emptied.length > 0) return;
      emptied = ["begun"];
      emptied = (await other.state.retain({ details: 0, events: false })).details;
    });
    expect(await outcomeOf(createState(racing, there.bus).import(lines))).toBe("state.details_removed");
    expect(emptied).toEqual(["one"]);
    expect(await codeOf(() => there.state.resume("fork"))).toBe("state.illegal_transition");
    expect((await there.state.import(lines)).imported.toSorted()).toEqual(["fork", "one"]);
    for (const run of ["one", "fork"])
      expect(await pictureOf(there.state, run)).toEqual(await pictureOf(here.state, run));
    expect((await there.state.retain({ details: 0, events: false })).details).toEqual(["fork"]);
  }

  test("is there when its parent is", () => expectNotThere());

  test("control: if nobody asked for what it reads, it would be there without", async () => {
    const spy = vi.spyOn(history, "requireDetails").mockReturnValue(surql`RETURN 1`);
    onTestFinished(() => spy.mockRestore());
    await control("the parent's details are not asked for", () => expectNotThere());
  });
});
