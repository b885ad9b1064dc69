// The document: whether it is OpenAPI 3.1, and whether somebody who has nothing else can use it.

import { execFile } from "node:child_process";
import { cp, mkdtemp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { typesOf } from "@sentient/openapi-types";
import { sabotage } from "@sentient/testkit";
import { Validator } from "@seriousme/openapi-schema-validator";
import { expect, onTestFinished, test } from "vitest";
import { hello } from "./support/agents.ts";
import { freshApi, served } from "./support/fresh.ts";

const run = promisify(execFile);
const here = fileURLToPath(new URL("..", import.meta.url));

/** A folder of this package, so that what is in it finds its dependencies. */
async function folderHere(): Promise<string> {
  const cache = join(here, "node_modules/.cache");
  await mkdir(cache, { recursive: true });
  const folder = await mkdtemp(join(cache, "client-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test("the document is OpenAPI 3.1", async () => {
  const { ask, app } = await freshApi({ worker: false });
  const { body } = await ask("/openapi.json");
  expect(body).toEqual(JSON.parse(JSON.stringify(app.document())));
  const validator = new Validator();
  expect(await validator.validate(body)).toEqual({ valid: true });
  expect(validator.version).toBe("3.1");
  await sabotage("a parameter that is nowhere", async () => {
    body.paths["/v1/runs"].get.parameters = [{ name: "x" }];
    expect(await new Validator().validate(body)).toEqual({ valid: true });
  });
});

test("a client that others make of the document fits by type, and works", { timeout: 240_000 }, async () => {
  const { sentient, app, token } = await freshApi({ agents: [hello] });
  const { url } = await served(sentient);
  const folder = await folderHere();
  const program = join(folder, "client.ts");
  await writeFile(join(folder, "api.ts"), await typesOf(app.document()));
  await cp(join(here, "test/fixtures/generated-client.txt"), program);
  const config = {
    extends: "@sentient/tsconfig/base.json",
    compilerOptions: { outDir: "out", declaration: false, declarationMap: false },
    include: ["*.ts"],
  };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(config));
  await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  const compile = () => run("npx", ["tsc", "-p", folder], { cwd: here });
  await compile();
  const env = { ...process.env, API_URL: url, API_TOKEN: token };
  const { stdout } = await run(process.execPath, [join(folder, "out/client.js")], { env });
  expect(JSON.parse(stdout)).toMatchObject({
    outcome: { status: "completed", output: "hello Ada" },
    found: 1,
    code: "state.not_found",
  });
  await sabotage("a body that does not fit", async () => {
    const text = await readFile(program, "utf8");
    await writeFile(program, text.replace('{ name: "hello", input', "{ name: 7, input"));
    await compile();
  });
});

test("the page for people has every operation", async () => {
  const { app, ask } = await freshApi({ worker: false });
  const { text } = await ask("/reference");
  const missing = app.routes.filter(
    ({ name, path }) => !text.includes(`id="${name}"`) || !text.includes(`<code>${path}</code>`),
  );
  expect(missing).toEqual([]);
});
