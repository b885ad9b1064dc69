// An agent in a workflow uses the tools of an unmodified MCP server, and its process is killed. Another one goes on.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { sabotage, spawnChild, until, type Child } from "@sentient/testkit";
import { expect, onTestFinished, test } from "vitest";
import { entriesOf, folder, type Entry } from "./support/notes.ts";

interface Output {
  text: string;
  heard: { name: string; output: unknown; isError?: boolean }[];
}

interface Scene {
  begin: (env?: Record<string, string>) => Child;
  ledger: () => Entry[];
  appended: () => string[];
  gate: string;
}

async function scene(): Promise<Scene> {
  const place = await folder();
  const [ledgerFile, gate] = [join(place, "ledger"), join(place, "gate")];
  const ledger = () => entriesOf(ledgerFile);
  const begin = (env = {}) => {
    const child = spawnChild(new URL("./fixtures/list-keeper.ts", import.meta.url), {
      env: { FOLDER: join(place, "data"), LEDGER: ledgerFile, ...env },
    });
    onTestFinished(() => child[Symbol.asyncDispose]());
    return child;
  };
  const appended = () => ledger().flatMap(({ did, text }) => (did === "append" ? [text!] : []));
  return { begin, ledger, appended, gate };
}

async function outputOf(child: Child): Promise<Output> {
  const { output } = await child.message<{ output: Output }>((said) => "output" in said, 60_000);
  return output;
}

function expectEachOnce(appended: readonly string[]): void {
  expect(appended.toSorted()).toEqual(["four", "one", "three", "two"]);
}

function expectAllHeard({ text, heard }: Output): void {
  expect(text).toBe("all is noted");
  expect(heard.map(({ name }) => name)).toEqual([
    "notes_append",
    "notes_append",
    "notes_append",
    "notes_count",
    "notes_append",
  ]);
  expect(heard.filter(({ isError }) => isError)).toEqual([]);
}

test("killed between two calls, it completes without a question, and each call was made once", async () => {
  const { begin, ledger, appended } = await scene();
  const first = begin({ STAY_AT: "2" });
  await first.message(({ turn }) => turn === 2, 60_000);
  expect(appended().toSorted()).toEqual(["one", "three", "two"]);
  await first.kill();

  const second = begin();
  expectAllHeard(await outputOf(second));
  expectEachOnce(appended());
  expect(second.messages.filter(({ asked }) => asked !== undefined)).toEqual([]);
  expect(second.messages.flatMap(({ turn }) => (turn === undefined ? [] : [turn]))).toEqual([2, 3, 4]);
  expect(ledger().filter(({ did }) => did === "start")).toHaveLength(2);
});

/** Its server has done it, and its process dies before it hears of that. */
async function killedWithinCall(env: Record<string, string> = {}) {
  const { begin, appended, gate } = await scene();
  const first = begin({ ...env, GATE: gate });
  await until(() => appended().includes("one"), { deadline: 60_000 });
  await first.kill();

  writeFileSync(gate, "");
  const second = begin({ ...env, GATE: gate });
  const output = await outputOf(second);
  return { output, appended: appended(), asked: second.messages.filter(({ asked }) => asked !== undefined) };
}

test("killed in the middle of a call, it is not made again: somebody is asked, and it completes", async () => {
  const { output, appended, asked } = await killedWithinCall();
  expect(asked).toEqual([{ asked: "one", done: true }]);
  expect(output.heard[0]!.output).toBe("appended one, as the ledger says");
  expectAllHeard(output);
  expectEachOnce(appended);
});

test("killed in the middle of a call that is taken for one that only reads, it is made twice", async () => {
  const failure = await sabotage("calls are begun again", async () => {
    expectEachOnce((await killedWithinCall({ IS_RETRIED: "1" })).appended);
  });
  expect(String(failure)).toContain("one");
});

test(
  "killed again and again, as soon as anything is done, each call was made once",
  { timeout: 240_000 },
  async () => {
    const { begin, appended } = await scene();
    for (const least of [1, 2, 3, 4]) {
      const child = begin();
      await Promise.race([until(() => appended().length >= least, { deadline: 60_000 }), child.exited]);
      await child.kill();
    }
    expectAllHeard(await outputOf(begin()));
    expectEachOnce(appended());
  },
);
