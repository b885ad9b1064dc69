// Measures what the first minutes take, and writes it into docs/getting-started.md: from the command to the first event and to
// the report, on a machine that has nothing yet, on one that has the packages, and the second time.
//
//   pnpm --filter @sentient/docs measure

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, homedir, loadavg, release, tmpdir, type as systemName } from "node:os";
import { join } from "node:path";
import { table } from "./markdown.ts";
import { ROOT } from "./pages.ts";

/** Where the Node of the system is, and not the one that runs this. */
const PATH = "/usr/local/bin:/usr/bin:/bin";
const COMMAND = ["run", "demo", "--", "--yes"];
const PAGE = join(ROOT, "docs/getting-started.md");

interface Measured {
  firstEvent: number;
  report: number;
}

/** An environment in which nothing was downloaded yet: npm's cache, and pnpm's store. */
function emptyHome(folder: string): NodeJS.ProcessEnv {
  const made = (name: string) => {
    const path = join(folder, name);
    mkdirSync(path, { recursive: true });
    return path;
  };
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|pnpm_|INIT_CWD|NODE_|SENTIENT_)/i.test(name),
  );
  return {
    ...Object.fromEntries(kept),
    PATH,
    HOME: made("home"),
    XDG_DATA_HOME: made("data"),
    XDG_CACHE_HOME: made("cache"),
    XDG_STATE_HOME: made("state"),
    npm_config_cache: made("npm"),
    npm_config_userconfig: join(homedir(), ".npmrc"),
    NO_COLOR: "1",
  };
}

function clone(to: string): string {
  execFileSync("git", ["clone", "--quiet", "--no-hardlinks", ROOT, to]);
  return to;
}

/** @throws if the demo fails, or writes no report */
async function measure(cwd: string, env: NodeJS.ProcessEnv): Promise<Measured> {
  const began = performance.now();
  const child = spawn("npm", COMMAND, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  let firstEvent: number | undefined;
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (data: Buffer) => {
      said += data.toString();
      if (/^#\d+ /m.test(said)) firstEvent ??= performance.now() - began;
    });
  const [status] = (await once(child, "close")) as [number | null];
  const report = performance.now() - began;
  const file = /^\s*report\s+(\S+\.md)/m.exec(said)?.[1];
  if (status !== 0 || firstEvent === undefined || !file || !existsSync(join(cwd, file)))
    throw new Error(`the demo ended with ${status}, and said:\n${said}`);
  return { firstEvent, report };
}

const seconds = (ms: number) => (ms / 1_000).toFixed(1);

async function main(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "sentient-first-minutes-"));
  try {
    const env = emptyHome(folder);
    const first = clone(join(folder, "first"));
    const rows: [about: string, measured: Measured][] = [
      ["nothing is there: no cache of npm, a fresh clone", await measure(first, env)],
      [
        "the packages are in the cache, another fresh clone",
        await measure(clone(join(folder, "second")), env),
      ],
      ["the second time in a clone", await measure(first, env)],
    ];
    return written(rows, env);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function written(rows: readonly [string, Measured][], env: NodeJS.ProcessEnv): string {
  const said = (command: string, args: readonly string[]) =>
    execFileSync(command, args, { cwd: ROOT, env, encoding: "utf8" }).trim();
  const [load] = loadavg();
  const day = new Date().toISOString().slice(0, 10);
  const machine = `${availableParallelism()} cores, ${systemName()} ${release()}, Node ${said("node", ["--version"])} of the system`;
  return [
    table(
      [
        "`npm run demo -- --yes`, in a clone",
        "Commands",
        "Seconds to the first event",
        "Seconds to the report",
      ],
      rows.map(([about, { firstEvent, report }]) => [about, "1", seconds(firstEvent), seconds(report)]),
    ),
    `Measured on ${day} at commit ${said("git", ["rev-parse", "--short", "HEAD"])}: ${machine}, load ${load!.toFixed(1)} at the end. The first row depends on the line: it downloads Node, pnpm, the engine and what the repository is built with. Measure it yourself: \`pnpm --filter @sentient/docs measure\`.`,
  ].join("\n\n");
}

const MARKED = /(<!-- measured[^>]*-->)[^]*?(<!-- \/measured -->)/;
const text = await main();
writeFileSync(
  PAGE,
  readFileSync(PAGE, "utf8").replace(MARKED, (_, from: string, to: string) => `${from}\n\n${text}\n\n${to}`),
);
execFileSync("pnpm", ["exec", "oxfmt", PAGE], { cwd: ROOT });
process.stdout.write(`${text}\n`);
