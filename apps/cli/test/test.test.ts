import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { jsonOf, project, run, start } from "./support/cli.ts";
import { inside } from "./support/inside.ts";

/** A project as init makes it. */
async function made(): Promise<string> {
  const app = join(await project(), "app");
  expect((await inside(["init", app])).code).toBe(0);
  return app;
}

test("the tests of a project that init has made pass, and what fails is said", async () => {
  const app = await made();
  const passed = await run(["test"], { cwd: app });
  expect(passed.code, passed.stderr).toBe(0);
  expect(passed.stdout).toContain("everybody is greeted once somebody says so");
  expect(passed.stdout).toMatch(/pass 2\n.*fail 0\n/);

  const file = join(app, "agents.test.ts");
  const text = await readFile(file, "utf8");
  await writeFile(file, text.replace('"Hello, Ada!"]', "").replace('"Hello, Ada!");', '"Good day!");'));
  const failed = await run(["test", "--json", "--name", "process dies"], { cwd: app });
  expect(failed.code).toBe(1);
});

test("each outcome is there as JSON, of the files that were named", async () => {
  const app = await made();
  await writeFile(
    join(app, "more.test.ts"),
    `import { test } from "node:test";
     test("knows that it is a test", () => { if (process.env.SENTIENT_TEST !== "1") throw new Error("no"); });
     test("fails", () => { throw new Error("as it should"); });
     enum Colour { Red }`,
  );
  const broken = jsonOf(await run(["test", "more.test.ts", "--json"], { cwd: app }));
  expect(broken).toMatchObject({ passed: 0, failed: 1 }); // no enum, as it is run as it is

  await writeFile(
    join(app, "more.test.ts"),
    (await readFile(join(app, "more.test.ts"), "utf8")).replace("enum Colour { Red }", ""),
  );
  const ended = await run(["test", "m*.test.ts", "--json"], { cwd: app });
  expect(ended.code).toBe(1);
  expect(jsonOf(ended)).toMatchObject({
    passed: 1,
    failed: 1,
    tests: [
      { name: "knows that it is a test", file: "more.test.ts", ok: true },
      { name: "fails", ok: false, error: "as it should" },
    ],
  });
});

/** The files of a project that is only tests. */
async function tests(files: Record<string, string>): Promise<string> {
  const cwd = await project();
  for (const [name, text] of Object.entries(files))
    await writeFile(
      join(cwd, `${name}.test.mjs`),
      `import { after, describe, it, test } from "node:test";\n${text}`,
    );
  return cwd;
}

const throws = (what: string) => `() => { throw new Error("${what}"); }`;

test("what is no test fails it too: a suite, a hook, a file", async () => {
  const cwd = await tests({
    suite: `describe("suite", ${throws("within the suite")}); it("runs", () => {});`,
    hook: `describe("hooked", () => { after(${throws("after it")}); it("runs", () => {}); });`,
    file: `throw new Error("within the file");`,
  });
  const wrong = {
    suite: { name: "suite", file: "suite.test.mjs", error: "within the suite" },
    hook: { name: "hooked", file: "hook.test.mjs", error: "after it" },
    file: { name: "file.test.mjs", file: "file.test.mjs", error: expect.stringContaining("within the file") },
  };
  for (const [name, said] of Object.entries(wrong)) {
    const ended = await run(["test", `${name}.test.mjs`, "--json"], { cwd });
    expect([name, ended.code]).toEqual([name, 1]);
    const { failed, tests: all } = jsonOf(ended) as { failed: number; tests: { ok: boolean }[] };
    expect([failed, all.filter(({ ok }) => !ok)]).toEqual([1, [expect.objectContaining(said)]]);
  }
  expect((await run(["test", "hook.test.mjs"], { cwd })).code).toBe(1);
});

test("what is still to do may fail, and what is skipped has not passed", async () => {
  const cwd = await tests({
    later: `
      test("to do", { todo: true }, ${throws("not yet")});
      test("skipped", { skip: true }, ${throws("never")});
      describe("skipped as a whole", { skip: true }, () => { it("never runs", ${throws("never")}); });
      describe("outer", () => { it("runs", () => {}); });`,
  });
  const ended = await run(["test", "--json"], { cwd });
  expect(ended.code).toBe(0);
  expect(jsonOf(ended)).toMatchObject({
    passed: 1,
    failed: 0,
    skipped: 2,
    todo: 1,
    tests: [
      { name: "to do", ok: false, todo: true, error: "not yet" },
      { name: "skipped", skipped: true, todo: false },
      { name: "skipped as a whole", skipped: true },
      { name: "runs", ok: true, skipped: false, todo: false },
    ],
  });
});

test("a name that no test has is an error that says so; files without one of it say nothing", async () => {
  const cwd = await tests({ one: `test("is charged", () => {});`, two: `test("is sent", () => {});` });
  for (const more of [["--json"], []]) {
    const none = await run(["test", "--name", "refunded", ...more], { cwd });
    expect(none.code).toBe(3);
    expect(none.stderr).toContain("no test in 2 files has a name that matches refunded");
  }
  const some = await run(["test", "--name", "charged", "--json"], { cwd });
  expect(some.code).toBe(0);
  expect(jsonOf(some)).toMatchObject({ passed: 1, tests: [{ name: "is charged" }] });
});

test("where there is none that is said, with a status of its own", async () => {
  const cwd = await project();
  const ended = await run(["test", "--json"], { cwd });
  expect(ended.code).toBe(3);
  expect(jsonOf(ended)).toMatchObject({ error: { code: "cli.not_found" } });
});

test("with --watch they are run again when a file changes", async () => {
  const app = await made();
  const watching = start(["test", "--watch"], { cwd: app });
  await watching.says(/Hello|greeted once somebody says so/);
  const agents = join(app, "agents.ts");
  const edited = (await readFile(agents, "utf8")).replace("Hello, ${to}!", "Good day, ${to}!");
  await watching.sees(agents, edited, /^Restarted /m);
  await watching.says(/Good day, Ada!/);
  expect((await watching.stop("SIGINT")).stderr).toBe("");
});
