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
