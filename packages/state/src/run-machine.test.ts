import * as fc from "fast-check";
import { FINAL_STATUSES, hashOf, RUN_STATUSES } from "@sentient/schema";
import { describe, expect, test } from "vitest";
import { apply, RUN_EVENT_TYPES, STILL_EVENTS, type RunEvent } from "./run-machine.ts";
import type { Run } from "./run.ts";

/** What each event makes of a run in each status; `·` is refused. */
const TABLE = `
                      queued    running   waiting   paused    parked    completed failed    cancelled
  run.started         running   running   running   ·         ·         ·         ·         ·
  run.released        ·         queued    ·         ·         ·         ·         ·         ·
  run.waiting         ·         waiting   ·         ·         ·         ·         ·         ·
  run.resumed         queued    running   queued    queued    queued    ·         ·         ·
  run.paused          paused    paused    paused    ·         ·         ·         ·         ·
  run.parked          parked    parked    parked    ·         ·         ·         ·         ·
  run.restored        queued    ·         queued    queued    queued    ·         ·         ·
  run.completed       ·         completed ·         ·         ·         ·         ·         ·
  run.failed          ·         failed    ·         ·         ·         ·         ·         ·
  run.cancelled       cancelled cancelled cancelled cancelled cancelled ·         ·         ·
  pause.requested     ·         running   ·         ·         ·         ·         ·         ·
  cancel.requested    queued    running   queued    queued    queued    ·         ·         ·
  step.started        ·         running   ·         ·         ·         ·         ·         ·
  step.completed      ·         running   ·         ·         ·         ·         ·         ·
  step.failed         ·         running   ·         ·         ·         ·         ·         ·
  progress.reported   ·         running   ·         ·         ·         ·         ·         ·
  question.asked      ·         running   ·         ·         ·         ·         ·         ·
  checkpoint.created  queued    running   waiting   paused    parked    ·         ·         ·
  checkpoint.restored queued    running   waiting   paused    parked    ·         ·         ·
  question.answered   queued    running   waiting   paused    parked    ·         ·         ·
  question.expired    queued    running   waiting   paused    parked    ·         ·         ·
  question.withdrawn  queued    running   waiting   paused    parked    ·         ·         ·
  signal.received     queued    running   waiting   paused    parked    ·         ·         ·
  state.changed       queued    running   waiting   paused    parked    ·         ·         ·
`;

const [head, ...lines] = TABLE.trim()
  .split("\n")
  .map((line) => line.trim().split(/\s+/));
const cells = lines.flatMap(([event, ...outcomes]) =>
  outcomes.map((outcome, i) => [event, head![i], outcome] as [Type, Run["status"], string]),
);

type Type = RunEvent["type"];
const still: readonly string[] = [...STILL_EVENTS.worker, ...STILL_EVENTS.anybody];
const [before, at] = [new Date("2026-01-01T10:00:00Z"), new Date("2026-01-01T11:00:00Z")];
const problem = { name: "Error", message: "it did not work", retryable: false };

const core = {
  id: "r1",
  kind: "task",
  name: "research",
  version: "1",
  queue: "default",
  priority: 0,
  capabilities: [],
  input: { why: true },
  inputHash: hashOf("x"),
  root: "r1",
  tags: [],
  limits: [],
  secrets: [],
  revision: 7,
  token: 4,
  attempts: 2,
  maxAttempts: 5,
  steps: 3,
  createdAt: before,
  updatedAt: before,
  startedAt: before,
};
const waitingFor = [
  { for: "signal", at: "main/a#1", name: "go" },
  { for: "timer", at: "main/b#1", until: new Date("2026-01-02T00:00:00Z") },
  { for: "timer", at: "main/c#1", until: new Date("2026-01-01T23:00:00Z") },
];
const own: Record<Run["status"], object> = {
  queued: { availableAt: before },
  running: { lease: { worker: "w1", token: 4, until: at, slots: ["queue:default"] } },
  waiting: { waitingFor, wakeAt: waitingFor[2]!.until },
  paused: { pausedBy: "ada", reason: "lunch" },
  parked: { parkedFor: "attempts_exhausted", problem },
  completed: { output: 1, endedAt: before },
  failed: { error: problem, endedAt: before },
  cancelled: { cancelledBy: "ada", reason: "not wanted", endedAt: before },
};

const runOf = (status: Run["status"], more: object = {}): Run =>
  frozen({ ...core, ...own[status], status, ...more } as unknown as Run);

const said: Partial<Record<Type, object>> = {
  "run.started": { lease: { worker: "w2", token: 5, until: at }, attempt: 3, steps: 9 },
  "run.released": { worker: "w1", reason: "handed_over" },
  "run.waiting": { waitingFor },
  "run.resumed": { by: "ada" },
  "run.paused": { by: "bob", reason: "too dear" },
  "run.parked": { reason: "no_worker", problem },
  "run.restored": { to: 5, n: 12 },
  "run.completed": { output: { total: 12 } },
  "run.failed": { error: problem },
  "run.cancelled": { by: "eve", reason: "asked for" },
  "pause.requested": { by: "ada", reason: "lunch" },
  "cancel.requested": { by: "ada" },
};
const eventOf = (type: Type, more: object = {}): RunEvent =>
  frozen({ type, at, ...said[type], ...more } as unknown as RunEvent);

function frozen<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.values(value).forEach(frozen);
  return Object.freeze(value);
}

/** What a run has in its status alone. */
const ownOf = (run: Run) =>
  Object.fromEntries(
    Object.keys(run)
      .filter((key) => !(key in core))
      .map((key) => [key, run[key as never]]),
  );

describe("the table", () => {
  test("has every status and every event", () => {
    expect(head).toEqual(RUN_STATUSES);
    expect(new Set(lines.map(([event]) => event))).toEqual(new Set(RUN_EVENT_TYPES));
    expect(cells).toHaveLength(RUN_STATUSES.length * RUN_EVENT_TYPES.length);
  });

  test.each(cells.filter(([, , outcome]) => outcome === "·"))(
    "%s cannot happen to one that is %s",
    (type, status) => {
      const run = runOf(status);
      expect(() => apply(run, eventOf(type))).toThrow(
        expect.objectContaining({
          code: "state.illegal_transition",
          details: { run: "r1", status, event: type },
          outcome: "not_applied",
        }),
      );
    },
  );

  const moving = cells.filter(([type, , outcome]) => outcome !== "·" && !still.includes(type));
  const standing = cells.filter(([type, , outcome]) => outcome !== "·" && still.includes(type));

  test.each(standing)("%s of one that is %s leaves it as it is", (type, status) => {
    const run = runOf(status);
    expect(apply(run, eventOf(type))).toBe(run);
  });

  test.each(moving)("%s of one that is %s makes it %s", (type, status, outcome) => {
    const run = runOf(status);
    const next = apply(run, eventOf(type));
    expect(next.status).toBe(outcome);
    const leaves = status === "running" && outcome !== "running";
    expect(next).toMatchObject({
      revision: 8,
      updatedAt: at,
      token: type === "run.started" || leaves ? 5 : 4, // M2
      createdAt: before,
      startedAt: before,
    });
    const { availableAt, ...rest } = ownOf(next);
    const since = status === "queued" && type === "run.resumed" ? before : at;
    expect(availableAt).toEqual(outcome === "queued" ? since : undefined);
    expect(rest).toEqual(EXPECTED[type]?.(run) ?? {});
  });
});

/** Of what belongs to a status, or is there at times, what is there after each event; but for `availableAt`. */
const EXPECTED: Partial<Record<Type, (run: Run) => object>> = {
  "run.started": () => ({ status: "running", lease: { worker: "w2", token: 5, until: at } }),
  "run.released": () => ({ status: "queued" }),
  "run.waiting": () => ({ status: "waiting", waitingFor, wakeAt: waitingFor[2]!.until }),
  "run.resumed": (run) =>
    run.status === "running" ? { status: "running", lease: run.lease } : { status: "queued" },
  "run.paused": () => ({ status: "paused", pausedBy: "bob", reason: "too dear" }),
  "run.parked": () => ({ status: "parked", parkedFor: "no_worker", problem }),
  "run.restored": () => ({ status: "queued", restores: [{ at: 12, to: 5 }] }),
  "run.completed": () => ({ status: "completed", output: { total: 12 }, endedAt: at }),
  "run.failed": () => ({ status: "failed", error: problem, endedAt: at }),
  "run.cancelled": () => ({ status: "cancelled", cancelledBy: "eve", reason: "asked for", endedAt: at }),
  "pause.requested": (run) => ({
    status: "running",
    lease: (run as { lease?: object }).lease,
    asked: { what: "pause", by: "ada", reason: "lunch", at },
  }),
  "cancel.requested": (run) => ({
    status: run.status === "running" ? "running" : "queued",
    ...(run.status === "running" ? { lease: run.lease } : {}),
    asked: { what: "cancel", by: "ada", at },
  }),
};

describe("attempts", () => {
  const after = (type: Type, more: object = {}, run = runOf("running")) =>
    apply(run, eventOf(type, more)).attempts;

  test("are counted by whoever starts it", () => {
    expect(after("run.started")).toBe(3);
    expect(apply(runOf("queued"), eventOf("run.started")).steps).toBe(9);
  });

  test("are not spent by who gives the run back, and are by who is not heard of again", () => {
    expect(after("run.released")).toBe(1);
    expect(after("run.released", { reason: "lease_expired", steps: 3 })).toBe(2);
  });

  test("begin anew if a step was remembered before its worker was lost", () => {
    const next = apply(runOf("running"), eventOf("run.released", { reason: "lease_expired", steps: 4 }));
    expect(next).toMatchObject({ attempts: 0, steps: 4, lostBy: "w1" });
    expect(apply({ ...runOf("queued"), lostBy: "w1" } as Run, eventOf("run.started"))).not.toHaveProperty(
      "lostBy",
    );
    expect(apply(runOf("running"), eventOf("run.released"))).not.toHaveProperty("lostBy");
  });

  test.each<Type>(["run.waiting"])("begin anew with %s", (type) => expect(after(type)).toBe(0));

  test.each<Run["status"]>(["waiting", "paused", "parked"])(
    "begin anew when one that is %s goes on",
    (status) => {
      expect(after("run.resumed", {}, runOf(status))).toBe(0);
      expect(after("run.restored", {}, runOf(status))).toBe(0);
    },
  );

  test("are kept where the run stays what it was", () => {
    expect(after("run.resumed")).toBe(2);
    expect(after("cancel.requested")).toBe(2);
  });
});

test("a lease is granted under a higher token only", () => {
  for (const status of ["queued", "running", "waiting"] as const)
    for (const token of [3, 4])
      expect(() =>
        apply(runOf(status), eventOf("run.started", { lease: { worker: "w2", token, until: at } })),
      ).toThrow(expect.objectContaining({ code: "state.illegal_transition" }));
});

test("when it was started first stays known", () => {
  const { startedAt: _, ...rest } = core;
  const fresh = frozen({ ...rest, ...own.queued, status: "queued" } as unknown as Run);
  expect(apply(fresh, eventOf("run.started")).startedAt).toEqual(at);
});

test("what only something from outside can wake has no time at which it wakes", () => {
  expect(apply(runOf("running"), eventOf("run.waiting", { waitingFor: [waitingFor[0]] }))).toMatchObject({
    wakeAt: null,
  });
});

describe("what was asked of a run (M4)", () => {
  const [pause, cancel] = (["pause", "cancel"] as const).map((what) => ({
    asked: { what, by: "ada", at: before },
  }));

  test.each([pause, cancel])("is not waited past: %j", (asked) => {
    const next = apply(runOf("running", asked), eventOf("run.waiting"));
    expect(next).toMatchObject({ status: "queued", availableAt: at, token: 5, ...asked });
  });

  test("is done with a pause, if it was one", () => {
    const next = apply(runOf("running", pause), eventOf("run.paused"));
    expect(next).toMatchObject({ status: "paused" });
    expect(next).not.toHaveProperty("asked");
  });

  test("is not done with a pause, if it was to cancel it", () => {
    expect(apply(runOf("running", cancel), eventOf("run.paused"))).toMatchObject({
      status: "queued",
      ...cancel,
    });
  });

  test.each<Type>(["run.released", "run.parked", "run.started"])("is still asked after %s", (type) => {
    for (const asked of [pause, cancel])
      expect(apply(runOf("running", asked), eventOf(type))).toMatchObject(asked!);
  });

  test.each<Run["status"]>(["queued", "running", "parked"])(
    "is taken back where one that is %s is resumed, if it was a pause",
    (status) => {
      expect(apply(runOf(status, pause), eventOf("run.resumed"))).not.toHaveProperty("asked");
      expect(apply(runOf(status, cancel), eventOf("run.resumed"))).toMatchObject(cancel!);
    },
  );

  test("is to cancel it, once anybody has asked that", () => {
    expect(apply(runOf("running", pause), eventOf("cancel.requested"))).toMatchObject({
      asked: { what: "cancel" },
    });
  });
});

test("whatever happens to it, its token and revision never fall, and what is final stays as it is", () => {
  const anyEvent = fc
    .constantFrom(...RUN_EVENT_TYPES)
    .chain((type) =>
      fc.record({ type: fc.constant(type), up: fc.integer({ min: -1, max: 3 }), steps: fc.nat(20) }),
    );
  fc.assert(
    fc.property(fc.constantFrom(...RUN_STATUSES), fc.array(anyEvent, { maxLength: 40 }), (status, events) => {
      let run = runOf(status);
      for (const { type, up, steps } of events) {
        const lease = { worker: "w3", token: run.token + up, until: at };
        const more =
          type === "run.started"
            ? { lease, steps }
            : type === "run.released"
              ? { reason: "lease_expired", steps }
              : {};
        const next = unlessIllegal(() => apply(run, eventOf(type, more)));
        if (!next) continue;
        expect(isFinal(run)).toBe(false); // M1
        const isOther = (next as { lease?: object }).lease !== (run as { lease?: object }).lease;
        expect(next.token).toBeGreaterThanOrEqual(run.token + (isOther ? 1 : 0)); // M2
        expect(next.revision).toBe(run.revision + (still.includes(type) ? 0 : 1));
        expect("endedAt" in next).toBe(isFinal(next));
        run = frozen(next);
      }
    }),
  );
});

const isFinal = (run: Run) => (FINAL_STATUSES as readonly string[]).includes(run.status);

function unlessIllegal(move: () => Run): Run | undefined {
  try {
    return move();
  } catch (error) {
    if ((error as { code?: string }).code === "state.illegal_transition") return undefined;
    throw error;
  }
}
