// What a block of shell would call. Bash itself reads it, with nothing to be found on its path: what it would have called is
// written down instead.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PRELUDE = String.raw`
exec 9>>.calls
PATH=/nowhere
# Those of a pipe are called beside each other, so each writes itself at once.
command_not_found_handle() { local call; printf -v call '%s\x1f' "$@"; printf '%s\x1e' "$call" >&9; }
for each in kill cd source; do eval "$each() { command_not_found_handle $each \"\$@\"; }"; done
`;

/**
 * The words of each command, in the order in which they are called.
 *
 * @param files that are there while it is read
 * @throws if bash cannot read it
 */
export function commandsOf(text: string, files: readonly string[] = []): string[][] {
  const cwd = mkdtempSync(join(tmpdir(), "sentient-shell-"));
  try {
    for (const file of files) writeFileSync(join(cwd, file), "");
    const env = { API: "http://127.0.0.1:4840", TOKEN: "token", RUN: "run", HOME: cwd };
    const { stderr } = spawnSync("/bin/bash", ["-c", `${PRELUDE}\n${text}\nwait`], {
      cwd,
      env,
      encoding: "utf8",
    });
    if (stderr !== "") throw new Error(stderr);
    const calls = readFileSync(join(cwd, ".calls"), "utf8").split("\x1e").slice(0, -1);
    return calls.map((call) => call.split("\x1f").slice(0, -1));
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
}
