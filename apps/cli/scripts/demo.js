// The first command that somebody types in a fresh clone: installs what is missing, and then runs the demo.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));

/** pnpm keeps the lockfile that it has installed. */
function isInstalled() {
  const installed = join(root, "node_modules/.pnpm/lock.yaml");
  const here = join(root, "apps/cli/node_modules/@sentient/agent-core");
  return (
    existsSync(here) &&
    existsSync(installed) &&
    readText(installed) === readText(join(root, "pnpm-lock.yaml"))
  );
}

function readText(path) {
  return readFileSync(path, "utf8");
}

/** Ends as the command did. */
function run(command, args, options) {
  const { status, signal, error } = spawnSync(command, args, options);
  if (error) throw error;
  if (status !== 0) process.exit(status ?? (signal === "SIGINT" ? 130 : 1));
}

process.on("SIGINT", () => {}); // it goes to the child as well, which says how it ended
if (!isInstalled()) {
  process.stderr.write("installing what this repository needs; only the first time\n");
  run("pnpm", ["install", "--frozen-lockfile"], { cwd: root, stdio: ["ignore", 2, 2] });
}
const main = join(root, "apps/cli/src/main.ts");
run(process.execPath, [...process.execArgv, main, "demo", ...process.argv.slice(2)], {
  stdio: "inherit",
  cwd: process.env.INIT_CWD ?? process.cwd(),
});
