// Who was let do what: written with it, never changed, and found out about if it is.

import { RecordId, surql } from "@sentient/db-pool";
import { sabotage } from "@sentient/testkit";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { backupToFile, restoreBackup, type State } from "../src/index.ts";
import { freshDatabase, freshFolder, freshState, stateOn } from "./support/fresh.ts";
import { codeOf, done, range, running } from "./support/runs.ts";

const whatsOf = async (state: State) =>
  (await state.audit.list()).records.map(({ what }) => what).toReversed();

/** A run that asks whether it may. */
async function asking(state: State) {
  const lease = await running(state);
  await state.commit(lease, {
    asks: [{ key: "main/may#1", text: "may I?", schema: { type: "boolean" } }],
    end: { wait: [{ for: "question", at: "main/may#1" }] },
  } as never);
  return lease.run.id;
}

describe("the audit", () => {
  test("has tokens, answers, exports and what was removed, with who it was", async () => {
    const { db, state } = await freshState();
    const { token } = await state.accessTokens.create({ name: "ci", scopes: ["write"], by: "root" });
    await state.accessTokens.revoke(token.id, { by: "ada" });
    await state.accessTokens.revoke(token.id, { by: "bob" });
    const run = await asking(state);
    await state.answer(run, "main/may#1", true, { by: "ada" });
    await state.answer(run, "main/may#1", true, { by: "ada" });
    const lines = [];
    for await (const line of state.export(run, { by: "eve" })) lines.push(line);
    await state.schedules.put("nightly", { name: "research", cron: "0 3 * * *" });
    await state.schedules.remove("nightly");
    await state.audit.record({ what: "auth.failed", by: "10.0.0.7", data: { code: "api.not_allowed" } });
    await backupToFile(db, join(await freshFolder(), "backup"), { by: "root" });
    const { records } = await state.audit.list();
    expect(records.map(({ n, what, by }) => [n, what, by]).toReversed()).toEqual([
      [1, "token.created", "root"],
      [2, "token.revoked", "ada"],
      [3, "question.answered", "ada"],
      [4, "run.exported", "eve"],
      [5, "schedule.removed", "somebody"],
      [6, "auth.failed", "10.0.0.7"],
      [7, "database.exported", "root"],
    ]);
    expect(records.at(-1)!.data).toEqual({ token: token.id, name: "ci", scopes: ["write"] });
    expect(JSON.stringify(records)).not.toContain("sentient_");
    expect(await state.audit.verify()).toEqual({ ok: true, records: 7, hash: records[0]!.hash });
  });

  test("has what retention removes, one record a pass", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    await state.commit(lease, { steps: [done("main/a#1")], end: { complete: 1 } });
    await state.retain({ details: 0, events: false });
    await state.retain({ details: 0, events: false });
    expect(await whatsOf(state)).toEqual(["data.removed"]);
  });

  test("holds nothing that did not happen, and lacks nothing that did", async () => {
    const { state } = await freshState();
    const run = await asking(state);
    const answers = await Promise.allSettled(
      range(8).map((i) => state.answer(run, "main/may#1", true, { by: `p${i}` })),
    );
    expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(await whatsOf(state)).toEqual(["question.answered"]);
    expect(await codeOf(() => state.answer(run, "main/may#1", false, { by: "late" }))).toBe("state.not_open");
    expect(await whatsOf(state)).toHaveLength(1);
  });

  test("is written with what it tells of, or neither is", async () => {
    const { db, state } = await freshState();
    const run = await asking(state);
    await db.query(surql`DEFINE FIELD OVERWRITE what ON audit TYPE int`); // no record can be written any more
    expect(await codeOf(() => state.answer(run, "main/may#1", true, { by: "ada" }))).toBe("db.invalid_field");
    expect(await codeOf(() => state.accessTokens.create({ name: "ci", scopes: ["read"] }))).toBe(
      "db.invalid_field",
    );
    expect(await codeOf(() => state.export(run).next())).toBe("db.invalid_field");
    expect(await state.accessTokens.list()).toEqual([]);
    expect(await state.questions.get(run, "main/may#1")).toMatchObject({ status: "open" });
    await db.query(surql`DEFINE FIELD OVERWRITE what ON audit TYPE string`);
    expect(await state.answer(run, "main/may#1", true, { by: "ada" })).toMatchObject({ status: "answered" });
    expect(await whatsOf(state)).toEqual(["question.answered"]);
  });

  test("is one chain, however many add to it at once", async () => {
    const { db, state } = await freshState();
    const others = await Promise.all(range(3).map(() => stateOn(db)));
    await Promise.all(
      [state, ...others.map((each) => each.state)].flatMap((each) =>
        range(10).map((i) => each.audit.record({ what: "auth.failed", by: "x", data: { i } })),
      ),
    );
    expect(await state.audit.verify()).toMatchObject({ ok: true, records: 40 });
    const pages = [];
    for (let before: number | undefined; ;) {
      const page = await state.audit.list({ limit: 15, ...(before === undefined ? {} : { before }) });
      pages.push(page.records.map(({ n }) => n));
      if (page.next === undefined) break;
      before = page.next;
    }
    expect(pages).toEqual([
      range(15, 26).toReversed(),
      range(15, 11).toReversed(),
      range(10, 1).toReversed(),
    ]);
    expect((await state.audit.list({ what: "token.created" })).records).toEqual([]);
    expect((await state.audit.list({ by: "x", limit: 3 })).records.map(({ n }) => n)).toEqual([40, 39, 38]);
  });

  test("goes on after a restore, and tells of that too", async () => {
    const { db, state } = await freshState();
    await state.accessTokens.create({ name: "ci", scopes: ["write"] });
    const path = join(await freshFolder(), "backup");
    await backupToFile(db, path);
    const other = await freshDatabase();
    await restoreBackup(other, path, { by: "ada" });
    const { state: there } = await stateOn(other);
    expect(await whatsOf(there)).toEqual(["token.created", "database.exported", "database.restored"]);
    expect(await there.audit.verify()).toMatchObject({ ok: true, records: 3 });
  });
});

describe("a record that is not as it was made", () => {
  const record = (n: number) => new RecordId("audit", n);
  const changes: Record<string, { by: (n: number) => ReturnType<typeof surql>; n: number; damage: string }> =
    {
      "by another person": { by: (n) => surql`UPDATE ${record(n)} SET by = "eve"`, n: 3, damage: "changed" },
      "at another time": {
        by: (n) => surql`UPDATE ${record(n)} SET at = time::now()`,
        n: 3,
        damage: "changed",
      },
      "of something else": {
        by: (n) => surql`UPDATE ${record(n)} SET what = "a.b"`,
        n: 3,
        damage: "changed",
      },
      "with other data": { by: (n) => surql`UPDATE ${record(n)} SET data = "{}"`, n: 3, damage: "changed" },
      "with data that is none": {
        by: (n) => surql`UPDATE ${record(n)} SET data = "{"`,
        n: 3,
        damage: "changed",
      },
      "that is gone": { by: (n) => surql`DELETE ${record(n)}`, n: 3, damage: "missing" },
      "at the end, and gone": { by: () => surql`DELETE ${record(5)}`, n: 5, damage: "missing" },
    };
  test.each(Object.entries(changes))("%s, is found", async (_, { by, n, damage }) => {
    const { db, state } = await freshState();
    for (const i of range(5)) await state.audit.record({ what: "auth.failed", by: "x", data: { i } });
    const { records } = await state.audit.list();
    await db.query(by(3));
    expect(await state.audit.verify()).toMatchObject({ ok: false, n, damage });
    await sabotage("nothing was changed", async () => {
      const fresh = await freshState();
      await fresh.state.audit.record({ what: "auth.failed" });
      expect(await fresh.state.audit.verify()).toMatchObject({ ok: false });
    });
    expect(records).toHaveLength(5);
  });

  test("with all behind it written anew, is found by who has noted a hash", async () => {
    const { db, state } = await freshState();
    for (const i of range(3)) await state.audit.record({ what: "auth.failed", by: "x", data: { i } });
    const noted = await state.audit.verify();
    if (!noted.ok) throw new Error(noted.message);
    const mark = { n: noted.records, hash: noted.hash! };
    await state.audit.record({ what: "auth.failed", by: "later" });
    expect(await state.audit.verify(mark)).toMatchObject({ ok: true, records: 4 });
    await db.query(surql`DELETE audit`);
    await db.query(surql`DELETE audit_head`);
    expect(await state.audit.verify(mark)).toMatchObject({ ok: false, n: 1, damage: "missing" });
    for (const i of range(4)) await state.audit.record({ what: "auth.failed", by: "forged", data: { i } });
    expect(await state.audit.verify()).toMatchObject({ ok: true, records: 4 });
    expect(await state.audit.verify(mark)).toMatchObject({ ok: false, n: 3, damage: "changed" });
    expect(await codeOf(() => state.audit.verify({ n: 1 }))).toBe("state.bad_option");
  });
});
