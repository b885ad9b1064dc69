// What workers in other processes do in tests, and whoever asks them to.

import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { EffectLedger, until } from "@sentient/testkit";
import { z } from "zod";
import { defineAgent, defineWorkflow, type Definition, type StepContext } from "../../src/index.ts";
import type { Note, WorkOrders } from "./work-orders.ts";

export type Jobs = ReturnType<typeof jobsOf>;

/** @param tell hears what a test waits for */
export function jobsOf(
  { ledger, gate, blocks }: Pick<WorkOrders, "ledger" | "gate" | "blocks">,
  tell: (message: object) => void = () => {},
) {
  const notes = new EffectLedger<Note>(ledger);
  const note = ({ idempotencyKey }: StepContext) => {
    const at = idempotencyKey.indexOf("/");
    notes.record({ run: idempotencyKey.slice(0, at), key: idempotencyKey.slice(at + 1), at: Date.now() });
  };
  const isOpen = () => existsSync(gate);

  /** Steps that take a while; gives what they sum up to. */
  const count = defineWorkflow({
    name: "count",
    input: z.object({ steps: z.int(), pause: z.int().default(0) }),
    output: z.number(),
    state: z.object({ sum: z.number().default(0) }),
    run: async (ctx, { steps, pause }) => {
      for (let i = 0; i < steps; i++) {
        const n = await ctx.step(`s${i}`, async (step) => {
          note(step);
          await sleep(pause);
          return i;
        });
        ctx.state.sum += n;
      }
      return ctx.state.sum;
    },
  });

  const nobody = new Int32Array(new SharedArrayBuffer(4));

  /** Where it is told to block, it lets nothing else of its process happen until the gate is open: in a step, or beside them. */
  const block = defineAgent({
    name: "block",
    input: z.object({ where: z.enum(["in a step", "between steps"]) }),
    run: async (ctx, { where }) => {
      const stand = () => {
        if (!blocks) return;
        tell({ blocking: ctx.run.id });
        while (!isOpen()) Atomics.wait(nobody, 0, 0, 20);
      };
      await ctx.step("first", note);
      if (where === "between steps") {
        stand();
        ctx.progress(1); // is told soon, on its own
        if (blocks) await new Promise<never>(() => {}); // it does nothing more until it hears that its run is lost
      }
      await ctx.step("block", (step) => {
        note(step);
        if (where === "in a step") stand();
      });
      await ctx.step("after", note);
    },
  });

  /** Ends its process, unless the gate is open. */
  const deadly = defineAgent({
    name: "deadly",
    run: async (ctx) => {
      await ctx.step("die", async (step) => {
        note(step);
        await sleep(20);
        if (!isOpen()) process.kill(process.pid, "SIGKILL");
      });
    },
  });

  /** A step that goes on until the gate is open, or its signal aborts. */
  const hold = defineAgent({
    name: "hold",
    run: async (ctx) => {
      await ctx.step("hold", async (step) => {
        note(step);
        tell({ holding: ctx.run.id });
        await until(() => isOpen() || step.signal.aborted, { deadline: 600_000, every: 20 });
        step.signal.throwIfAborted();
      });
      await ctx.step("after", note);
      return "held";
    },
  });

  /** Sleeps, and notes when it was woken. */
  const wake = defineAgent({
    name: "wake",
    input: z.object({ ms: z.int() }),
    run: async (ctx, { ms }) => {
      await ctx.sleep(ms);
      await ctx.step("woken", note);
    },
  });

  const all: Definition[] = [count, block, deadly, hold, wake] as never;
  return { count, block, deadly, hold, wake, all };
}
