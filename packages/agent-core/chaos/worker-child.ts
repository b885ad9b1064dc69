// A worker of a chaos run, in a process of its own, until it is killed or asked to stop.

import { setClock } from "./wrong-clock.ts"; // before anybody has seen the right one
import { readFileSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { openDatabase } from "@sentient/db-pool";
import { EffectLedger } from "@sentient/testkit";
import { createSentient } from "../src/index.ts";
import { hastyOn } from "../test/support/hasty.ts";
import { takeFenceDown } from "../test/support/unfenced.ts";
import type { Orders } from "./orders.ts";
import { trueNow, worksOf } from "./work.ts";

const {
  connection,
  worker: options,
  ledger,
  lane,
  clock,
  sabotage,
} = JSON.parse(process.env.WORK!) as Orders;
const tell = (message: object) => console.log(JSON.stringify(message));

process.on("SIGUSR2", () => setClock(Number(readFileSync(clock, "utf8"))));

const db = await openDatabase(connection);
const warn = ({ error }: { error?: { code?: string } }, log: string) =>
  tell({ log: error?.code === undefined ? log : `${log} (${error.code})`, at: trueNow() });
const { all } = worksOf(new EffectLedger(ledger), lane);
const sentient = await createSentient({
  database: sabotage === "answers" ? hastyOn(db) : db,
  agents: all,
  worker: false,
  logger: { debug() {}, info() {}, warn, error: warn },
});
if (sabotage === "fence") takeFenceDown(sentient);
const worker = sentient.worker({ id: `w-${process.pid}`, ...options });

async function end(): Promise<void> {
  await worker.stop();
  await sentient.close();
  await db.close({ deadline: 500 });
}
process.on("SIGTERM", () => void end());

await worker.start();
tell({ ready: true });
flushCompileCache(); // it may be killed before it does so by itself
