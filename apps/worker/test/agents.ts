// What the workers of the tests serve: a task of several steps, each noted when it is done.

import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { defineAgent } from "@sentient/agent-core";

export const slow = defineAgent({
  name: "slow",
  run: async (ctx) => {
    for (let at = 0; at < 4; at++)
      await ctx.step("work", async ({ idempotencyKey }) => {
        await sleep(50);
        appendFileSync(process.env.WORKER_NOTES!, `${process.pid} ${idempotencyKey}\n`);
        return at;
      });
    return process.pid;
  },
});
