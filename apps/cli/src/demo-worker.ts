// The worker of the demo as a process of its own, which may be killed at any moment.

import { createSentient } from "@sentient/agent-core";
import { openDatabase } from "@sentient/db-pool";
import { allAgents } from "./research/agents.ts";
import { Ledger } from "./research/ledger.ts";
import { modelFrom } from "./research/model.ts";
import { defineResearch } from "./research/workflow.ts";
import type { WorkerProcessOptions } from "./demo/crash.ts";

const { url, token, ledger, pace, lease, stays } = JSON.parse(
  process.env.SENTIENT_DEMO_WORKER!,
) as WorkerProcessOptions;
const db = await openDatabase({ url, token });
const within = async (step: string) => {
  if (!stays || !step.endsWith("/pick#1")) return;
  process.send?.({ within: step });
  await new Promise(() => {}); // it is killed here
};
const model = await modelFrom(process.env);
const { agents, research } = defineResearch({ db, model, ledger: new Ledger(ledger), pace, within });
const sentient = await createSentient({
  database: db,
  agents: allAgents(agents),
  workflows: [research],
  worker: false,
});
const worker = sentient.worker({ lease });
process.on("disconnect", () => process.exit(1)); // whoever started it is gone
process.once(
  "SIGTERM",
  () =>
    void sentient
      .close()
      .then(() => db.close())
      .then(() => process.disconnect?.()),
);
process.send?.({ worker: worker.id });
await worker.start();
