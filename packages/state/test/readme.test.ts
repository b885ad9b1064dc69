// The README, run as a stranger would run it: the worker is killed again and again, and the other blocks print what they say.

import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { spawnChild, until } from "@sentient/testkit";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { freshFolder } from "./support/fresh.ts";

const README = await readFile(new URL("../README.md", import.meta.url), "utf8");
const blocks = new Map(
  [...README.matchAll(/^```ts\n\/\/ (\S+)\n([^]*?)^```$/gm)].map(([, file, text]) => [file!, text!]),
);
const packages = fileURLToPath(new URL("../..", import.meta.url));
let project: string;

beforeAll(async () => {
  project = await freshFolder();
  await mkdir(join(project, "node_modules", "@sentient"), { recursive: true });
  for (const name of ["db-pool", "schema", "event-bus", "state"])
    await symlink(join(packages, name), join(project, "node_modules", "@sentient", name));
  for (const [file, text] of blocks) await writeFile(join(project, file), text);
  await writeFile(join(project, "package.json"), `{ "type": "module" }`);
  await writeFile(
    join(project, "start.ts"),
    "process.chdir(process.env.FOLDER!);\nawait import(`./${process.env.START}`);\n",
  );
});

function start(file: string, folder: string) {
  const child = spawnChild(join(project, "start.ts"), { env: { START: file, FOLDER: folder } });
  onTestFinished(async () => void (await child.kill()));
  return child;
}

test(
  "a worker that is killed again and again counts to thirty, and no number twice",
  { timeout: 300_000 },
  async () => {
    const folder = await freshFolder();
    const counted: number[] = [];
    const read = (text: string) =>
      [...text.matchAll(/^counted (\d+)$/gm)].map(([, number]) => Number(number));
    for (const kills of [1, 2]) {
      const child = start("worker.ts", folder);
      await until(() => read(child.stdout).length >= 5 * kills, { deadline: 60_000 });
      await child.kill();
      counted.push(...read(child.stdout));
    }
    const last = start("worker.ts", folder);
    expect(await last.exited, last.stderr).toEqual({ code: 0, signal: null });
    counted.push(...read(last.stdout));
    expect(last.stdout).toMatch(/^completed$/m);
    // One that was committed and not said, because its process was killed between, is missing; none comes twice.
    expect(counted).toEqual([...new Set(counted)].toSorted((a, b) => a - b));
    expect(counted.at(-1)).toBe(30);
    expect(counted.length).toBeGreaterThanOrEqual(28);
  },
);

test("the other blocks print what they are said to print", async () => {
  for (const file of ["waiting.ts", "forking.ts"]) {
    const child = start(file, project);
    expect(await child.exited, child.stderr).toEqual({ code: 0, signal: null });
    const [, said] =
      new RegExp(`^node ${file}\n\`\`\`\n\n\`\`\`text\n([^]*?)^\`\`\`$`, "m").exec(README) ?? [];
    expect(steady(child.stdout)).toBe(steady(said!));
  }
});

/** Without what differs each time. */
function steady(text: string): string {
  return text.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>");
}
