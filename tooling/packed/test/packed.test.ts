// What is published, as a stranger gets it.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { installed } from "./installed.ts";
import { manifestOf, publishedFolders, ROOT, type Packed } from "./stranger.ts";

const { stranger, packed } = installed();
const project = join(stranger.folder, "my-agents"); // what is installed above it is found from it

const topOf = ({ files }: Packed) => [...new Set(files.map((file) => file.split("/")[0]!))].toSorted();

test("each has what was built, what that was built from, its README and the licence, and nothing else", () => {
  const own: Record<string, string[]> = {
    "@sentient/ai": ["surql", "surql-budget"],
    "@sentient/cli": ["surql", "templates"],
    "@sentient/schema": ["surql"],
  };
  for (const each of packed)
    expect({ name: each.name, top: topOf(each) }).toEqual({
      name: each.name,
      top: ["LICENSE", "README.md", "dist", "package.json", "src", ...(own[each.name] ?? [])],
    });
  expect(packed).toHaveLength(9);
});

test("no file of a test, of a build or with a secret is in any of them", () => {
  const strange = packed.flatMap(({ files }) => files).filter((file) => !isExpected(file));
  expect(strange).toEqual([]);
});

function isExpected(file: string): boolean {
  if (/^templates\/\w+\/\w+\.test\.ts$/.test(file)) return true; // what a project begins with
  if (/(^|\/)(test|bench|node_modules|\.sentient|\.turbo)\/|\.test\.|\.env|\.tsbuildinfo$/.test(file))
    return false;
  if (/^dist\/json\/\w+\.json$/.test(file)) return true; // what other languages are told of the tables
  if (file.startsWith("dist/")) return /\.(js|d\.ts)(\.map)?$/.test(file);
  if (file.startsWith("src/")) return file.endsWith(".ts");
  if (/^surql(-\w+)?\//.test(file)) return /\.(surql|json)$/.test(file);
  return file.startsWith("templates/") || ["LICENSE", "README.md", "package.json"].includes(file);
}

test("what is strange in a package is found", () => {
  for (const file of ["dist/a.test.js", ".env", "src/notes.md", "test/a.ts", "dist/main.wasm"])
    expect(isExpected(file), file).toBe(false);
});

test("each has a changeset, or has been released", async () => {
  const changesets = (await readdir(join(ROOT, ".changeset"))).filter((file) => file.endsWith(".md"));
  const texts = await Promise.all(changesets.map((file) => readFile(join(ROOT, ".changeset", file), "utf8")));
  for (const folder of await publishedFolders()) {
    const { name } = await manifestOf(folder);
    const isReleased = (await readdir(folder)).includes("CHANGELOG.md");
    expect(isReleased || texts.some((text) => text.includes(`"${name}"`)), name).toBe(true);
  }
});

test("sentient says what it can do, makes a project, and runs an agent of it", async () => {
  expect(await stranger.run("sentient", ["--help"])).toMatch(/^Usage: sentient /);
  expect(await stranger.run("sentient", ["init", "my-agents"])).toContain("npx sentient dev");
  const answer = await stranger.run("sentient", ["run", "hello", "--input", '{"to":"Ada"}'], project);
  expect(answer).toContain("Hello, Ada!");
  expect(await stranger.run("sentient", ["runs", "list"], project)).toMatch(
    /hello.*completed|completed.*hello/,
  );
  expect(await stranger.run("sentient", ["test"], project)).toMatch(/pass 2\n.*fail 0\n/);
});

test("what getting started says of a project happens, beside sentient dev", async () => {
  await using dev = stranger.start("sentient", ["dev", "--port", "0", "--no-watch"], project);
  await dev.hears(/http:\/\/127/);
  const page = await readFile(join(ROOT, "docs/getting-started.md"), "utf8");
  const block = /^```sh\n(npx sentient run hello[^]*?)^```$/m.exec(page)![1]!;
  const commands = block.replaceAll("npx ", ""); // it is not on the registry yet
  const asked = "until sentient questions list | grep main/begin#1 >/dev/null; do :; done"; // a person is slower
  const said = await stranger.shell(commands.replace(/^sentient questions list$/m, `${asked}\n$&`), project);
  expect(said).toContain("Hello, Ada!");
  expect(said).toMatch(/main\/begin#1.*Greet 2 guests\?/);
  expect(said).toMatch(/has its answer to main\/begin#1/);
  expect(await dev.stop(), dev.said).toBe(0);
});

test("sentient answers a question from a folder, and each sentence has its place", async () => {
  const args = ["demo", join(ROOT, "docs/guides"), "how are steps retried?", "--yes", "--json"];
  const said = JSON.parse(await stranger.run("sentient", args)) as {
    output: { citations: number; report: string };
  };
  expect(said.output.citations).toBeGreaterThan(0);
  expect(await readFile(said.output.report, "utf8")).toContain("steps.md");
});

test("sentient-worker says that it lives, and ends in order", async () => {
  const args = ["--agents", "./agents.ts", "--health-port", "0"];
  await using worker = stranger.start("sentient-worker", args, project);
  const [, port] = await worker.hears(/"port":(\d+)/);
  expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
  await worker.hears(/advances runs/);
  const readiness = async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status;
  await expect.poll(readiness, { timeout: 60_000 }).toBe(200);
  expect(await worker.stop(), worker.said).toBe(0);
});

test("sentient-api says that it lives, asks who asks, and ends in order", async () => {
  await using api = stranger.start("sentient-api", [], project, { SENTIENT_API_PORT: "0" });
  const [, url] = await api.hears(/"url":"([^"]+)"/);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  expect((await fetch(`${url}/v1/runs`)).status).toBe(401);
  const token = (await readFile(join(project, ".sentient/api-token"), "utf8")).trim();
  const headers = { authorization: `Bearer ${token}` };
  expect((await fetch(`${url}/v1/runs`, { headers })).status).toBe(200);
  expect(await api.stop(), api.said).toBe(0);
});
