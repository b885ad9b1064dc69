// Whether what was really done agrees with what is remembered: nothing is remembered that was not done, and what was done more
// than once was struck by something in between.

import type { Finding } from "./findings.ts";
import type { Seen } from "./check-runs.ts";
import type { Struck } from "./strike.ts";
import { expectedOf, Input, type Kind, type Note } from "./work.ts";

/** How long whoever was cut off may take until it has a connection again, in milliseconds. */
const BACK_MS = 3_000;
/** The clocks of processes and of the database agree within so much. */
const EARLY_MS = 100;

export function* checkEffects(
  effects: readonly Note[],
  seen: readonly Seen[],
  struck: readonly Struck[],
  lease: number,
): Generator<Finding> {
  const done = Map.groupBy(effects, ({ run, key }) => `${run} ${key}`);
  for (const { run, journal } of seen) {
    const input = Input.catch({ many: 0, pause: 0, fails: false }).parse(run.input);
    const { steps } = expectedOf(run.name as Kind, input);
    for (const key of steps)
      if (journal.get(key)?.status === "completed" && !done.has(`${run.id} ${key}`))
        yield { wrong: "lost", text: `${run.id}: ${key} is remembered, and was never done` };
    yield* checkEarly(run, input, done);
  }
  for (const [what, notes] of done)
    for (const [attempt, again] of Map.groupBy(notes, (note) => note.attempt)) {
      const faults = struck.filter((fault) => isBetween(again, fault, lease)).length;
      if (again.length > 1 + faults)
        yield {
          wrong: "doubled",
          text: `${what}: attempt ${attempt} was done ${again.length} times, and struck ${faults} times; ${timesOf(again)}`,
        };
    }
}

const timesOf = (again: readonly Note[]): string =>
  again.map(({ lane, at }) => `on lane ${lane} at ${new Date(at).toISOString()}`).join(", ");

/** Whether it has struck one of those who did it, before it was done again. What was over may take a lease to show, from when its worker is back. */
function isBetween(again: readonly Note[], { lane, from, to }: Struck, lease: number): boolean {
  return again
    .slice(1)
    .some(
      ({ at }, i) =>
        (lane ?? again[i]!.lane) === again[i]!.lane && from <= at && to >= again[i]!.at - lease - BACK_MS,
    );
}

/** Who slept did so at least as long as it was to. */
function* checkEarly(
  run: Seen["run"],
  { many, pause }: Input,
  done: Map<string, Note[]>,
): Generator<Finding> {
  if (run.name !== "nap") return;
  for (let i = 1; i <= many; i++) {
    const [down] = done.get(`${run.id} main/lie-down#${i}`) ?? [];
    const [up] = done.get(`${run.id} main/wake#${i}`) ?? [];
    if (down && up && up.at - down.at < pause - EARLY_MS)
      yield { wrong: "reordered", text: `${run.id}: woken after ${up.at - down.at} of ${pause} ms` };
  }
}
