// What the pages say in TypeScript: it compiles, and what has its output behind it prints that.
// A block that begins with the name of a file is that file of its page, and others of the page may import it. One that imports
// nothing is a part of something larger: it compiles with what test/support/fragments.d.ts declares.

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { blocksOf, markdownFiles, readPage, ROOT } from "../src/pages.ts";

const exec = promisify(execFile);
const HERE = join(import.meta.dirname, "..");
const pages = markdownFiles().filter(
  (file) => file.startsWith("docs/") || file === "README.md" || file === "packages/ai/README.md",
);

interface Program {
  /** Where it stands, as `page:line`. */
  place: string;
  path: string;
  text: string;
  output: string | undefined;
}

const programs = pages.flatMap((page) =>
  blocksOf(readPage(page))
    .filter(({ language }) => language === "ts")
    .map(({ text, line, output }, i): Program => {
      const folder = page.replaceAll(/[/.]/g, "-");
      const [, file = `block-${i + 1}.ts`] = /^\/\/ (\S+\.ts)\n/.exec(text) ?? [];
      return { place: `${page}:${line}`, path: join(folder, file), text, output };
    }),
);

let project: string;

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), "sentient-docs-"));
  await symlink(join(HERE, "node_modules"), join(project, "node_modules"));
  await writeFile(join(project, "package.json"), `{ "type": "module" }`);
  await writeFile(
    join(project, "fragments.d.ts"),
    await readFile(join(HERE, "test/support/fragments.d.ts"), "utf8"),
  );
  for (const { path, text } of programs) {
    await mkdir(join(project, path, ".."), { recursive: true });
    await writeFile(join(project, path), /^(import|export) /m.test(text) ? text : `${text}export {};\n`);
  }
});

afterAll(() => rm(project, { recursive: true, force: true }));

async function errorsOf(files: readonly string[]): Promise<string> {
  const config = {
    extends: join(ROOT, "tooling/tsconfig/base.json"),
    compilerOptions: {
      noEmit: true,
      declaration: false,
      declarationMap: false,
      typeRoots: [join(HERE, "node_modules/@types")],
    },
    files: ["fragments.d.ts", ...files],
  };
  await writeFile(join(project, "tsconfig.json"), JSON.stringify(config));
  const tsc = join(HERE, "node_modules/typescript/bin/tsc");
  try {
    await exec(process.execPath, [tsc, "-p", "tsconfig.json", "--pretty", "false"], { cwd: project });
    return "";
  } catch (error) {
    const said = (error as { stdout: string }).stdout.split("\n");
    return said.filter((line) => !/^\S*packages\//.test(line)).join("\n"); // what is wrong in those they say themselves
  }
}

test("every block of TypeScript compiles", { timeout: 240_000 }, async () => {
  expect(programs.length).toBeGreaterThan(20);
  let said = await errorsOf(programs.map(({ path }) => path));
  for (const { place, path } of programs) said = said.replaceAll(path, place);
  expect(said).toBe("");
});

test("a block that does not compile is found", { timeout: 240_000 }, async () => {
  await writeFile(join(project, "wrong.ts"), `const result: number = await handle.result();\nexport {};\n`);
  expect(await errorsOf(["wrong.ts"])).toMatch(/^wrong\.ts\(1,7\): error TS2322/);
});

test("what has its output behind it prints that", { timeout: 240_000 }, async () => {
  const run = programs.filter(({ output }) => output !== undefined);
  expect(run.length).toBeGreaterThan(10);
  const work = join(project, "work");
  await mkdir(work);
  const args = ["--conditions=@sentient/source", join(HERE, "test/support/run.ts")];
  const files = run.map(({ path }) => join(project, path));
  const { stdout } = await exec(process.execPath, [...args, ...files], { cwd: work, maxBuffer: 2 ** 26 });
  const said = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { printed: string; error?: string });
  expect(said.map(({ printed, error }, i) => ({ place: run[i]!.place, printed, error }))).toEqual(
    run.map(({ place, output }) => ({ place, printed: output, error: undefined })),
  );
});
