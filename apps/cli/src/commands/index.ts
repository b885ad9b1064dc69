// The commands there are, in the order in which the help lists them.

import type { Command } from "commander";
import { demoCommand } from "./demo.ts";

export const commands: readonly Command[] = [demoCommand];
