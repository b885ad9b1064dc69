// What runs stream: in pieces that are numbered, and that anybody can read from any number on.

import { sabotage } from "@sentient/testkit";
import { expect, test, vi } from "vitest";
import * as queries from "../src/queries.ts";
import { RecordId, surql } from "@sentient/db-pool";
import { freshState } from "./support/fresh.ts";
import { claimed, codeOf, range, running } from "./support/runs.ts";

const piece = (data: string) => ({ step: "main/say#1", attempt: 1, kind: "data" as const, data });

test("pieces come back in their order, from any number on, a page at a time", async () => {
  const { state } = await freshState();
  const lease = await running(state);
  const { id } = lease.run;
  expect(
    await state.chunks.append(
      lease,
      0,
      range(250).map((i) => piece(`t${i}`)),
    ),
  ).toBe(250);
  expect(await state.chunks.append(lease, 250, [{ ...piece(""), kind: "end" }])).toBe(251);
  const first = await state.chunks.read(id);
  expect(first.map(({ n }) => n)).toEqual(range(100, 1));
  const rest = await state.chunks.read(id, { after: 248, limit: 10 });
  expect(rest.map(({ n, kind }) => [n, kind])).toEqual([
    [249, "data"],
    [250, "data"],
    [251, "end"],
  ]);
  expect(rest[0]).toMatchObject({ run: id, step: "main/say#1", attempt: 1, data: "t248" });
  expect(await state.chunks.read(id, { after: 251 })).toEqual([]);
  expect(await state.chunks.count(id)).toBe(251);
});

test("sent twice they are there once", async () => {
  const { state } = await freshState();
  const lease = await running(state);
  for (let i = 0; i < 2; i++) await state.chunks.append(lease, 0, [piece("a"), piece("b")]);
  expect((await state.chunks.read(lease.run.id)).map((each) => "data" in each && each.data)).toEqual([
    "a",
    "b",
  ]);
});

test("who does not hold the run any more writes nothing", async () => {
  const { state } = await freshState();
  const writes = async () => {
    const lease = await running(state, { maxAttempts: 9 });
    await state.renew([lease], { lease: 100 });
    await vi.waitUntil(async () => (await claimed(state, "w2")).length === 1, { timeout: 20_000 });
    return codeOf(() => state.chunks.append(lease, 0, [piece("late")]));
  };
  expect(await writes()).toBe("state.lease_lost");
  const spy = vi.spyOn(queries, "requireToken").mockReturnValue(surql`true`);
  await sabotage("no fence", async () => expect(await writes()).toBe("state.lease_lost"));
  spy.mockRestore();
});

test("who comes next is told of pieces that were still on their way, and takes none of them for its own", async () => {
  const { state, db } = await freshState();
  const lease = await running(state);
  const { id } = lease.run;
  await state.chunks.append(lease, 0, [piece("a")]);
  const late = {
    id: new RecordId("chunk", [id, 2]),
    step: "main/say#1",
    attempt: 1,
    kind: "data",
    data: '"z"',
  };
  await db.query(surql`INSERT INTO chunk ${[{ ...late, at: new Date() }]} RETURN NONE`);
  const next = [{ ...piece("b"), attempt: 2 }, piece("c")];
  expect(await codeOf(() => state.chunks.append(lease, 1, next))).toBe("state.revision_mismatch");
  expect(await state.chunks.count(id)).toBe(2);
  expect(await state.chunks.append(lease, 2, next)).toBe(4);
  expect(await state.chunks.append(lease, 2, [...next, piece("d")])).toBe(5); // its own, sent twice
  const texts = (await state.chunks.read(id)).map((each) => "data" in each && each.data);
  expect(texts).toEqual(["a", "z", "b", "c", "d"]);
});

test("what cannot be a piece is refused, and so is a run that is not there", async () => {
  const { state } = await freshState();
  const lease = await running(state);
  expect(await codeOf(() => state.chunks.append(lease, 0, []))).toBe("state.bad_option");
  expect(await codeOf(() => state.chunks.append(lease, 0, [piece("x".repeat(100_000))]))).toBe(
    "schema.limit",
  );
  expect(await codeOf(() => state.chunks.read("nobody"))).toBe("state.not_found");
});
