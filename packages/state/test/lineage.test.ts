import { describe, expect, test } from "vitest";
import type { Relatives } from "../src/index.ts";
import { freshState, type Fresh } from "./support/fresh.ts";

/** order.placed → planner → (writer → editor, reader); writer forked; an event of the editor → mailer. */
async function family({ state, bus }: Fresh): Promise<void> {
  await bus.publish({ type: "shop.opened", eventId: "open" });
  await bus.publish({ type: "order.placed", eventId: "order-17", causation: "open" });
  await state.start({ name: "plan", id: "planner", causation: "order-17" });
  await state.start({ name: "write", id: "writer", parent: "planner", parentStep: "main/write#1" });
  await state.start({ name: "read", id: "reader", parent: "planner" });
  await state.start({ name: "edit", id: "editor", parent: "writer", parentStep: "main/edit#1" });
  await bus.publish({ type: "draft.ready", eventId: "draft", run: "editor", causation: "order-17" });
  await state.start({ name: "mail", id: "mailer", causation: "draft" });
  await state.fork("writer", { n: 1, id: "fork" });
}

const brief = ({ runs }: Relatives) => runs.map(({ run, depth, by, of }) => `${depth} ${run} ${by} of ${of}`);

describe("what led to a run, and what came of it", () => {
  test("is told by depth and by what leads there", async () => {
    const fresh = await freshState();
    await family(fresh);
    const { state } = fresh;
    expect(brief(await state.ancestors("mailer"))).toEqual([
      "1 editor caused of mailer",
      "2 writer spawned of editor",
      "3 planner spawned of writer",
    ]);
    expect(brief(await state.ancestors("fork"))).toEqual([
      "1 writer forked of fork",
      "2 planner spawned of writer",
    ]);
    expect(await state.ancestors("planner")).toEqual({ runs: [], truncated: false });
    expect(brief(await state.descendants("planner"))).toEqual([
      "1 writer spawned of planner",
      "1 reader spawned of planner",
      "2 editor spawned of writer",
      "2 fork forked of writer",
      "3 mailer caused of editor",
    ]);
    const { runs } = await state.descendants("writer");
    expect(runs).toMatchObject([
      { run: "editor", step: "main/edit#1" },
      { run: "fork", n: 1 },
      { run: "mailer", position: 7 },
    ]);
  });

  test("ends where the limit says, and says so", async () => {
    const fresh = await freshState();
    await family(fresh);
    const { state } = fresh;
    expect(await state.descendants("planner", { limit: 2 })).toMatchObject({
      runs: [{}, {}],
      truncated: true,
    });
    expect(await state.descendants("planner", { limit: 5 })).toMatchObject({ truncated: false });
    await expect(state.descendants("nobody")).rejects.toMatchObject({ code: "state.not_found" });
    await expect(state.ancestors("planner", { limit: 0 })).rejects.toMatchObject({
      code: "state.bad_option",
    });
    await expect(state.ancestors("planner", { limit: 5_000 })).rejects.toMatchObject({
      code: "schema.limit",
    });
  });

  test("is told once of a run that is reached in a circle", async () => {
    const fresh = await freshState();
    const { state, bus } = fresh;
    await state.start({ name: "a", id: "a" });
    await bus.publish({ type: "a.told", eventId: "told", run: "a" });
    await state.start({ name: "b", id: "b", parent: "a", causation: "told" });
    await bus.publish({ type: "b.told", eventId: "back", run: "b", causation: "told" });
    expect(brief(await state.descendants("a"))).toEqual(["1 b spawned of a"]);
    expect(brief(await state.ancestors("b"))).toEqual(["1 a spawned of b"]);
    expect((await state.why("back")).chain).toHaveLength(4);
  });
});

describe("why an event happened", () => {
  test("is told from its run up to the first cause, as data and as text", async () => {
    const fresh = await freshState();
    await family(fresh);
    const { state, bus } = fresh;
    const position = await bus.publish({ type: "mail.sent", eventId: "sent", run: "mailer" });
    const why = await state.why(position);
    expect(why).toMatchObject({ event: { position, eventId: "sent" }, run: "mailer", truncated: false });
    const links = why.chain.map((link) => [
      link.depth,
      link.by,
      link.what === "event" ? link.event.eventId : link.what === "run" ? link.run.id : link.name,
    ]);
    expect(links).toEqual([
      [0, "asked", "sent"],
      [1, "happened in", "mailer"],
      [2, "caused by", "draft"],
      [3, "happened in", "editor"],
      [4, "spawned by", "writer"],
      [5, "spawned by", "planner"],
      [6, "caused by", "order-17"],
      [7, "caused by", "open"],
    ]);
    const lines = why.text.split("\n").map((line) => line.replace(/ \d{4}-.*Z$/, ""));
    expect(lines).toEqual([
      `${position} mail.sent mailer#2`,
      "  happened in run mailer, task mail, queued",
      "    caused by 7 draft.ready editor#2",
      "      happened in run editor, task edit, queued",
      "        spawned by step main/edit#1 of run writer, task write, queued",
      "          spawned by step main/write#1 of run planner, task plan, queued",
      "            caused by 2 order.placed",
      "              caused by 1 shop.opened",
    ]);
    expect(await state.why("sent")).toEqual(why);
    expect(await state.why(why.event)).toEqual(why);
  });

  test("names the run that a fork began from, and how much they share", async () => {
    const fresh = await freshState();
    await family(fresh);
    const { events } = await fresh.bus.history({ run: "fork" });
    const { chain, text } = await fresh.state.why(events[0]!);
    expect(chain).toMatchObject([
      { by: "asked" },
      { run: { id: "fork" } },
      { by: "forked from", n: 1, run: { id: "writer" } },
      {},
      {},
      {},
    ]);
    expect(text).toContain("forked from event 1 of run writer");
  });

  test("names what is not there any more, and refuses an event that is not there", async () => {
    const fresh = await freshState();
    const { state, bus } = fresh;
    await family(fresh);
    await bus.publish({ type: "thing.done", eventId: "done", causation: "elsewhere-1" });
    expect((await state.why("done")).chain[1]).toMatchObject({
      what: "missing",
      name: "event elsewhere-1",
      by: "caused by",
    });
    await bus.trim({ before: 3, force: true });
    const { chain, text } = await state.why(3);
    expect(chain.at(-1)).toMatchObject({ what: "missing", name: "event order-17" });
    expect(text).toContain("event order-17 (removed, or not of this log)");
    for (const asked of ["nothing", 999, 1])
      await expect(state.why(asked)).rejects.toMatchObject({ code: "state.not_found" });
    await expect(state.why(0)).rejects.toMatchObject({ code: "state.bad_option" });
  });
});
