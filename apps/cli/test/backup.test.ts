// A backup of a database that a process works on, and what goes on from it elsewhere.

import { existsSync } from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { jsonOf, project, run, start } from "./support/cli.ts";
import { inside } from "./support/inside.ts";

/** A project in development, in a folder of its own. */
async function dev(app: string, ...words: string[]) {
  const running = start(["dev", "--no-watch", "--port", "0", "--json", ...words], { cwd: app });
  await running.says(/^\{.*\}$/m);
  return running;
}

test("a database is backed up while runs are worked on, and they go on from there in another one", async () => {
  const cwd = await project();
  const app = join(cwd, "app");
  expect((await inside(["init", app])).code).toBe(0);
  const url = `rocksdb://${join(app, ".sentient/data")}`;
  const copy = `rocksdb://${join(cwd, "copy")}`;
  const file = join(cwd, "backup");
  const at = async (where: string, ...words: string[]) => {
    const ended = await inside([...words, "--url", where, "--json"]);
    expect(ended.code, `${ended.stdout}${ended.stderr}`).toBe(0);
    return jsonOf(ended) as Record<string, unknown>;
  };
  const first = await dev(app);
  const guests = '{"guests":["Ada","Grace"]}';
  const { run: waiting } = (await at(url, "run", "party", "-i", guests, "--detach")) as { run: string };
  const tail = start(["events", "tail", "--run", waiting, "--after", "0"], { cwd: app });
  await tail.says(/question\.asked/);
  await tail.stop("SIGINT");
  const hello = Array.from({ length: 20 }, () => ["run", "hello", "-i", '{"to":"Ada"}', "--detach"]);
  for (const words of hello) await at(url, ...words);

  const report = await at(url, "backup", file);
  expect(report).toMatchObject({ file, head: expect.any(Number), rows: { run: expect.any(Number) } });
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect((await first.stop()).code).toBe(0);

  // In processes of their own: an embedded engine keeps its folder until its process ends.
  const restored = await run(["restore", file, "--url", copy, "--json"], { cwd });
  expect(jsonOf(restored)).toMatchObject({ head: report.head, sha256: report.sha256 });
  const examined = await run(["doctor", "--url", copy, "--json"], { cwd });
  const { findings } = jsonOf(examined) as { findings: { name: string; status: string }[] };
  expect(findings.filter(({ status }) => status !== "good")).toEqual([]);
  const second = await dev(app, "--url", copy);
  const { questions } = (await at(copy, "questions", "list")) as { questions: { key: string }[] };
  await at(copy, "questions", "answer", waiting, questions[0]!.key, "true", "--by", "ada");
  const follow = start(["events", "tail", "--after", "0", "--url", copy, "--run", waiting], { cwd: app });
  await follow.says(/run\.completed/);
  await follow.stop("SIGINT");
  const { runs } = (await at(copy, "runs", "list", "--limit", "100")) as {
    runs: { status: string }[];
  };
  expect(runs.filter(({ status }) => ["failed", "parked"].includes(status))).toEqual([]);
  expect((await second.stop()).code).toBe(0);
});

test("what is no backup, or would be put where something is, is refused", async () => {
  const cwd = await project();
  const url = `rocksdb://${join(cwd, "data")}`;
  const file = join(cwd, "backup");
  await inside(["run", "report", "-d", "--url", url]);
  const words = await inside(["backup", file, "--url", url]);
  expect(words.stdout).toMatch(
    /backup holds \d+ rows, with the log up to position 1, as of 2\S+Z, in \d+ KiB\n/,
  );
  const again = await inside(["restore", file, "--url", url, "--json"]);
  expect([again.code, jsonOf(again)]).toMatchObject([1, { error: { code: "state.not_empty" } }]);
  const sound = await inside(["restore", "--check", file, "--url", `rocksdb://${join(cwd, "never")}`]);
  expect([sound.code, sound.stdout]).toEqual([
    0,
    expect.stringMatching(/backup is whole: \d+ rows, with the log/),
  ]);
  await writeFile(file, (await readFile(file, "utf8")).slice(0, -100));
  const copy = `rocksdb://${join(cwd, "copy")}`;
  const cut = await inside(["restore", file, "--url", copy, "--json"]);
  expect([cut.code, jsonOf(cut)]).toMatchObject([2, { error: { code: "state.bad_backup" } }]);
  expect((await inside(["restore", "--check", file])).code).toBe(2);
  expect(["copy", "never"].some((folder) => existsSync(join(cwd, folder)))).toBe(false);
  expect((await inside(["restore", join(cwd, "gone"), "--url", copy])).code).toBe(3);
  expect((await inside(["backup", file, "--url", `rocksdb://${join(cwd, "gone")}`])).code).toBe(3);
});
