import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { EffectLedger, spawnChild } from "../src/index.ts";

const folder = mkdtempSync(join(tmpdir(), "effect-ledger-"));
let files = 0;
const freshPath = () => join(folder, `${++files}.jsonl`);

afterAll(() => rmSync(folder, { recursive: true }));

test.each([{ fsync: false }, { fsync: true }])(
  "what is recorded is read back with its process, %o",
  (options) => {
    const ledger = new EffectLedger<{ run: string; step: string }>(freshPath(), options);
    ledger.record({ run: "r1", step: "charge" });
    ledger.record({ run: "r1", step: "mail\nwith a line break" });
    expect(ledger.read()).toEqual({
      effects: [
        { run: "r1", step: "charge", pid: process.pid },
        { run: "r1", step: "mail\nwith a line break", pid: process.pid },
      ],
      torn: [],
    });
  },
);

test("a ledger nobody wrote to is empty; one that cannot be read is an error", () => {
  expect(new EffectLedger(freshPath()).read()).toEqual({ effects: [], torn: [] });
  expect(() => new EffectLedger(folder).read()).toThrow("EISDIR");
});

test("effects are counted by any key", () => {
  const ledger = new EffectLedger<{ run: string; step: string }>(freshPath());
  for (const step of ["charge", "mail", "charge"]) ledger.record({ run: "r1", step });
  const counts = ledger.countBy(({ run, step }) => `${run}/${step}`);
  expect(counts).toEqual(
    new Map([
      ["r1/charge", 2],
      ["r1/mail", 1],
    ]),
  );
});

test("a torn last line is reported and costs no other record", () => {
  const ledger = new EffectLedger<{ step: number }>(freshPath());
  ledger.record({ step: 1 });
  ledger.record({ step: 2 });
  truncateSync(ledger.path, readFileSync(ledger.path).length - 5);
  expect(ledger.read()).toMatchObject({
    effects: [{ step: 1 }],
    torn: [expect.stringMatching(/^\{"step":2/)],
  });
  ledger.record({ step: 3 });
  expect(ledger.read()).toMatchObject({ effects: [{ step: 1 }, { step: 3 }], torn: [expect.any(String)] });
});

test("several processes record at once and lose nothing", async () => {
  const ledger = new EffectLedger<{ step: number }>(freshPath());
  const entry = new URL("./fixtures/record.ts", import.meta.url);
  const writers = [1, 2, 3].map(() => spawnChild(entry, { args: [ledger.path, "300"] }));
  const exits = await Promise.all(writers.map(({ exited }) => exited));
  expect(exits.map(({ code }) => code)).toEqual([0, 0, 0]);
  expect(ledger.read().torn).toEqual([]);
  expect(ledger.countBy(({ pid }) => pid)).toEqual(new Map(writers.map(({ pid }) => [pid, 300])));
  appendFileSync(ledger.path, "\n");
  expect(ledger.countBy(({ step }) => step).get(299)).toBe(3);
});
