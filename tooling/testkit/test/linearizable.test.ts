import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  type Action,
  checkLinearizable,
  type CounterAction,
  counterModel,
  History,
  type Model,
  type Operation,
  type RegisterAction,
  registerModel,
  seeded,
} from "../src/index.ts";
import { type Fate, simulate, type Step } from "./simulate.ts";

const register = registerModel(0);
const write = (value: number): RegisterAction => ({ op: "write", value });
const cas = (expected: number, next: number): RegisterAction => ({ op: "cas", value: [expected, next] });
const read: RegisterAction = { op: "read" };

test("an empty history is linearizable, and so is one operation after the other", () => {
  expect(checkLinearizable([], register)).toEqual({ ok: true });
  const history = new History<RegisterAction>();
  history.invoke("a", read).ok(0);
  history.invoke("a", write(1)).ok();
  history.invoke("b", read).ok(1);
  history.invoke("b", cas(1, 2)).ok(true);
  history.invoke("a", cas(1, 3)).ok(false);
  history.invoke("a", read).ok(2);
  expect(checkLinearizable(history.operations, register)).toEqual({ ok: true });
});

test("a read beside a write may see either value, but not go back", () => {
  expect(explainedDuringWrite(0, 1)).toBe(true);
  expect(explainedDuringWrite(0, 0)).toBe(true);
  expect(explainedDuringWrite(1, 0)).toBe(false);
});

function explainedDuringWrite(...seen: number[]): boolean {
  const history = new History<RegisterAction>();
  const slow = history.invoke("a", write(1));
  for (const value of seen) history.invoke("b", read).ok(value);
  slow.ok();
  return checkLinearizable(history.operations, register).ok;
}

test("a stale read is found, with the shortest history that shows it", () => {
  const history = new History<RegisterAction>();
  history.invoke("a", write(1)).ok();
  history.invoke("b", read).ok(0);
  history.invoke("a", write(2)).ok();
  history.invoke("b", read).ok(2);
  expect(checkLinearizable(history.operations, register)).toEqual({
    ok: false,
    key: "",
    prefix: history.operations.slice(0, 2),
    text: 'key "": no order explains 3–4 b read → 0, after\n  1–2 a write 1 → ok',
  });
});

test("in the shortest history, what had not completed yet counts as unknown", () => {
  const history = new History<RegisterAction>();
  const slow = history.invoke("a", write(1));
  history.invoke("b", read).ok(5);
  slow.ok();
  expect(checkLinearizable(history.operations, register)).toMatchObject({
    ok: false,
    prefix: [{ action: write(1), outcome: "info", completed: Infinity }, { result: 5 }],
  });
});

test("a lost update is found: two additions and a count of one", () => {
  const history = new History<CounterAction>();
  const [one, two] = [
    history.invoke("a", { op: "add", value: 1 }),
    history.invoke("b", { op: "add", value: 1 }),
  ];
  one.ok();
  two.ok();
  const final = history.invoke("a", { op: "read" });
  final.ok(1);
  expect(checkLinearizable(history.operations, counterModel()).ok).toBe(false);
  history.operations[2]!.result = 2;
  expect(checkLinearizable(history.operations, counterModel()).ok).toBe(true);
});

test("a lock granted twice is found", () => {
  const history = new History<RegisterAction>();
  const [one, two] = [history.invoke("a", cas(0, 1)), history.invoke("b", cas(0, 2))];
  one.ok(true);
  two.ok(true);
  expect(checkLinearizable(history.operations, register).ok).toBe(false);
  history.operations[1]!.result = false;
  expect(checkLinearizable(history.operations, register).ok).toBe(true);
});

test("an addition made twice is found", () => {
  const history = new History<CounterAction>();
  history.invoke("a", { op: "add", value: 1 }).ok(2);
  expect(checkLinearizable(history.operations, counterModel()).ok).toBe(false);
});

test("an unknown write may take effect at any later time or never, but not twice or before it was made", () => {
  expect(explainedAroundUnknownWrite(0, 0, 0)).toBe(true);
  expect(explainedAroundUnknownWrite(0, 0, 1)).toBe(true);
  expect(explainedAroundUnknownWrite(0, 1, 1)).toBe(true);
  expect(explainedAroundUnknownWrite(0, 1, 0)).toBe(false);
  expect(explainedAroundUnknownWrite(1, 1, 1)).toBe(false);
});

function explainedAroundUnknownWrite(before: number, ...after: number[]): boolean {
  const history = new History<RegisterAction>();
  history.invoke("b", read).ok(before);
  history.invoke("a", write(1)).info();
  for (const value of after) history.invoke("b", read).ok(value);
  return checkLinearizable(history.operations, register).ok;
}

test("a failed write must have no effect", () => {
  const history = new History<RegisterAction>();
  history.invoke("a", write(1)).fail();
  const seen = history.invoke("b", read);
  seen.ok(0);
  expect(checkLinearizable(history.operations, register).ok).toBe(true);
  history.operations[1]!.result = 1;
  expect(checkLinearizable(history.operations, register)).toMatchObject({
    ok: false,
    prefix: [{ outcome: "fail" }, {}],
  });
});

test("each key is an object of its own, and the broken one is named", () => {
  const history = new History<RegisterAction>();
  history.invoke("a", write(1), "x").ok();
  history.invoke("a", read, "y").ok(0);
  expect(checkLinearizable(history.operations, register).ok).toBe(true);
  history.invoke("a", read, "y").ok(1);
  expect(checkLinearizable(history.operations, register)).toMatchObject({
    ok: false,
    key: "y",
    prefix: [{}, {}],
  });
});

test("what the search cannot bound is refused", () => {
  const crowd = new History<RegisterAction>();
  for (let client = 0; client < 11; client++) crowd.invoke(`client-${client}`, read, "x").ok(0);
  expect(() => checkLinearizable(crowd.operations, register)).toThrow('key "x" has 11 clients');

  const long = new History<RegisterAction>();
  for (let turn = 0; turn < 101; turn++) long.invoke("a", read, "x").ok(0);
  expect(() => checkLinearizable(long.operations, register)).toThrow('key "x": a has 101 operations');
});

const fates: fc.Arbitrary<Fate> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Fate>("ok") },
  fc.constantFrom<Fate>("unknown, applied", "unknown, applied last", "unknown, never applied"),
);
const small = fc.integer({ min: 0, max: 3 });
const registerActions: fc.Arbitrary<RegisterAction> = fc.oneof(
  fc.constant(read),
  small.map(write),
  fc.tuple(small, small).map(([expected, next]) => cas(expected, next)),
);
const counterActions: fc.Arbitrary<CounterAction> = fc.oneof(
  fc.constant<CounterAction>({ op: "read" }),
  fc.integer({ min: 1, max: 3 }).map((value): CounterAction => ({ op: "add", value })),
);
const schedules = fc.array(fc.nat(), { minLength: 20, maxLength: 200 });

function scriptsOf<A extends Action>(
  action: fc.Arbitrary<A>,
  clients: number,
  length: number,
): fc.Arbitrary<Step<A>[][]> {
  return fc.array(fc.array(fc.record({ action, fate: fates }), { maxLength: length }), {
    maxLength: clients,
  });
}

test("what really ran one operation at a time is always accepted", () => {
  fc.assert(
    fc.property(scriptsOf(registerActions, 5, 8), schedules, (scripts, schedule) => {
      expect(checkLinearizable(simulate(register, scripts, schedule), register)).toEqual({ ok: true });
    }),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(scriptsOf(counterActions, 5, 8), schedules, (scripts, schedule) => {
      expect(checkLinearizable(simulate(counterModel(), scripts, schedule), counterModel())).toEqual({
        ok: true,
      });
    }),
    { numRuns: 300 },
  );
});

test("one read changed to a value that was never there is always rejected", () => {
  fc.assert(
    fc.property(scriptsOf(registerActions, 5, 8), schedules, fc.nat(), (scripts, schedule, choice) => {
      const operations = simulate(register, scripts, schedule);
      const reads = operations.filter(({ action, outcome }) => action.op === "read" && outcome === "ok");
      fc.pre(reads.length > 0);
      const changed = reads[choice % reads.length]!;
      changed.result = 99;
      expect(checkLinearizable(operations, register)).toMatchObject({
        ok: false,
        prefix: expect.arrayContaining([changed]),
      });
    }),
    { numRuns: 300 },
  );
});

test("any change to a result is judged as trying every order would judge it", () => {
  const verdicts = { accepted: 0, rejected: 0 };
  fc.assert(
    fc.property(
      scriptsOf(registerActions, 3, 2),
      schedules,
      fc.nat(),
      small,
      (scripts, schedule, choice, value) => {
        const operations = simulate(register, scripts, schedule);
        const read = operations.filter(({ action, outcome }) => action.op === "read" && outcome === "ok");
        if (read.length > 0) read[choice % read.length]!.result = value;
        const possible = someOrderWorks(operations, register);
        expect(checkLinearizable(operations, register).ok).toBe(possible);
        verdicts[possible ? "accepted" : "rejected"]++;
      },
    ),
    { numRuns: 1_000 },
  );
  expect(verdicts.accepted).toBeGreaterThan(100);
  expect(verdicts.rejected).toBeGreaterThan(100);
});

test("ten clients with a hundred operations each are decided, good or bad", () => {
  const random = seeded(1);
  const action = () =>
    random.pick([read, write(random.int(1_000)), cas(random.int(1_000), random.int(1_000))]);
  const scripts = Array.from({ length: 10 }, () =>
    Array.from({ length: 100 }, (): Step<RegisterAction> => ({ action: action(), fate: "ok" })),
  );
  const schedule = Array.from({ length: 9_973 }, () => random.int(1_000));
  const operations = simulate(register, scripts, schedule);
  expect(checkLinearizable(operations, register)).toEqual({ ok: true });
  operations.findLast(({ action }) => action.op === "read")!.result = -1;
  expect(checkLinearizable(operations, register).ok).toBe(false);
});

/** The definition, word for word: tries all orders of all operations. */
function someOrderWorks<State, A extends Action>(
  pending: readonly Operation<A>[],
  model: Model<State, A>,
  state = model.initial,
): boolean {
  if (pending.every(({ outcome }) => outcome !== "ok")) return true;
  return pending.some((operation) => {
    const { action, outcome, result, invoked } = operation;
    if (pending.some(({ completed }) => completed < invoked)) return false;
    const next = model.apply(state, action);
    if (outcome === "ok" && next.result !== result) return false;
    return someOrderWorks(
      pending.filter((other) => other !== operation),
      model,
      next.state,
    );
  });
}
