import { RecordId, openDatabase, surql } from "@sentient/db-pool";
import { join } from "node:path";
import { expect, test } from "vitest";
import { jsonOf, project } from "./support/cli.ts";
import { inside } from "./support/inside.ts";

test("what was done from the command line stands in the audit, and a change of it is found", async () => {
  const cwd = await project();
  const url = `rocksdb://${join(cwd, "data")}`;
  const at = (...words: string[]) => inside([...words, "--url", url]);
  const { run } = jsonOf(await at("run", "report", "-d", "--json")) as { run: string };
  expect((await at("tokens", "create", "ci", "--scope", "read", "--by", "root\u001B[2J")).code).toBe(0);
  await at("runs", "export", run, "-o", join(cwd, "run.jsonl"), "--by", "ada");
  await at("backup", join(cwd, "backup"), "--by", "ada");
  const { records } = jsonOf(await at("audit", "list", "--json")) as {
    records: { n: number; what: string; by: string; hash: string }[];
  };
  expect(records.map(({ what, by }) => [what, by])).toEqual([
    ["database.exported", "ada"],
    ["run.exported", "ada"],
    ["token.created", "root\u001B[2J"],
  ]);
  const { stdout } = await at("audit", "list", "--what", "token.created");
  expect(stdout).toMatch(/N +WHEN +WHAT +WHO +OF\n1 +2\S+Z +token\.created +root +\{"/);
  expect(stdout).not.toContain("\u001B");
  const none = await at("audit", "list", "--who", "eve");
  expect([none.stdout.trim(), none.stderr.trim(), none.code]).toEqual(["", "no record meets that", 0]);
  expect((await at("audit", "list", "--what", "NOTHING")).code).toBe(2);

  const [{ n, hash }] = records as [(typeof records)[0]];
  const verified = await at("audit", "verify");
  expect([verified.stdout, verified.code]).toEqual([
    `3 records, all as they were made; the last is ${hash}\n`,
    0,
  ]);
  expect((await at("audit", "verify", "--n", String(n), "--hash", hash)).code).toBe(0);
  expect((await at("audit", "verify", "--n", String(n))).code).toBe(2);
  {
    await using db = await openDatabase({ url });
    await db.query(surql`UPDATE ${new RecordId("audit", 2)} SET by = "eve" RETURN NONE`);
  }
  const changed = await at("audit", "verify", "--json");
  expect([changed.code, jsonOf(changed)]).toMatchObject([1, { ok: false, n: 2, damage: "changed" }]);
});
