// The commands there are, in the order in which the help lists them.

import type { Command } from "commander";
import { agentsCommand } from "./agents/index.ts";
import { auditCommand } from "./audit.ts";
import { backupCommand, restoreCommand } from "./backup.ts";
import { checkpointsCommand } from "./checkpoints.ts";
import { configCommand } from "./config.ts";
import { consumersCommand } from "./consumers/index.ts";
import { demoCommand } from "./demo.ts";
import { devCommand } from "./dev.ts";
import { doctorCommand } from "./doctor.ts";
import { eventsCommand } from "./events/index.ts";
import { initCommand } from "./init.ts";
import { mcpCommand } from "./mcp.ts";
import { migrateCommand } from "./migrate.ts";
import { questionsCommand } from "./questions/index.ts";
import { runCommand } from "./run.ts";
import { runsCommand } from "./runs/index.ts";
import { schedulesCommand } from "./schedules/index.ts";
import { serveCommand } from "./serve.ts";
import { stateCommand } from "./state/index.ts";
import { testCommand } from "./test.ts";
import { tokensCommand } from "./tokens.ts";

export const commands: readonly (readonly [heading: string, commands: readonly Command[]])[] = [
  ["To begin:", [demoCommand, initCommand, devCommand, testCommand]],
  ["Runs:", [runCommand, runsCommand, questionsCommand, checkpointsCommand, stateCommand]],
  ["What happens:", [eventsCommand, consumersCommand]],
  ["Who does it, and when:", [agentsCommand, schedulesCommand, mcpCommand]],
  [
    "The database:",
    [
      serveCommand,
      migrateCommand,
      doctorCommand,
      backupCommand,
      restoreCommand,
      configCommand,
      tokensCommand,
      auditCommand,
    ],
  ],
];
