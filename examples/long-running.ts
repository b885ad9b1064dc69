// Long-running. A run reads a book of eight chapters. Its process is killed in the middle, with SIGKILL; another one goes on
// with the chapter that was open, once the lease of the first has run out. What was read is not read again.
//
//   npm run example long-running
//
// prints
//
//   chapter 1
//   chapter 2
//   chapter 3
//   chapter 4
//   the process was killed by SIGKILL; another one goes on
//   chapter 4
//   chapter 5
//   chapter 6
//   chapter 7
//   chapter 8
//   read 8 chapters; checkpoints after 2, 4, 6, 8

import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSentient, defineAgent } from "@sentient/agent-core";
import { z } from "zod";

const isFirst = process.env.FOLDER !== undefined;
const folder = process.env.FOLDER ?? (await mkdtemp(join(tmpdir(), "sentient-example-")));

const reader = defineAgent({
  name: "reader",
  input: z.object({ chapters: z.number() }),
  output: z.number(),
  state: z.object({ read: z.number().default(0) }),
  run: async (ctx, { chapters }) => {
    for (let chapter = 1; chapter <= chapters; chapter++) {
      await ctx.step("read", () => {
        console.log(`chapter ${chapter}`);
        if (isFirst && chapter === 4) process.kill(process.pid, "SIGKILL");
        ctx.state.read = chapter;
      });
      if (chapter % 2 === 0) await ctx.checkpoint(`after-${chapter}`);
    }
    return ctx.state.read;
  },
});

if (!isFirst) {
  const again = ["--conditions=@sentient/source", import.meta.filename];
  const { signal } = spawnSync(process.execPath, again, {
    env: { ...process.env, FOLDER: folder },
    stdio: "inherit",
  });
  console.log(`the process was killed by ${signal}; another one goes on`);
}

const sentient = await createSentient({
  url: `rocksdb://${folder}`,
  agents: [reader],
  worker: { lease: 1_000 },
});
const handle = await sentient.start(reader, { chapters: 8 }, { key: "the book" }); // the same run, whoever says it
const read = await handle.result();
const { checkpoints } = await sentient.checkpoints.list(handle.id);
const after = checkpoints.map(({ name }) => name.replace("after-", ""));
console.log(`read ${read} chapters; checkpoints after ${after.toSorted().join(", ")}`);
await sentient.close();
await rm(folder, { recursive: true, force: true });
