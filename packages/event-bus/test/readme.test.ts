// The README, run as a stranger would run it: the two processes with either of them killed, and the other blocks.

import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openDatabase, surql } from "@sentient/db-pool";
import { freePort, sabotage, spawnChild, until, type Child } from "@sentient/testkit";
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
  for (const name of ["db-pool", "schema", "event-bus"])
    await symlink(join(packages, name), join(project, "node_modules", "@sentient", name));
  for (const [file, text] of blocks) await writeFile(join(project, file), text);
  await writeFile(join(project, "package.json"), `{ "type": "module" }`);
  await writeFile(
    join(project, "start.ts"),
    "process.chdir(process.env.FOLDER!);\nawait import(`./${process.env.START}`);\n",
  );
});

/** The two processes, each in a terminal of its own, in one folder. */
async function terminals(follow: string) {
  const folder = await freshFolder();
  const env = { PORT: String(await freePort()), TOKEN: "a-token-of-a-test-and-long-enough-for-it" };
  const started: Child[] = [];
  const start = (file: string) => {
    const child = spawnChild(join(project, "start.ts"), { env: { ...env, START: file, FOLDER: folder } });
    started.push(child);
    onTestFinished(async () => void (await child.kill()));
    return child;
  };
  /** Each number once, in the order in which it was first heard of. */
  const heard = () => [
    ...new Set(
      started.flatMap(({ stdout }) =>
        [...stdout.matchAll(/^heard (\d+)$/gm)].map(([, number]) => Number(number)),
      ),
    ),
  ];
  const reaches = (count: number) =>
    until(() => heard().length >= count, { deadline: 120_000, what: `${count} numbers` });
  const sum = async () => {
    await using db = await openDatabase({ url: `ws://127.0.0.1:${env.PORT}`, token: env.TOKEN });
    return db.query(surql<{ total: number; count: number }>`SELECT * FROM ONLY sum:all`);
  };
  return { publish: () => start("publish.ts"), follow: () => start(follow), heard, reaches, sum };
}

type Terminals = Awaited<ReturnType<typeof terminals>>;

async function requireAddedUp(file: string, kill: (terminals: Terminals) => Promise<void>): Promise<void> {
  const both = await terminals(file);
  await kill(both);
  const { total, count } = await both.sum();
  expect(total).toBe((count * (count + 1)) / 2);
  expect(both.heard()).toEqual(both.heard().map((_, i) => i + 1));
}

test(
  "two processes: kill either, start it again, and nothing is lost or added twice",
  { timeout: 300_000 },
  async () => {
    await requireAddedUp("follow.ts", async ({ publish, follow, reaches }) => {
      const publisher = publish();
      await until(() => publisher.stdout.includes("told 1\n"), {
        deadline: 60_000,
        what: "the first number",
      });
      const follower = follow();
      await reaches(10);
      await follower.kill();
      const second = follow();
      await reaches(30);
      await publisher.kill();
      publish();
      await reaches(60);
      await second.kill();
    });
  },
);

test(
  "control: with the sum and the place in transactions of their own it does not add up",
  { timeout: 300_000 },
  async () => {
    const once = `await db.query(add);
  if (event.data === 5 && (await bus.history({ types: "it.died" })).events.length === 0) {
    await bus.publish({ type: "it.died" });
    process.kill(process.pid, "SIGKILL");
  }`;
    await writeFile(
      join(project, "apart.ts"),
      blocks.get("follow.ts")!.replace("await commit([add]);", once),
    );
    await sabotage("no commit", () =>
      requireAddedUp("apart.ts", async ({ publish, follow, reaches }) => {
        const publisher = publish();
        await until(() => publisher.stdout.includes("told 1\n"), {
          deadline: 60_000,
          what: "the first number",
        });
        await follow().exited;
        const second = follow();
        await reaches(10);
        await second.kill();
      }),
    );
  },
);

test("the other blocks print what they are said to print", async () => {
  for (const file of ["tell.ts", "outbox.ts"]) {
    const child = spawnChild(join(project, "start.ts"), { env: { START: file, FOLDER: project } });
    expect(await child.exited, child.stderr).toEqual({ code: 0, signal: null });
    const [, said] =
      new RegExp(`^node ${file}\n\`\`\`\n\n\`\`\`text\n([^]*?)^\`\`\`$`, "m").exec(README) ?? [];
    expect(steady(child.stdout)).toBe(steady(said!));
  }
});

test("each error it can throw is in the table, and no other", async () => {
  const source = await readFile(new URL("../src/errors.ts", import.meta.url), "utf8");
  const codes = (text: string) =>
    [...new Set(text.match(/event_bus\.[a-z]+(?:_[a-z]+)+|event_bus\.[a-z]+/g))].sort();
  const table = README.slice(README.indexOf("| Code "), README.indexOf("## What it does not do"));
  expect(codes(table)).toEqual(codes(source.slice(0, source.indexOf("interface EventBusErrorInit"))));
});

/** What is another one each time. */
function steady(text: string): string {
  return text.replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, "<when>").trimEnd();
}
