// The command line, as a process of its own: what it prints, what it leaves, and the status it ends with.

import { once } from "node:events";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { openDatabase, surql, type Database } from "@sentient/db-pool";
import { freshNames, type ServedEngine, servedEngine } from "@sentient/testkit";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { freshProject, outcomeOf, type Outcome, type Project } from "./support/cli.ts";
import { contentsOf, freshFolder } from "./support/migrate.ts";

const person = (fields: string, more = "") => `
  import { defineTable, unique } from "@sentient/schema";
  import { z } from "zod";
  export const person = defineTable({ name: "person", schema: z.object({ ${fields} }), indexes: { byName: unique("name") } });
  ${more}`;
const FIELDS = "name: z.string(), site: z.url().optional()";
const SCHEMA = person(FIELDS);
const FIRST = "DEFINE TABLE person;\nCREATE person:ada SET visits = 1;\n";
const SECOND = "UPDATE person SET visits += 1;\n";

const ISO = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g;
const withoutTimes = (text: string) =>
  text.replaceAll(ISO, "<when>").replaceAll(/in (?:\d+ ms|[\d.]+ s)/g, "in <a while>");

/** One sentence with its code, the right status, and no stack. */
function expectRefused({ code, stdout, stderr }: Outcome, status: 1 | 2, sentence: RegExp | string): void {
  expect(stderr).toMatch(sentence);
  expect(stderr).toMatch(/^error: .+ \((?:cli|schema|db)\.[a-z_]+\)\n$/);
  expect(stdout).toBe("");
  expect(code).toBe(status);
}

async function filesOf({ folder }: Project): Promise<string[]> {
  return (await readdir(join(folder, "surql"))).sort();
}

let engine: ServedEngine;
beforeAll(async () => {
  const entry = new URL("./fixtures/migrate-serve.ts", import.meta.url);
  engine = await servedEngine({ entry, folder: await freshFolder() });
});
afterAll(() => engine.close());

/** A database of its own on the engine, as the environment of a command names it, and a handle to look with. */
async function freshDatabase(): Promise<{ db: Database; env: Record<string, string>; place: string }> {
  const { url, token } = engine;
  const { namespace, database } = freshNames();
  const db = await openDatabase({ url, token, namespace, database });
  onTestFinished(() => db.close());
  const env = {
    SENTIENT_URL: url,
    SENTIENT_TOKEN: token,
    SENTIENT_NAMESPACE: namespace,
    SENTIENT_DATABASE: database,
  };
  return { db, env, place: `${url} (${namespace}/${database})` };
}

describe("generate", () => {
  test("the first migration is written, and what is checked on parse only is listed", async () => {
    const project = await freshProject({ "schema.ts": SCHEMA });
    expect(await project.cli(["generate"])).toEqual({
      code: 0,
      stdout:
        "wrote surql/0001_create_person.surql\n" +
        "checked on parse only, and not by the database:\n" +
        "  person.site: all of a URL but its scheme\n",
      stderr: "",
    });
    expect(await project.read("surql/0001_create_person.surql")).toContain(
      "DEFINE FIELD name ON person TYPE string",
    );
    expect(await filesOf(project)).toEqual(["0001_create_person.surql", "snapshot.json"]);
  });

  test("a second time nothing changed, and nothing is written", async () => {
    const project = await freshProject({ "schema.ts": SCHEMA });
    await project.cli(["generate"]);
    const files = await filesOf(project);
    expect(await project.cli(["generate"])).toEqual({
      code: 0,
      stdout: "nothing changed: the tables of ./schema.ts are what the migrations in ./surql make\n",
      stderr: "",
    });
    expect(await project.cli(["generate", "--json"])).toMatchObject({
      code: 0,
      stdout: expect.toSatisfy((text: string) => JSON.parse(text).file === null) as string,
    });
    expect(await filesOf(project)).toEqual(files);
  });

  describe("of a table whose field is gone", () => {
    const files: Record<string, string> = {};
    beforeAll(async () => {
      const project = await freshProject({ "schema.ts": SCHEMA });
      await project.cli(["generate"]);
      for (const file of await filesOf(project)) files[`surql/${file}`] = await project.read(`surql/${file}`);
    });

    /** The other place where the module is looked for. */
    const changed = () => {
      const fields = "name: z.string(), home: z.url().optional(), age: z.int()";
      return freshProject({ ...files, "src/schema.ts": person(fields) });
    };

    test("each open question stands on a line with the flags that answer it", async () => {
      const project = await changed();
      const question =
        "person.site is gone: --drop person.site, or --rename person.site=person.<its new name>";
      expect(await project.cli(["generate"])).toEqual({
        code: 1,
        stdout: "",
        stderr: `error: one thing needs a decision (schema.decision_needed)\n  ${question}\n`,
      });
      const { code, stdout } = await project.cli(["generate", "--json"]);
      expect(JSON.parse(stdout)).toMatchObject({
        error: { code: "schema.decision_needed", details: { questions: [question] } },
      });
      expect(code).toBe(1);
      expect(await filesOf(project)).toHaveLength(2);
    });

    test("--rename keeps what it holds, --fill gives a value, --name names the file", async () => {
      const project = await changed();
      const flags = [
        "--rename",
        "person.site=person.home",
        "--fill",
        "person.age=1 + 1 = 2",
        "--name",
        "homes",
      ];
      const { code, stdout } = await project.cli(["generate", ...flags, "--json"]);
      expect(JSON.parse(stdout)).toEqual({
        file: "surql/0002_homes.surql",
        notes: [],
        gaps: [{ table: "person", path: "home", what: "all of a URL but its scheme" }],
      });
      expect(code).toBe(0);
      expect(await project.read("surql/0002_homes.surql")).toContain(
        "SET home = site, age = IF age = NONE { 1 + 1 = 2 } ELSE { age }, site = NONE",
      );
    });

    test("--drop lets it go, and a note says what is left to know", async () => {
      const project = await changed();
      const { code, stdout } = await project.cli(["generate", "--drop", "person.site"]);
      expect(stdout).toMatch(/^wrote surql\/0002_\w+\.surql\nnote: person\.age is new and required/);
      expect(code).toBe(0);
    });

    test("a decision about nothing is refused", async () => {
      const project = await changed();
      const flags = ["--drop", "person.site", "--drop", "person.nope"];
      expectRefused(await project.cli(["generate", ...flags]), 1, "person.nope does not apply");
    });
  });

  test("--empty writes a migration for statements of one's own, and asks for a name", async () => {
    const project = await freshProject();
    expect(await project.cli(["generate", "--empty", "--name", "seed"])).toEqual({
      code: 0,
      stdout: "wrote surql/0001_seed.surql\n",
      stderr: "",
    });
    expectRefused(await project.cli(["generate", "--empty"]), 2, "--empty needs a --name");
    expectRefused(await project.cli(["generate", "--empty", "--drop", "x"]), 2, "cannot be used with");
  });

  test("tables are found in every kind of export, each once, in a folder of its own name", async () => {
    const more = `
      const table = (name) => defineTable({ name, schema: z.object({ at: z.date() }) });
      export const list = [person, table("a"), 3, null];
      export default { b: table("b"), more: [table("c")] };
      console.log("a module may print");`;
    const project = await freshProject({ "tables.mjs": person(FIELDS, more) });
    const flags = ["--tables", "tables.mjs", "--folder", "db/history", "--json"];
    const { code, stdout, stderr } = await project.cli(["generate", ...flags]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "a module may print\n" });
    const text = await project.read((JSON.parse(stdout) as { file: string }).file);
    expect(text.match(/DEFINE TABLE \w+/g)?.sort()).toEqual(
      ["a", "b", "c", "person"].map((name) => `DEFINE TABLE ${name}`),
    );
  });

  test("a module that is missing, empty of tables or broken is told by name", async () => {
    const project = await freshProject({
      "none.ts": "export const helper = 1; export class Person {}",
      "throws.ts": "\nthrow new Error('no such luck\\nand more')",
      "syntax.ts": "export const a = ;",
      "enum.ts": "export enum Colour { red }",
      "symbol.ts": person("name: z.symbol()"),
    });
    const refusals: [file: string, status: 1 | 2, sentence: RegExp | string][] = [
      ["missing.ts", 2, "there is no module missing.ts"],
      ["none.ts", 2, "none.ts exports no table made by defineTable; it exports Person, helper (cli.usage)"],
      ["throws.ts", 1, /throws\.ts cannot be imported: no such luck \(\S+throws\.ts:2\) \(cli\.bad_module\)/],
      ["syntax.ts", 1, /syntax\.ts cannot be imported: .+ \(\S+syntax\.ts:1\)/],
      ["enum.ts", 1, /enum\.ts cannot be imported: .*enum/],
      ["symbol.ts", 1, /symbol\.ts: name: z\.symbol\(\) has no SurrealQL type.* \(schema\.unsupported\)/],
    ];
    const outcomes = await Promise.all(refusals.map(([file]) => project.cli(["generate", "--tables", file])));
    for (const [i, [, status, sentence]] of refusals.entries()) expectRefused(outcomes[i]!, status, sentence);
    expectRefused(await project.cli(["generate"]), 2, "there is no ./schema.ts and no ./src/schema.ts");
  });

  test("a module that Node takes for CommonJS is told what to write", async () => {
    const project = await freshProject({ "schema.ts": SCHEMA, "package.json": '{ "type": "commonjs" }' });
    const { code, stderr } = await project.cli(["generate"]);
    expect(stderr).toContain(
      'error: ./schema.ts is read as CommonJS, which has no import: write "type": "module"',
    );
    expect(code).toBe(1);
  });

  test("a folder that is none, and a snapshot that disagrees, are told in a sentence", async () => {
    const project = await freshProject({ "schema.ts": SCHEMA, surql: "" });
    expectRefused(
      await project.cli(["generate"]),
      1,
      "./surql cannot be used: not a directory (schema.bad_folder)",
    );
    expectRefused(await project.cli(["migrate"]), 2, "./surql is no folder");
    await rm(join(project.folder, "surql"));
    await project.write("surql/0001_people.surql", FIRST);
    expectRefused(await project.cli(["generate"]), 1, /snapshot\.json.*\(schema\.bad_snapshot\)/);
  });
});

describe("check", () => {
  test("code, migrations and database that agree are fine, and each difference is told", async () => {
    const place = "rocksdb://.sentient/data (sentient/sentient)";
    const project = await freshProject({
      "schema.ts": SCHEMA,
      "drift.ts": `
        import { openDatabase, rawSurql } from "@sentient/db-pool";
        await using db = await openDatabase();
        await db.transaction(rawSurql(\`
          DEFINE FIELD OVERWRITE name ON person TYPE int; DEFINE FIELD old ON person TYPE string;
          REMOVE INDEX byName ON person; DEFINE TABLE junk;\`));`,
    });
    await project.cli(["generate"]);
    expect(await project.cli(["check"])).toEqual({
      code: 1,
      stdout:
        "./schema.ts and the migrations in ./surql agree\n" +
        `the database ${place} differs in 1 place:\n` +
        "  missing table person\n" +
        "if migrations are pending (sentient-schema status), apply them first\n",
      stderr: "",
    });

    await project.cli(["migrate"]);
    expect(await project.cli(["check"])).toEqual({
      code: 0,
      stdout: `./schema.ts and the migrations in ./surql agree\nthe database ${place} has these tables\n`,
      stderr: "",
    });

    expect(await project.node("drift.ts")).toMatchObject({ code: 0, stderr: "" });
    const { code, stdout, stderr } = await project.cli(["check"]);
    expect(stdout).toContain(
      "  different field person.name\n    expected kind string\n    found    kind int\n",
    );
    for (const line of ["extra field person.old", "extra table junk", "missing index person.byName"])
      expect(stdout).toContain(`  ${line}\n`);
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" });

    const json = await project.cli(["check", "--json"]);
    expect(json).toMatchObject({ code: 1, stderr: "" });
    expect(JSON.parse(json.stdout)).toMatchObject({
      generated: true,
      database: { url: "rocksdb://.sentient/data", namespace: "sentient", database: "sentient" },
      drift: expect.arrayContaining([{ what: "extra", kind: "table", name: "junk" }]) as unknown,
    });
  });

  test("--offline asks no database, and tells of tables that were changed without generate", async () => {
    const project = await freshProject({ "schema.ts": SCHEMA });
    const env = { SENTIENT_URL: "ws://127.0.0.1:1" };
    expect(await project.cli(["check", "--offline"], env)).toMatchObject({
      code: 1,
      stdout: expect.stringContaining("you changed tables in ./schema.ts without generate") as string,
    });
    await project.cli(["generate"]);
    expect(await project.cli(["check", "--offline"], env)).toMatchObject({ code: 0, stderr: "" });
    await project.write("schema.ts", person("name: z.int()"));
    const { code, stdout } = await project.cli(["check", "--offline", "--json"], env);
    expect(JSON.parse(stdout)).toEqual({ generated: false, drift: null });
    expect(code).toBe(1);
    expectRefused(await project.cli(["check", "--offline", "--url", "mem://"]), 2, "cannot be used with");
  });
});

describe("status and migrate", () => {
  test("what is pending is tried, applied up to a number, applied to the end, and told with when", async () => {
    const { db, env, place } = await freshDatabase();
    const project = await freshProject({
      "surql/0001_people.surql": FIRST,
      "surql/0002_visits.surql": SECOND,
      "surql/0003_doubled.ts": `
        import { defineDataMigration } from "@sentient/schema";
        export default defineDataMigration({
          number: 3, name: "doubled", table: "person", change: (row) => ({ visits: row.visits * 2 }),
        });`,
    });
    const visits = () => db.query(surql<number>`SELECT VALUE visits FROM ONLY person:ada`);

    expect(await project.cli(["status"], env)).toEqual({
      code: 0,
      stdout: `${place}: 0 migrations applied, 3 pending\npending 0001_people\npending 0002_visits\npending 0003_doubled\n`,
      stderr: "",
    });

    const before = await contentsOf(db);
    expect(await project.cli(["migrate", "--dry-run"], env)).toEqual({
      code: 0,
      stdout:
        `${place}: tried 3 pending migrations and took it all back\n` +
        "pending 0001_people\npending 0002_visits\npending 0003_doubled\n" +
        "note: 0003_doubled changes rows and was not tried\n",
      stderr: "",
    });
    expect(await contentsOf(db)).toEqual(before);

    const first = await project.cli(["migrate", "--to", "1"], env);
    expect({ ...first, stdout: withoutTimes(first.stdout) }).toEqual({
      code: 0,
      stdout:
        `${place}: 1 migration applied, 2 pending\n` +
        "applied 0001_people at <when> in <a while>\npending 0002_visits\npending 0003_doubled\n",
      stderr: "0001_people: begins\n",
    });
    expect(await visits()).toBe(1);

    const rest = await project.cli(["migrate", "--json"], env);
    expect(JSON.parse(rest.stdout)).toMatchObject({
      dryRun: false,
      already: 1,
      applied: [{ number: 2 }, { number: 3, rows: 1, appliedAt: expect.stringMatching(ISO) as string }],
      pending: [],
    });
    expect(rest).toMatchObject({ code: 0, stderr: "0002_visits: begins\n0003_doubled: begins\n" });
    expect(await visits()).toBe(4);

    expect(await project.cli(["migrate"], env)).toEqual({
      code: 0,
      stdout: `${place}: 0 migrations applied (3 before), nothing left to apply\n`,
      stderr: "",
    });
    const status = await project.cli(["status"], env);
    expect(withoutTimes(status.stdout)).toBe(
      `${place}: 3 migrations applied, 0 pending\n` +
        "applied 0001_people at <when> in <a while>\napplied 0002_visits at <when> in <a while>\n" +
        "applied 0003_doubled at <when> in <a while>, 1 row\n",
    );
    expect(JSON.parse((await project.cli(["status", "--json"], env)).stdout)).toMatchObject({
      database: { url: engine.url },
      applied: [{ number: 1 }, { number: 2 }, { number: 3 }],
      pending: [],
    });
  });

  test("a migration that was rewritten, and a store that is newer, are refused by both", async () => {
    const { env } = await freshDatabase();
    const project = await freshProject({ "surql/0001_people.surql": FIRST });
    await project.cli(["migrate"], env);
    await project.write("surql/0001_people.surql", `${FIRST}DEFINE TABLE more;`);
    for (const command of ["status", "migrate"])
      expectRefused(await project.cli([command], env), 1, /0001_people is not what this store has.*diverged/);
    await rm(join(project.folder, "surql/0001_people.surql"));
    for (const command of ["status", "migrate"])
      expectRefused(
        await project.cli([command], env),
        1,
        /the store is at migration 0001_people.*store_newer/,
      );
  });

  test("a migration that fails is told with the statement", async () => {
    const { env } = await freshDatabase();
    const project = await freshProject({ "surql/0001_people.surql": `${FIRST}DEFINE FELD x ON person;` });
    for (const flags of [["--dry-run"], []]) {
      const { code, stdout, stderr } = await project.cli(["migrate", ...flags], env);
      expect(stderr.replace("0001_people: begins\n", "")).toMatch(
        /^error: migration 0001_people failed at statement 3, .*Parse error.* \(schema\.migration_failed\)\n {2}DEFINE FELD x ON person\n$/,
      );
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    }
  });

  test("Ctrl-C ends it between two statements, and the next call goes on from there", async () => {
    const { env, db } = await freshDatabase();
    const wait = "IF (SELECT * FROM ONLY go:on) = NONE { sleep(250ms) };".repeat(40);
    const text = `-- sentient: stepwise\nDEFINE TABLE go; ${wait} DEFINE TABLE b;`;
    const project = await freshProject({ "surql/0001_long.surql": text });
    const child = project.start(["migrate"], env);
    const outcome: Promise<Outcome> = outcomeOf(child);
    child.stderr.once("data", () => child.kill("SIGINT"));
    expectRefused(
      { ...(await outcome), stderr: (await outcome).stderr.replaceAll(/^0001_long: .*\n/gm, "") },
      1,
      /\(schema\.cancelled\)/,
    );
    expect((await project.cli(["status"], env)).stdout).toMatch(/pending 0001_long/);
    await db.query(surql`CREATE go:on`);
    expect(await project.cli(["migrate"], env)).toMatchObject({ code: 0 });
  });

  test("a folder that is missing, or a file in it that is no migration, is told by name", async () => {
    const project = await freshProject({ "surql/1_people.surql": FIRST });
    expectRefused(await project.cli(["status", "--folder", "nope"]), 2, "there is no folder nope");
    expectRefused(
      await project.cli(["status"]),
      1,
      /1_people\.surql is not named.*\(schema\.bad_migration\)/,
    );
  });
});

describe("the database", () => {
  test("in a folder belongs to one process; another is told so, and the folder is free when that one ended", async () => {
    const project = await freshProject({ "surql/0001_people.surql": FIRST });
    await project.write(
      "hold.ts",
      `import { openDatabase } from "@sentient/db-pool";
       const db = await openDatabase({ url: "rocksdb://data" });
       console.log("held");
       process.stdin.once("end", () => void db.close()).resume();`,
    );
    const flags = ["--url", "rocksdb://data", "--namespace", "n", "--database", "d"];
    const holder = project.startNode("hold.ts");
    await once(holder.stdout, "readable");
    expectRefused(await project.cli(["status", ...flags]), 1, /is in use by process \d+.*\(db\.locked\)/);
    holder.stdin.end();
    await outcomeOf(holder);
    expect(await project.cli(["migrate", ...flags])).toMatchObject({ code: 0 });
    expect((await project.cli(["status", ...flags])).stdout).toMatch(
      /^rocksdb:\/\/data \(n\/d\): 1 migration applied/,
    );
  });

  test("that cannot be reached, or is named wrongly, is told in a sentence without secrets", async () => {
    const project = await freshProject({ "surql/0001_people.surql": FIRST });
    const status = (url: string, env = {}) => project.cli(["status", "--url", url], env);
    const secrets = { SENTIENT_USER: "ada", SENTIENT_PASSWORD: "hunter2" };
    const asked: [outcome: Promise<Outcome>, code: 1 | 2, sentence: RegExp][] = [
      [status("nonsense"), 2, /is not a database URL.*\(db\.bad_url\)/],
      [status("ws://ada:hunter2@127.0.0.1"), 2, /\(db\.bad_url\)/],
      [status("ws://127.0.0.1:1"), 2, /needs credentials.*\(db\.bad_option\)/],
      [status("ws://127.0.0.1:1", { ...secrets, SENTIENT_CONNECT_TIMEOUT: "500" }), 1, /\(db\.unreachable\)/],
      [status("mem://", secrets), 2, /\(db\.bad_option\)/],
      [status("mem://", { SENTIENT_POOL_SIZE: "many" }), 2, /SENTIENT_POOL_SIZE/],
    ];
    for (const [outcome, code, sentence] of asked) {
      expectRefused(await outcome, code, sentence);
      expect((await outcome).stderr).not.toContain("hunter2");
    }
  });
});

describe("the command line", () => {
  test("tells what it can do, of each command with an example, and its version", async () => {
    const project = await freshProject();
    const help = await project.cli(["--help"]);
    expect(help).toMatchObject({ code: 0, stderr: "" });
    expect(help.stdout).toMatch(
      /generate[^]*check[^]*status[^]*migrate[^]*Exit status:\n {2}0 [^]*\n {2}1 [^]*\n {2}2 /,
    );
    const commands = ["generate", "check", "status", "migrate"];
    const helps = await Promise.all(commands.map((command) => project.cli([command, "--help"])));
    for (const [i, command] of commands.entries()) {
      const { code, stdout } = helps[i]!;
      expect(stdout).toContain(`Examples:\n  $ sentient-schema ${command}`);
      expect(stdout).toContain("Exit status:");
      expect(code).toBe(0);
    }
    const manifest = await readFile(new URL("../package.json", import.meta.url), "utf8");
    const { version } = JSON.parse(manifest) as { version: string };
    expect(await project.cli(["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
  });

  test("refuses what it does not know, says what was meant, and prints no value that may be a secret", async () => {
    const project = await freshProject();
    const refusals: [args: string[], sentence: RegExp | string][] = [
      [["migrat"], "unknown command 'migrat'; did you mean migrate?"],
      [["generate", "--flder", "x"], "unknown option '--flder'; did you mean --folder?"],
      [["status", "--password=hunter2"], /unknown option '--password' \(cli\.usage\)/],
      [["status", "-phunter2"], /unknown option '-p' \(cli\.usage\)/],
      [["status", "extra"], "too many arguments"],
      [["migrate", "--to", "last"], "argument 'last' is invalid"],
      [["generate", "--rename", "old"], "Write it as left=right"],
      [["generate", "--fill", "a.b=1", "--fill", "a.b=2"], "There is one for a.b already"],
    ];
    const outcomes = await Promise.all(refusals.map(([args]) => project.cli(args)));
    for (const [i, [, sentence]] of refusals.entries()) expectRefused(outcomes[i]!, 2, sentence);
    const { code, stdout } = await project.cli(["status", "--nope", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: "cli.usage" } });
    expect(code).toBe(2);
    expect(await project.cli([])).toMatchObject({ code: 2, stdout: "" });
  });

  test("shows the stack if SENTIENT_DEBUG asks for it", async () => {
    const project = await freshProject();
    const { stderr } = await project.cli(["status"], { SENTIENT_DEBUG: "1" });
    expect(stderr).toMatch(/^error: there is no folder[^]*\n {4}at /);
  });

  test("has no colour where no terminal reads it", async () => {
    const project = await freshProject({ "schema.ts": SCHEMA });
    const { stdout } = await project.cli(["generate"], { FORCE_COLOR: "1" });
    expect(stdout).toMatch(/^wrote /);
  });

  test("ends quietly when nobody reads on", async () => {
    const { db, env } = await freshDatabase();
    const project = await freshProject({ "surql/0001_people.surql": FIRST });
    const child = project.start(["migrate"], env);
    child.stdout.destroy();
    child.stderr.destroy();
    const code = await new Promise((resolve) => void child.once("exit", resolve));
    expect(code).toBe(0);
    expect(await db.query(surql`SELECT VALUE visits FROM ONLY person:ada`)).toBe(1);
  });
});
