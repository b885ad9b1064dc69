// The README: its commands and its program, as they stand there.

import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { configFromEnv } from "../src/index.ts";
import { hello } from "./support/agents.ts";
import { freshApi, freshFolder, served } from "./support/fresh.ts";

const run = promisify(execFile);
const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
const blocks = (language: string) =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map(
    ([, text]) => text!,
  );

test("each command with curl does what is said of it", { timeout: 240_000 }, async () => {
  const { sentient, token } = await freshApi({ agents: [hello] });
  const { url } = await served(sentient);
  const folder = await freshFolder();
  await mkdir(join(folder, ".sentient"));
  await writeFile(join(folder, ".sentient/api-token"), token);
  const commands = blocks("sh").filter((block) => block.includes("ask"));
  expect(commands).toHaveLength(5);
  const script = commands.join("echo\necho ---\n").replaceAll("http://127.0.0.1:4840", url);
  const { stdout } = await run("bash", ["-euo", "pipefail", "-c", script], { cwd: folder, timeout: 200_000 });
  const [, started, live, looked, refused] = stdout.split("---\n") as [
    string,
    string,
    string,
    string,
    string,
  ];
  expect(started).toContain('"status":"completed","output":"hello Ada"');
  expect(live.match(/event: end/g)).toHaveLength(2);
  expect(live).toContain('"type":"run.completed"');
  expect(looked).toContain('"runs":[');
  expect(looked).toContain("sentient_runs_queued");
  expect(refused).toContain('"code":"state.not_found"');
});

test("the program with the client prints what the agent gives", { timeout: 120_000 }, async () => {
  const { sentient, token } = await freshApi({ agents: [hello] });
  const { url } = await served(sentient);
  const [program] = blocks("ts");
  const file = fileURLToPath(new URL(`readme-${process.pid}.generated.ts`, import.meta.url));
  await writeFile(file, program!);
  const { rm } = await import("node:fs/promises");
  try {
    const env = { ...process.env, API: url, TOKEN: token };
    const { stdout } = await run(process.execPath, ["--conditions=@sentient/source", file], { env });
    expect(stdout.trim().split("\n")).toEqual([
      "run.queued",
      "run.started",
      "step.completed",
      "run.completed",
      "hello Ada",
    ]);
  } finally {
    await rm(file);
  }
});

test("the table has every variable that is known, and no other", () => {
  const named = [...new Set(readme.match(/`SENTIENT_API_\w+`/g))].map((name) => name.slice(1, -1));
  expect(named).toHaveLength(12);
  const valueOf = (name: string) =>
    /_PORT|_STREAMS|_SECOND/.test(name)
      ? "1"
      : /_PROXY|_INSECURE/.test(name)
        ? "true"
        : /_LEVEL/.test(name)
          ? "info"
          : "x";
  const env = Object.fromEntries(
    named.filter((name) => !name.includes("_TLS_")).map((name) => [name, valueOf(name)]),
  );
  expect(() => configFromEnv(env)).not.toThrow();
});
