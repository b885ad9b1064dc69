import { readFile } from "node:fs/promises";
import { DbError } from "@sentient/db-pool";
import { StateError } from "@sentient/state";
import { describe, expect, test } from "vitest";
import { problemOf, STATUS } from "../src/index.ts";

const FLOORS = [
  "packages/db-pool",
  "packages/schema",
  "packages/event-bus",
  "packages/state",
  "packages/agent-core",
  "apps/api",
];

/** Every code that a floor's errors say. */
async function codesOf(floor: string): Promise<string[]> {
  const text = await readFile(new URL(`../../../${floor}/src/errors.ts`, import.meta.url), "utf8");
  const [union] = /type \w+ErrorCode =[^;]*;/.exec(text) ?? [""];
  return [...union.matchAll(/"([a-z_]+\.[a-z_]+)"/g)].map(([, code]) => code!);
}

describe("the table of codes", () => {
  test("has a row for every code of every floor, and no other", async () => {
    const codes = (await Promise.all(FLOORS.map(codesOf))).flat();
    expect(codes.length).toBeGreaterThan(100);
    expect(Object.keys(STATUS).sort()).toEqual([...codes].sort());
  });

  test("has only statuses that mean something", () => {
    const statuses = new Set(Object.values(STATUS));
    expect([...statuses].sort((one, other) => one - other)).toEqual([
      400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 421, 429, 500, 503,
    ]);
  });
});

describe("a problem", () => {
  test("says what happened by its code, and what is known of it", () => {
    const error = new StateError({ code: "state.not_found", message: "no run r", details: { run: "r" } });
    expect(problemOf(error, "q-1")).toEqual({
      type: "https://sentient.dev/problems/state.not_found",
      title: "Not found",
      status: 404,
      code: "state.not_found",
      detail: "no run r",
      retryable: false,
      outcome: "not_applied",
      request: "q-1",
      details: { run: "r" },
    });
  });

  test("tells nothing of the inside when the fault is ours", () => {
    const secret = "SELECT password FROM vault";
    const errors = [
      new Error(secret),
      new TypeError(secret),
      new DbError({ code: "db.syntax", message: secret, statement: { index: 0, text: secret } }),
      new DbError({ code: "db.unreachable", message: secret, details: { url: secret } }),
      secret,
      undefined,
      Object.assign(new Error(secret), { code: "state.not_found" }),
    ];
    for (const error of errors) {
      const problem = problemOf(error, "q-1");
      expect(problem.status).toBeGreaterThanOrEqual(500);
      expect(JSON.stringify(problem)).not.toContain("vault");
    }
  });

  test("may be tried again where the database was away", () => {
    const problem = problemOf(
      new DbError({ code: "db.unreachable", message: "gone", outcome: "unknown" }),
      "q",
    );
    expect(problem).toMatchObject({ status: 503, retryable: true, outcome: "unknown" });
  });
});
