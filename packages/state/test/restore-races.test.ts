import { surql } from "@sentient/db-pool";
import { sabotage } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { createState, type Lease } from "../src/index.ts";
import { freshState, stateOn, type Fresh } from "./support/fresh.ts";
import { claimed, runThatIs, serves } from "./support/histories.ts";
import { withAppend } from "./support/runs.ts";

/** Many races of a restore against something else; each in a run of its own, from another process. */
async function race(
  fresh: Fresh,
  against: (other: Fresh, run: string) => Promise<unknown>,
  check: (run: string, won: { restore: boolean; other: boolean }) => Promise<void>,
): Promise<void> {
  const other = await stateOn(fresh.db);
  for (let i = 0; i < 8; i++) {
    const { run } = await fresh.state.start({ name: "write", id: `r${i}` });
    const lease = await claimed(fresh);
    await fresh.state.commit(lease, { state: { seen: 1 }, checkpoint: { name: "fetched" } });
    await fresh.state.commit(lease, { state: { seen: 2 }, end: { release: true } });
    const [restored, done] = await Promise.allSettled([
      fresh.state.restore(run.id, { checkpoint: "fetched" }),
      against(other, run.id),
    ]);
    await check(run.id, { restore: restored.status === "fulfilled", other: done.status === "fulfilled" });
  }
}

describe("a race of a restore", () => {
  test("with a claim has an order: the worker sees the run as it is after it, or it is refused", async () => {
    const fresh = await freshState();
    await race(
      fresh,
      async (other, run) => {
        const [lease] = await other.state.claim({ worker: "w2", serves });
        if (!lease) return;
        const { state } = { state: await other.state.stateAt(run) };
        await other.state.commit(lease, {
          state: { ...(state as object), by: "w2" },
          end: { complete: null },
        });
      },
      async (id, { restore }) => {
        const run = await fresh.state.load(id);
        if (run.status === "queued") {
          expect(restore).toBe(true);
          await fresh.state.cancel(id);
          return;
        }
        expect(run.status).toBe("completed");
        expect(await fresh.state.stateAt(id)).toEqual({ seen: restore ? 1 : 2, by: "w2" });
      },
    );
  });

  test("with a signal loses neither", async () => {
    const fresh = await freshState();
    await race(
      fresh,
      (other, run) => other.state.signal(run, "go", 1),
      async (id, won) => {
        expect(won).toEqual({ restore: true, other: true });
        const free = await fresh.db.query(
          surql<unknown[]>`SELECT VALUE name FROM signal WHERE untaken = ${`${id}/go`}`,
        );
        expect(free).toEqual(["go"]);
        expect(await fresh.state.stateAt(id)).toEqual({ seen: 1 });
        await fresh.state.cancel(id);
      },
    );
  });

  test("with a cancel ends cancelled", async () => {
    const fresh = await freshState();
    await race(
      fresh,
      (other, run) => other.state.cancel(run),
      async (id, { other }) => {
        expect(other).toBe(true);
        expect((await fresh.state.load(id)).status).toBe("cancelled");
      },
    );
  });

  test("with another restore, and with a checkpoint, leaves a history that can be told", async () => {
    const fresh = await freshState();
    await race(
      fresh,
      (other, run) =>
        Promise.all([other.state.restore(run, { n: 1 }), other.state.checkpoints.create(run, "late")]),
      async (id, won) => {
        expect(won.other).toBe(true);
        const { restores } = await fresh.state.load(id);
        expect(restores!.length).toBe(won.restore ? 2 : 1);
        const { stateHash, n } = await fresh.state.checkpoints.get(id, "late");
        const { run } = await fresh.state.fork(id, { n });
        expect((await fresh.state.checkpoints.create(run.id, "same")).stateHash).toBe(stateHash);
        await fresh.state.cancel(run.id);
        await fresh.state.cancel(id);
      },
    );
  });

  test("control: without the run's revision a restore overruns the claim of a worker", async () => {
    const fresh = await freshState();
    const { id } = await runThatIs("queued", fresh);
    let held: Lease | undefined;
    const append: Fresh["bus"]["log"]["append"] = async (entry, options) => {
      held ??= await claimed(fresh, "queued"); // between the look and the commit
      const statements = typeof entry.statements === "function" ? entry.statements : () => [];
      return fresh.bus.log.append(
        {
          ...entry,
          statements: (placed, at) => statements(placed, at).map((one) => withoutRevision(one, id)),
        },
        options,
      );
    };
    const bus = withAppend(fresh.bus, append);
    const careless = createState(fresh.db, bus);
    await sabotage("restore without the revision", async () => {
      await careless.restore(id, { checkpoint: "fetched" });
      await fresh.state.commit(held!, { state: { by: "w2" } });
    });
    expect(held).toBeDefined();
    expect((await fresh.state.load(id)).status).toBe("queued");
  });
});

/** The row of the run is written whatever it is by now. */
function withoutRevision(statement: ReturnType<typeof surql>, run: string) {
  const bindings: Record<string, unknown> = {};
  const { text } = statement.render(bindings);
  if (!text.includes("WHERE revision =")) return statement;
  const row = Object.values(bindings).find(
    (value) => typeof value === "object" && value !== null && "seek" in value,
  );
  return surql`UPDATE type::record("run", ${run}) CONTENT ${row} RETURN NONE`;
}
