// L1 and L2 of the pool, whatever happens in whatever order.

import { setImmediate as turn } from "node:timers/promises";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { DbError } from "../src/index.ts";
import type { Lease } from "../src/pool.ts";
import { type HandMadeWire, handMadePool } from "./support/hand-made-pool.ts";

const SIZE = 3;

/** What the pool was told and has told, from outside. */
interface Model {
  held: Lease[];
  failed: string[];
  waiting: number;
  closed: boolean;
}
type Real = ReturnType<typeof handMadePool>;
type Command = fc.AsyncCommand<Model, Real>;

const wireOf = (lease: Lease) => lease.wire as HandMadeWire;

/** L1: who holds a connection holds it alone. L2: never more than SIZE. */
function check({ held, waiting }: Model, { pool, server }: Real): void {
  const { idle, lent, opening, waiting: queued } = pool.stats;
  expect(idle + lent + opening).toBeLessThanOrEqual(SIZE);
  expect(server.living.length).toBeLessThanOrEqual(SIZE);
  expect(queued).toBeLessThanOrEqual(waiting);
  const wires = held.map(({ wire }) => wire);
  expect(new Set(wires).size).toBe(wires.length);
}

/** Once everything has come to rest, what the pool says is what there is. */
function checkAtRest(model: Model, real: Real): void {
  check(model, real);
  const living = model.held.filter((lease) => wireOf(lease).alive).length;
  expect(real.pool.stats).toMatchObject({ lent: living, idle: real.server.living.length - living });
  expect(real.pool.stats.waiting).toBe(model.waiting);
}

/** A step, watched at each of the moments in which promises settle one another. */
function command(
  name: string,
  run: (model: Model, real: Real) => unknown,
  can: (model: Model) => boolean = () => true,
): Command {
  return {
    check: can,
    toString: () => name,
    async run(model, real) {
      const work = run(model, real);
      for (let hop = 0; hop < 15; hop++) {
        check(model, real);
        await Promise.resolve();
      }
      await work;
      await turn();
      checkAtRest(model, real);
    },
  };
}

function acquire(model: Model, real: Real): void {
  model.waiting++;
  real
    .acquire()
    .then(
      (lease) => model.held.push(lease),
      (error: DbError) => model.failed.push(error.code),
    )
    .finally(() => model.waiting--);
}

function take(model: Model, which: number): Lease {
  return model.held.splice(which % model.held.length, 1)[0]!;
}

const holds = ({ held }: Model) => held.length > 0;
const which = fc.nat({ max: SIZE - 1 });

const commands = fc.commands(
  [
    fc.constant(command("acquire", acquire)),
    fc.constant(command("acquire", acquire)),
    which.map((n) => command(`release ${n}`, (model) => take(model, n).release(), holds)),
    which.map((n) => command(`discard ${n}`, (model) => take(model, n).discard(), holds)),
    which.map((n) =>
      command(
        `release ${n} and acquire`,
        (model, real) => (take(model, n).release(), acquire(model, real)),
        holds,
      ),
    ),
    which.map((n) =>
      command(`lose ${n}`, (_model, { server }) => server.living[n % server.living.length]?.lose()),
    ),
    which.map((n) =>
      command(`lose ${n} while held`, (model) => wireOf(model.held[n % model.held.length]!).lose(), holds),
    ),
    fc
      .constantFrom("open", "refuses", "keeps waiting")
      .map((mode) =>
        command(`the server ${mode}`, (_model, { server }) => void (server.mode = mode as "open")),
      ),
    fc.constant(command("let in", (_model, { server }) => server.door.shift()?.letIn())),
    fc.constant(command("turn away", (_model, { server }) => server.door.shift()?.turnAway())),
    fc
      .constantFrom(1, 100, 5_000, 10_000)
      .map((ms) => command(`${ms} ms pass`, (_model, { clock }) => clock.advance(ms))),
    fc.constant(
      command(
        "close",
        (model, { pool }) => {
          model.closed = true;
          void pool.close(1_000);
        },
        ({ closed }) => !closed,
      ),
    ),
  ],
  { maxCommands: 40 },
);

test("a connection is with one holder, and there are never more than poolSize", async () => {
  const property = fc.asyncProperty(commands, async (script) => {
    const real = handMadePool({ poolSize: SIZE, poolMin: 1, maxWaiters: 4, acquireTimeout: 8_000 });
    const model: Model = { held: [], failed: [], waiting: 0, closed: false };
    await real.pool.start();
    await fc.asyncModelRun(() => ({ model, real }), script);
    await atTheEnd(model, real);
  });
  await expect(fc.assert(property, { numRuns: 400 })).resolves.toBeUndefined();
});

/** Whatever happened: every call is answered, and closing leaves nothing. */
async function atTheEnd(model: Model, { pool, server, clock }: Real): Promise<void> {
  const closing = pool.close(1_000);
  for (const lease of model.held) lease.release();
  for (const waiting of server.door) waiting.letIn();
  await closing;
  await turn();
  expect(model.waiting).toBe(0);
  expect(new Set(["db.pool_timeout", "db.pool_full", "db.closed", ...model.failed]).size).toBe(3);
  expect(server.living).toEqual([]);
  expect(pool.stats).toEqual({ idle: 0, lent: 0, opening: 0, waiting: 0 });
  expect(clock.pending).toBe(0);
}
