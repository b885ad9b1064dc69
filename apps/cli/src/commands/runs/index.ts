import { defineGroup } from "../../command.ts";
import { forkRun, restoreRun } from "./back.ts";
import { exportRun, importRuns } from "./carry.ts";
import { cancelRun, pauseRun, resumeRun } from "./control.ts";
import { listRuns } from "./list.ts";
import { showRun } from "./show.ts";
import { signalRun } from "./signal.ts";
import { whyRun } from "./why.ts";

export const runsCommand = defineGroup("runs", "list, look at and steer runs", [
  listRuns,
  showRun,
  whyRun,
  cancelRun,
  pauseRun,
  resumeRun,
  signalRun,
  restoreRun,
  forkRun,
  exportRun,
  importRuns,
]);
