// A command within this process: for what is over before a process of its own would have begun.

import { vi } from "vitest";
import { cli } from "../../src/cli.ts";
import type { Ended } from "./cli.ts";

/** One at a time: it is this process whose output is taken. */
export async function inside(args: readonly string[]): Promise<Ended> {
  const said = { stdout: "", stderr: "" };
  const before = process.exitCode;
  const taken = (["stdout", "stderr"] as const).map((name) =>
    vi.spyOn(process[name], "write").mockImplementation((text) => {
      said[name] += String(text);
      return true;
    }),
  );
  try {
    process.exitCode = 0;
    const status = await cli(args);
    return { ...said, code: status ?? process.exitCode, signal: null };
  } finally {
    for (const each of taken) each.mockRestore();
    process.exitCode = before;
  }
}
