// On a terminal, as far as `script` gives one.

import { spawnSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { MAIN, NODE_FLAGS, project } from "./support/cli.ts";

const hasScript = process.platform === "linux" && spawnSync("script", ["--version"]).status === 0;

test.skipIf(!hasScript)(
  "on a terminal there are bars, and a person is asked and has the last word",
  async () => {
    const cwd = await project();
    await mkdir(join(cwd, "docs"));
    await writeFile(
      join(cwd, "docs/tea.md"),
      "# Tea\n\nBlack tea steeps for four minutes; longer makes it bitter.\n",
    );
    const command = [
      process.execPath,
      ...NODE_FLAGS,
      MAIN,
      "demo",
      "docs",
      "'how long does tea steep?'",
    ].join(" ");
    const { NO_COLOR: _, CI: __, ...env } = process.env;
    const terminal = spawn("script", ["-qec", command, "/dev/null"], {
      cwd,
      env: { ...env, TERM: "xterm-256color" },
    });
    let shown = "";
    let answered = false;
    terminal.stdout.setEncoding("utf8").on("data", (text: string) => {
      shown += text;
      if (answered || !shown.includes("[Y/n]")) return;
      answered = true;
      terminal.stdin.write("n\n");
    });
    const [code] = (await once(terminal, "close")) as [number];

    expect(code, shown).toBe(0);
    expect(shown).toContain("\u001B[?25l"); // the cursor is away while it draws
    expect(shown.lastIndexOf("\u001B[?25h")).toBeGreaterThan(shown.lastIndexOf("\u001B[?25l"));
    expect(shown).toContain("✔");
    expect(shown).toContain("not written, as you said");
  },
);
