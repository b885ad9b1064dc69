#!/usr/bin/env node
// Owns: how the process ends. Every database is closed before, and it ends by itself: nothing that was written is cut off.

import { Console } from "node:console";
import { cli } from "./cli.ts";

/** Nobody reads on; what was begun is still brought to its end. */
function ignoreBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
}

globalThis.console = new Console(process.stderr); // for what modules of agents print
for (const stream of [process.stdout, process.stderr]) stream.on("error", ignoreBrokenPipe);
const status = await cli(process.argv.slice(2));
if (status !== undefined) process.exitCode = status;
