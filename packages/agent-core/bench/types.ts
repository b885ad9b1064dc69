// Types: what agents cost whoever edits them, in the compiler's time on a processor, over a file of fifty beside that over a file of one. Each has
// an input, an output, a state, signals, steps, a question, branches, and calls the one before.

import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BenchRow } from "@sentient/testkit";
import { rowOf } from "./support.ts";

const AGENTS = 50;
const ROUNDS = 3;
const home = fileURLToPath(new URL("types-project/", import.meta.url));
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");

export async function types(): Promise<BenchRow[]> {
  const times: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const [one, many] = [check(1), check(AGENTS)];
    if (round > 0) times.push(many - one);
  }
  const goal = { text: "≤ 2,000 ms", met: ({ median }: BenchRow) => median <= 2_000 };
  return [rowOf(`type-check of ${AGENTS} agents, beside one`, "ms", times, goal)];
}

/** @returns milliseconds of a processor, which do not depend on what else the machine does */
function check(count: number): number {
  mkdirSync(home, { recursive: true });
  try {
    writeFileSync(join(home, "agents.ts"), agents(count));
    writeFileSync(
      join(home, "tsconfig.json"),
      JSON.stringify({ extends: "../../tsconfig.json", include: ["."] }),
    );
    const timed = 'TIMEFORMAT=%U; time "$@"';
    const command = ["-c", timed, "bash", process.execPath, tsc, "--noEmit", "-p", home];
    const { status, stdout, stderr } = spawnSync("bash", command, { encoding: "utf8" });
    if (status !== 0) throw new Error(`the compiler refuses what is to be measured: ${stdout}${stderr}`);
    return Number(stderr.trim()) * 1_000;
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

function agents(count: number): string {
  const each = Array.from({ length: count }, (_, i) => agent(i));
  return `import { z } from "zod";\nimport { defineAgent } from "../../src/index.ts";\n${each.join("\n")}`;
}

function agent(i: number): string {
  const call = `await ctx.call(agent${i - 1}, { id: input.id, count: input.items.length })`;
  return `
export const agent${i} = defineAgent({
  name: "agent${i}",
  input: z.object({ id: z.string(), count: z.number(), items: z.array(z.string()).default([]) }),
  output: z.object({ total: z.number(), by: z.string().optional() }),
  state: z.object({ seen: z.array(z.string()).default([]), n${i}: z.number().default(0) }),
  signals: { paid: z.object({ cents: z.number() }) },
  run: async (ctx, input) => {
    const before = ${i === 0 ? "{ total: 0 }" : call};
    const [first] = await ctx.map(input.items, (c, item) => c.step("item", () => ({ item, length: item.length })));
    const { cents } = await ctx.waitFor("paid");
    const { a, b } = await ctx.all({ a: (c) => c.step("a", () => ({ cents })), b: (c) => c.step("b", () => "b") });
    const raced = await ctx.race({ ask: (c) => c.ask("ok", { schema: z.boolean() }), time: (c) => c.sleep(1_000) });
    ctx.state.n${i} += a.cents + b.length + (first?.length ?? 0) + before.total;
    return { total: ctx.state.n${i}, ...(raced.winner === "ask" ? { by: String(raced.value.value) } : {}) };
  },
});`;
}
