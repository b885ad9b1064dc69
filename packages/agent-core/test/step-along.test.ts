// What is committed along with the result of a step, and steps that are begun once.

import { surql } from "@sentient/db-pool";
import { describe, expect, test } from "vitest";
import { defineWorkflow, NonRetryable, type AgentError } from "../src/index.ts";
import {
  dies,
  eventsOf,
  failureOf,
  fresh,
  freshDatabase,
  freshProcess,
  later,
  LEASE_MS,
  played,
  processOn,
  sentientOn,
} from "./support/fresh.ts";

const paid = (n: number) => surql`CREATE type::record("paid", ${n}) SET n = ${n}`;
const countPaid = surql<number>`array::len((SELECT VALUE id FROM paid))`;

describe("what a step writes and tells", () => {
  test.each([
    ["before", 0],
    ["after", 1],
  ] as const)("is there along with its result, where its process dies %s that", async (when, rows) => {
    const flow = defineWorkflow({
      name: "flow",
      run: (ctx) =>
        ctx.step("pay", (step) => {
          step.write(paid(1));
          step.emit("order.paid", { n: 1 });
          return "paid";
        }),
    });
    const first = await freshProcess({ workflows: [flow] });
    await first.db.query(surql`DEFINE TABLE paid`);
    const { id } = await first.sentient.start(flow);
    const { dead } = dies(first, { at: 1, when });
    void played(first);
    await dead;
    const told = async () => (await eventsOf(first.sentient, id)).filter(({ type }) => type === "order.paid");
    expect([await first.db.query(countPaid), (await told()).length]).toEqual([rows, rows]);
    const second = await processOn(first.db, first.clock, { workflows: [flow] });
    await later(second, LEASE_MS);
    expect(await second.sentient.handle(id).result()).toBe("paid");
    expect(await first.db.query(countPaid)).toBe(1);
    expect(await told()).toMatchObject([{ data: { n: 1 } }]);
  });

  test("is not where its attempt fails", async () => {
    const flow = defineWorkflow({
      name: "flow",
      retry: { delay: 0 },
      run: (ctx) =>
        ctx.step("pay", (step) => {
          step.write(paid(step.attempt));
          step.emit("order.paid", { n: step.attempt });
          if (step.attempt === 1) throw new Error("not yet");
          return step.attempt;
        }),
    });
    const db = await freshDatabase();
    const sentient = await sentientOn(db, { workflows: [flow] });
    await db.query(surql`DEFINE TABLE paid`);
    const handle = await sentient.start(flow);
    expect(await handle.result()).toBe(2);
    expect(await db.query(surql`SELECT VALUE n FROM paid`)).toEqual([2]);
    const own = (await eventsOf(sentient, handle.id)).filter(({ type }) => type === "order.paid");
    expect(own).toMatchObject([{ data: { n: 2 } }]);
  });

  test("fails the attempt where the database refuses it, and the run can catch that", async () => {
    const flow = defineWorkflow({
      name: "flow",
      run: async (ctx) => {
        const refused = await ctx
          .step("pay", (step) => step.write(surql`THROW "no money"`), { retry: { attempts: 1 } })
          .catch((error: AgentError) => error.code);
        return { refused, next: await ctx.step("next", () => "goes on") };
      },
    });
    const sentient = await fresh({ workflows: [flow] });
    expect(await sentient.execute(flow)).toEqual({ refused: "db.thrown", next: "goes on" });
  });
});

describe("a step that is begun once", () => {
  const flowOf = (work: () => unknown) =>
    defineWorkflow({
      name: "flow",
      run: async (ctx) => {
        const found = await ctx
          .step("charge", work, { once: true })
          .catch(({ code, message }: AgentError) => code ?? message);
        return { found, next: await ctx.step("next", () => "goes on") };
      },
    });

  test.each([
    ["before it has begun", { at: 1, when: "before" }, 1, "charged"],
    ["once it has begun", { at: 1, when: "after" }, 0, "agent.outcome_unknown"],
    ["before its result is remembered", { at: 2, when: "before" }, 1, "agent.outcome_unknown"],
    ["after its result is remembered", { at: 2, when: "after" }, 1, "charged"],
  ] as const)("is not begun again where its process dies %s", async (_, death, times, found) => {
    let charges = 0;
    const flow = flowOf(() => {
      charges++;
      return "charged";
    });
    const first = await freshProcess({ workflows: [flow] });
    const { id } = await first.sentient.start(flow);
    const { dead } = dies(first, death);
    void played(first);
    await dead;
    const second = await processOn(first.db, first.clock, { workflows: [flow] });
    await later(second, LEASE_MS);
    expect(await second.sentient.handle(id).result()).toEqual({ found, next: "goes on" });
    expect(charges).toBe(times);
  });

  test("is not tried again where it fails", async () => {
    let charges = 0;
    const flow = flowOf(() => {
      charges++;
      throw new Error("declined");
    });
    const sentient = await fresh({ workflows: [flow] });
    expect(await sentient.execute(flow)).toEqual({ found: "declined", next: "goes on" });
    expect(charges).toBe(1);
  });

  test("is tried again all the same where it undoes something", async () => {
    let undone = 0;
    const flow = defineWorkflow({
      name: "flow",
      run: async (ctx) => {
        ctx.compensate(
          "refund",
          () => {
            if (++undone === 1) throw new Error("not yet");
          },
          { once: true, retry: { attempts: 2, delay: 0 } },
        );
        await ctx.step("fail", () => {
          throw new NonRetryable("it cannot be");
        });
      },
    });
    const sentient = await fresh({ workflows: [flow] });
    expect(await failureOf(() => sentient.execute(flow))).toMatchObject({ message: "it cannot be" });
    expect(undone).toBe(2);
  });
});
