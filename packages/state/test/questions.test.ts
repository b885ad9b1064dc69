import { surql } from "@sentient/db-pool";
import type { Json } from "@sentient/schema";
import { sabotage, seeded, VirtualClock } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import type { Change } from "../src/change.ts";
import type { Question, State } from "../src/index.ts";
import { freshState, stateOn, type Fresh } from "./support/fresh.ts";
import { INJECTIONS } from "./support/injections.ts";
import { claimed, codeOf, failure, failureOf, held, running, started, storyOf } from "./support/runs.ts";
import { tamperedState, without } from "./support/tampered.ts";

type Ask = NonNullable<Change["asks"]>[number];

const ask = (key = "ok#1", more: Partial<Ask> = {}): Ask => ({ key, text: "May I?", ...more });
const waitFor = (keys: readonly string[], until?: Date) => ({
  wait: keys.map((at) => ({ for: "question" as const, at: at as never, ...(until ? { until } : {}) })),
});

/** A run that has asked, and waits for all answers. @returns its id */
async function asking(state: State, ...asks: Ask[]): Promise<string> {
  const lease = await running(state);
  const [{ deadline } = {}] = asks;
  await state.commit(lease, {
    asks,
    end: waitFor(
      asks.map(({ key }) => key),
      deadline,
    ),
  });
  return lease.run.id;
}

describe("a question", () => {
  test("is answered once, and the answer wakes the run in that commit", async () => {
    const { state, bus } = await freshState();
    const run = await asking(state, ask("ok#1", { assignee: "ada" }));
    expect(await state.questions.get(run, "ok#1")).toMatchObject({
      status: "open",
      text: "May I?",
      assignee: "ada",
    });
    const answered = await state.answer(run, "ok#1", { yes: true }, { by: "ada" });
    expect(answered).toMatchObject({ status: "answered", answer: { yes: true }, answeredBy: "ada" });
    expect(await state.questions.get(run, "ok#1")).toEqual(answered);
    expect((await state.load(run)).status).toBe("queued");
    const { events } = await state.history(run, { order: "desc", limit: 2 });
    expect(events).toMatchObject([
      { type: "run.resumed", data: { key: "ok#1" } },
      { type: "question.answered", data: { key: "ok#1", by: "ada" }, source: "ada" },
    ]);
    expect((await storyOf(bus, run)).slice(2, 4)).toEqual(["question.asked", "run.waiting"]);
  });

  test("tells everybody else who was first, and when", async () => {
    const { state } = await freshState();
    const run = await asking(state, ask());
    const { answeredAt } = (await state.answer(run, "ok#1", "yes", { by: "ada" })) as Question & {
      answeredAt: Date;
    };
    for (const late of [
      () => state.answer(run, "ok#1", "no", { by: "bob" }),
      () => state.answer(run, "ok#1", "no", { by: "ada" }),
      () => state.answer(run, "ok#1", "yes", { by: "bob" }),
    ]) {
      const refused = await failureOf(late);
      expect(refused).toMatchObject({
        code: "state.not_open",
        message: expect.stringContaining(`by ada at ${answeredAt.toISOString()}`) as string,
        details: { status: "answered", by: "ada", at: answeredAt },
      });
    }
    expect(await state.questions.get(run, "ok#1")).toMatchObject({ answer: "yes", answeredBy: "ada" });
  });

  test("is answered as before to whoever's reply was lost, also once the run is over", async () => {
    const { state, bus } = await freshState();
    const run = await asking(state, ask());
    const say = () => state.answer(run, "ok#1", { b: 1, a: 2 }, { by: "ada" });
    const first = await say();
    expect(await say()).toEqual(first);
    await state.commit(await held(state), { end: { complete: null } });
    expect(await say()).toEqual(first);
    expect((await storyOf(bus, run)).filter((type) => type === "question.answered")).toHaveLength(1);
  });

  test("that is answered before anybody waits is answered then", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    await state.commit(lease, { asks: [ask()] });
    await state.answer(lease.run.id, "ok#1", 1, { by: "ada" });
    expect((await state.load(lease.run.id)).status).toBe("running");
    expect(await codeOf(() => state.commit(lease, { end: waitFor(["ok#1"]) }))).toBe(
      "state.nothing_to_wait_for",
    );
    await state.commit(lease, { end: { complete: 1 } });
    expect((await state.questions.get(lease.run.id, "ok#1")).status).toBe("answered");
  });

  test("never gets the answer to another one of its run", async () => {
    const { state } = await freshState();
    const keys = ["a/ok#1", "b/ok#1", "b/ok#2", "c#1"];
    const run = await asking(state, ...keys.map((key) => ask(key)));
    await Promise.all(keys.toReversed().map((key) => state.answer(run, key, `for ${key}`, { by: "ada" })));
    for (const key of keys)
      expect(await state.questions.get(run, key)).toMatchObject({ key, answer: `for ${key}` });
    const positions = await Promise.all(
      keys.map(async (key) => (await state.questions.get(run, key)).position),
    );
    const events = (await state.history(run)).events.filter(({ type }) => type === "question.asked");
    expect(positions).toEqual(events.map(({ position }) => position));
  });

  test("cannot be asked twice", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    await state.commit(lease, { asks: [ask()] });
    expect(await codeOf(() => state.commit(lease, { asks: [ask()] }))).toBe("state.question_exists");
  });

  test("is not there before it was asked", async () => {
    const { state } = await freshState();
    const run = await started(state);
    expect(await codeOf(() => state.answer(run, "ok#1", 1, { by: "ada" }))).toBe("state.not_found");
    expect(await codeOf(() => state.answer("nowhere", "ok#1", 1, { by: "ada" }))).toBe("state.not_found");
    await expect(state.questions.get(run, "ok#1")).rejects.toMatchObject({
      code: "state.not_found",
      details: { run, key: "ok#1" },
    });
    expect(await codeOf(() => state.answer(run, "ok#1", 1, {} as never))).toBe("state.bad_option");
  });
});

describe("the schema of an answer", () => {
  const schema: Json = {
    type: "object",
    properties: { ok: { type: "boolean" }, count: { type: "integer", default: 1 } },
    required: ["ok"],
    additionalProperties: false,
  };

  test("lets through what fits it, with its defaults, and says what is wrong with the rest", async () => {
    const { state } = await freshState();
    const run = await asking(state, ask("ok#1", { schema }));
    const refused = await failureOf(() => state.answer(run, "ok#1", { ok: "yes", more: 1 }, { by: "ada" }));
    expect(refused).toMatchObject({
      code: "state.invalid_answer",
      details: { issues: [expect.stringContaining("ok"), expect.stringContaining("more")] },
    });
    expect((await state.load(run)).status).toBe("waiting");
    const say = () => state.answer(run, "ok#1", { ok: true }, { by: "ada" });
    expect(await say()).toMatchObject({ answer: { ok: true, count: 1 } });
    expect(await say()).toMatchObject({ answer: { ok: true, count: 1 } }); // the same once more
    expect(await codeOf(() => state.answer(run, "ok#1", { ok: 5 }, { by: "ada" }))).toBe("state.not_open");
  });

  test.each<[string, Json]>([
    ["a word", "string"],
    ["a list", []],
    ["an unknown type", { type: "text" }],
    ["a bad pattern", { type: "string", pattern: "(" }],
    ["a reference to elsewhere", { $ref: "https://example.com/schema.json" }],
    ["conditions", { type: "string", if: { minLength: 3 }, end: {} }],
    ["an assertion without a type", { minLength: 3 }],
    ["the same further down", { type: "array", items: { anyOf: [{ type: "null" }, { minimum: 3 }] } }],
    [
      "a reference with more beside it",
      { $ref: "#/$defs/a", $defs: { a: { type: "string" } }, type: "string", maxLength: 1 },
    ],
    ["a required field of no kind", { type: "object", required: ["ok"] }],
    ["an object as a constant", { const: { ok: true } }],
  ])(
    "is refused when it is asked if it is %s, as nothing or the wrong thing would be checked",
    async (_, bad) => {
      const { state } = await freshState();
      const lease = await running(state);
      const refused = await failureOf(() => state.commit(lease, { asks: [ask("ok#1", { schema: bad })] }));
      expect(refused).toMatchObject({
        code: "state.bad_change",
        message: expect.stringContaining("the schema of the question ok#1") as string,
      });
      expect(await codeOf(() => state.questions.get(lease.run.id, "ok#1"))).toBe("state.not_found");
    },
  );

  test("is needed by nobody: then any JSON will do, up to 256 KiB", async () => {
    const { state } = await freshState();
    const run = await asking(state, ask());
    expect(await codeOf(() => state.answer(run, "ok#1", "x".repeat(300_000), { by: "ada" }))).toBe(
      "schema.limit",
    );
    expect(await codeOf(() => state.answer(run, "ok#1", Infinity, { by: "ada" }))).toBe("state.bad_option");
    expect(await state.answer(run, "ok#1", null, { by: "ada" })).toMatchObject({ answer: null });
  });
});

describe("a deadline", () => {
  async function withDeadline() {
    const clock = new VirtualClock();
    const fresh = await freshState({ clock });
    const deadline = new Date(clock.now() + 60_000);
    const run = await asking(fresh.state, ask("ok#1", { deadline, onTimeout: { ok: false } }));
    return { ...fresh, clock, run, deadline };
  }

  test("takes answers until it has passed", async () => {
    const { state, clock, run } = await withDeadline();
    await clock.advance(59_999);
    expect(await state.answer(run, "ok#1", 1, { by: "ada" })).toMatchObject({ status: "answered" });
  });

  test("takes none afterwards, and says so", async () => {
    const { state, clock, run, deadline } = await withDeadline();
    await clock.advance(60_000);
    expect(await failureOf(() => state.answer(run, "ok#1", 1, { by: "ada" }))).toMatchObject({
      code: "state.not_open",
      message: expect.stringContaining(`until ${deadline.toISOString()}`) as string,
      details: { status: "open", deadline },
    });
  });

  test("makes its run due, whose worker goes on with the answer for that case", async () => {
    const { state, bus, clock, run } = await withDeadline();
    expect(await claimed(state)).toEqual([]);
    await clock.advance(60_000);
    const lease = await held(state);
    await state.commit(lease, { expires: ["ok#1"] });
    expect(await state.questions.get(run, "ok#1")).toMatchObject({
      status: "expired",
      onTimeout: { ok: false },
    });
    expect(await failureOf(() => state.answer(run, "ok#1", 1, { by: "ada" }))).toMatchObject({
      details: { status: "expired" },
    });
    expect(await storyOf(bus, run)).toContain("question.expired");
  });

  test("is not brought forward by the worker", async () => {
    const { state } = await freshState({ clock: new VirtualClock() });
    const lease = await running(state);
    const deadline = new Date(Date.UTC(2027, 0, 1));
    await state.commit(lease, { asks: [ask("ok#1", { deadline }), ask("ok#2")] });
    for (const key of ["ok#1", "ok#2", "ok#3"])
      expect(await codeOf(() => state.commit(lease, { expires: [key] }))).toBe("state.not_open");
  });

  test("lets its worker go on at once, by the time of the database too", async () => {
    const { state } = await freshState();
    const run = await asking(state, ask("ok#1", { deadline: new Date(Date.now() - 1_000) }));
    await state.commit(await held(state), { expires: ["ok#1"], end: { complete: 1 } });
    expect((await state.questions.get(run, "ok#1")).status).toBe("expired");
  });
});

describe("when a run is over", () => {
  const ends: [string, (state: State, run: string) => Promise<unknown>][] = [
    ["cancelled", (state, run) => state.cancel(run)],
    [
      "cancelled by force while it is held",
      async (state, run) => {
        await state.answer(run, "ok#2", 1, { by: "ada" });
        await held(state);
        await state.cancel(run, { force: true });
      },
    ],
    [
      "completed",
      async (state, run) => {
        await state.answer(run, "ok#2", 1, { by: "ada" });
        await state.commit(await held(state), { end: { complete: 1 } });
      },
    ],
    [
      "failed",
      async (state, run) => {
        await state.answer(run, "ok#2", 1, { by: "ada" });
        await state.commit(await held(state), { end: { fail: failure } });
      },
    ],
  ];

  async function expectWithdrawn(state: State, run: string): Promise<void> {
    expect((await state.questions.list({ run })).questions).toEqual([]);
    expect(await state.questions.get(run, "ok#1")).toMatchObject({ status: "withdrawn" });
    expect(await failureOf(() => state.answer(run, "ok#1", 1, { by: "ada" }))).toMatchObject({
      code: "state.not_open",
      message: expect.stringContaining("was withdrawn") as string,
      details: { status: "withdrawn" },
    });
  }

  test.each(ends)("because it is %s, what it asked and nobody answered is withdrawn", async (_, end) => {
    const { state } = await freshState();
    const run = await asking(state, ask(), ask("ok#2"));
    await end(state, run);
    await expectWithdrawn(state, run);
    expect((await state.questions.get(run, "ok#2")).status).toMatch(/answered|withdrawn/);
  });

  test("in the commit it asked in, or under the lease, that holds as well", async () => {
    const { state } = await freshState();
    const at = await running(state);
    await state.commit(at, { asks: [ask()], end: { complete: 1 } });
    await expectWithdrawn(state, at.run.id);
    const lease = await running(state);
    await state.commit(lease, { asks: [ask()] });
    await state.commit(lease, { asks: [ask("ok#2")] });
    await state.commit(lease, { end: { fail: failure } });
    await expectWithdrawn(state, lease.run.id);
  });

  test("control: it is the commit that ends the run which withdraws", async () => {
    const { state, db, bus } = await freshState();
    const run = await asking(state, ask());
    const lax = tamperedState(db, bus, (entry) => without(entry, "withdrawnAt"));
    await lax.cancel(run);
    await sabotage("nothing is withdrawn", () => expectWithdrawn(state, run));
  });

  test("that asked nothing, no question is looked for", async () => {
    const { state, db } = await freshState();
    const texts: string[] = [];
    db.on("query", ({ text }) => void texts.push(text));
    await state.commit(await running(state), { end: { complete: 1 } });
    await state.cancel(await started(state));
    expect(texts.filter((text) => text.includes("withdrawn"))).toEqual([]);
  });

  test("a question that nobody needs answered any more is withdrawn by its worker", async () => {
    const { state, bus } = await freshState();
    const lease = await running(state);
    await state.commit(lease, { asks: [ask()] });
    await state.commit(lease, { withdraws: ["ok#1"] });
    await expectWithdrawn(state, lease.run.id);
    expect(await storyOf(bus, lease.run.id)).toContain("question.withdrawn");
  });
});

describe("answers, a cancel and the deadline at once", () => {
  /** Two people answer, one cancels, and the worker says that the time is up, in any order, from two processes. */
  async function meet(rounds: number, answering: (fresh: Fresh, clock: VirtualClock) => State) {
    const clock = new VirtualClock();
    const fresh = await freshState({ clock });
    const { state, db, bus } = fresh;
    const other = (await stateOn(db, { clock })).state;
    const people = [answering(fresh, clock), other];
    const random = seeded();
    console.log(`SEED=${random.seed}`);
    const outcomes: string[] = [];
    for (let round = 0; round < rounds; round++) {
      const lease = await running(state);
      const run = lease.run.id;
      const deadline = new Date(clock.now() + 60_000);
      await state.commit(lease, { asks: [ask("ok#1", { deadline })] });
      if (random.int(3) === 0) await clock.advance(60_000);
      const after = async (work: () => Promise<unknown>) => {
        for (let turns = random.int(4); turns > 0; turns--) await db.query(surql`RETURN 1`);
        return work();
      };
      const [ada, bob, cancel, expire] = await Promise.allSettled([
        ...people.map((person, i) => after(() => person.answer(run, "ok#1", i, { by: `person-${i}` }))),
        after(() => other.cancel(run, { force: true })),
        after(() => state.commit(lease, { expires: ["ok#1"] })),
      ]);
      const question = await state.questions.get(run, "ok#1");
      const answered = [ada, bob].filter(({ status }) => status === "fulfilled");
      expect(cancel?.status).toBe("fulfilled");
      expect(answered, `round ${round}`).toHaveLength(question.status === "answered" ? 1 : 0);
      if (question.status === "answered")
        expect(question.answeredBy).toBe(`person-${[ada, bob].indexOf(answered[0]!)}`);
      expect(expire?.status === "fulfilled").toBe(question.status === "expired");
      const story = (await storyOf(bus, run)).filter((type) => /^question\.(answered|expired)$/.test(type));
      expect(story).toEqual(question.status === "withdrawn" ? [] : [`question.${question.status}`]);
      outcomes.push(question.status);
    }
    return outcomes;
  }

  test("end in exactly one of them", async () => {
    const outcomes = await meet(25, ({ state }) => state);
    expect(new Set(outcomes).size).toBeGreaterThan(1);
  });

  test("control: the answer's condition is what makes it so", async () => {
    await sabotage("an answer is said to be taken whatever became of the question", () =>
      meet(15, ({ db, bus }, clock) =>
        tamperedState(db, bus, (entry) => without(entry, "deadline > $now"), { clock }),
      ),
    );
  });
});

describe("the list of questions", () => {
  async function listAll(state: State, options: Parameters<State["questions"]["list"]>[0]) {
    const pages = [];
    for (let after: number | undefined = 0; after !== undefined;) {
      const page: Awaited<ReturnType<State["questions"]["list"]>> = await state.questions.list({
        ...options,
        after,
      });
      pages.push(page.questions);
      after = page.next;
    }
    return pages;
  }

  test("comes in pages in the order of asking, by run, person and status", async () => {
    const { state } = await freshState();
    const runs: string[] = [];
    for (let i = 0; i < 3; i++)
      runs.push(
        await asking(state, ...[1, 2, 3, 4].map((n) => ask(`q#${5 - n}`, n % 2 ? { assignee: `ada` } : {}))),
      );
    const idsOf = (questions: { run: string; key: string }[]) =>
      questions.map(({ run, key }) => `${runs.indexOf(run)}${key}`);
    const order = runs.flatMap((_, i) => [4, 3, 2, 1].map((n) => `${i}q#${n}`));
    const pages = await listAll(state, { limit: 5 });
    expect(pages.map((page) => page.length)).toEqual([5, 5, 2]);
    expect(idsOf(pages.flat())).toEqual(order);
    const ofAda = order.filter((_, i) => i % 2 === 0);
    expect(idsOf((await listAll(state, { assignee: "ada", limit: 4 })).flat())).toEqual(ofAda);
    expect(idsOf((await listAll(state, { run: runs[1]!, limit: 3 })).flat())).toEqual(order.slice(4, 8));
    expect(idsOf((await listAll(state, { run: runs[1]!, assignee: "ada" })).flat())).toEqual([
      "1q#4",
      "1q#2",
    ]);
    await state.answer(runs[0]!, "q#4", { much: "x" }, { by: "ada" });
    expect(idsOf((await listAll(state, { limit: 100 })).flat())).toEqual(order.slice(1));
    const [answered] = (await state.questions.list({ status: "answered" })).questions;
    expect(answered).toMatchObject({ run: runs[0], key: "q#4", status: "answered", answeredBy: "ada" });
    expect(answered).not.toHaveProperty("answer"); // it may be large
    expect((await state.questions.list({ status: "expired" })).questions).toEqual([]);
  });

  test("is bounded", async () => {
    const { state } = await freshState();
    expect(await codeOf(() => state.questions.list({ limit: 100_000 }))).toBe("schema.limit");
    expect(await codeOf(() => state.questions.list({ limit: 0 }))).toBe("state.bad_option");
    expect(await codeOf(() => state.questions.list({ nonsense: 1 } as never))).toBe("state.bad_option");
  });
});

test("texts that would do harm are refused as keys, and carried as texts, names of people and answers", async () => {
  const { state, db } = await freshState();
  await db.query(surql`CREATE canary:1 SET alive = true`);
  const asks = INJECTIONS.map((text, i) => ask(`q#${i}`, { text, assignee: text }));
  const run = await asking(state, ...asks);
  for (const [i, text] of INJECTIONS.entries()) {
    expect(await codeOf(() => state.questions.get(run, text))).toBe("state.bad_option");
    expect(await codeOf(() => state.answer(run, text, 1, { by: "ada" }))).toBe("state.bad_option");
    const { questions } = await state.questions.list({ assignee: text });
    expect(questions.map(({ key }) => key)).toEqual([`q#${i}`]);
    await state.answer(run, `q#${i}`, text, { by: text });
    expect(await state.questions.get(run, `q#${i}`)).toMatchObject({ text, answer: text, answeredBy: text });
  }
  expect(await db.query(surql`SELECT VALUE alive FROM canary`)).toEqual([true]);
});
