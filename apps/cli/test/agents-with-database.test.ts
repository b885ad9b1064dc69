// Agents that need the database of the runtime, in the commands that run them.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { jsonOf, project, run, start } from "./support/cli.ts";
import { WITH_MEMORY } from "./support/with-memory.ts";

async function projectWith(agents: string): Promise<string> {
  const cwd = await project();
  await writeFile(join(cwd, "package.json"), `{ "type": "module" }`);
  await writeFile(join(cwd, "agents.ts"), agents);
  return cwd;
}

test("memory and budgets of a project are those of its database: beside sentient dev, and without it", async () => {
  const cwd = await projectWith(WITH_MEMORY);
  const outputOf = async (name: string, input: unknown, ...flags: string[]) => {
    const ended = await run(["run", name, "--input", JSON.stringify(input), "--json", ...flags], { cwd });
    expect(ended.code, ended.stderr).toBe(0);
    return (jsonOf(ended) as { output: unknown }).output;
  };
  const beside = ["--agents", "./agents.ts"]; // it knows what they take, and has dev run them
  const dev = start(["dev", "--no-watch", "--port", "0", "--json"], { cwd });
  const [line] = await dev.says(/^\{.*\}$/m);
  expect(JSON.parse(line)).toMatchObject({ agents: ["keep", "recall", "thrifty"] });
  expect(await outputOf("keep", "Ada drinks tea without milk.", ...beside)).toBe("string");
  expect(await outputOf("recall", "tea")).toEqual(["Ada drinks tea without milk."]);
  expect(await outputOf("thrifty", null)).toBe("Tea.");
  expect((await dev.stop("SIGINT")).code).toBe(0);

  expect(await outputOf("recall", "tea", ...beside)).toEqual(["Ada drinks tea without milk."]);
});

test("what such agents are made with fails by the name of its module, and leaves the folder to the next", async () => {
  const cwd = await projectWith(`export default () => { throw new Error("no key"); };`);
  for (const command of [
    ["dev", "--no-watch"],
    ["run", "any", "--agents", "./agents.ts"],
    ["mcp", "--agents", "./agents.ts"],
  ]) {
    const ended = await run([...command, "--json"], { cwd });
    expect(ended.code, ended.stderr).toBe(2);
    expect(jsonOf(ended)).toMatchObject({
      error: {
        code: "agent.bad_config",
        message: expect.stringContaining("./agents.ts exports by default failed: no key"),
      },
    });
  }
});
