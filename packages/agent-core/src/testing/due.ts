// Due. Owns: when something goes on by itself, and what it is that does not.

import type { Explanation, ListedRun, Run, State } from "@sentient/state";
import { AgentError } from "../errors.ts";

const OPEN = ["queued", "running", "waiting"] as const;

/** Runs that go on by themselves, or once somebody says something. */
export async function openRuns(state: State): Promise<ListedRun[]> {
  const all: ListedRun[] = [];
  for (let before: number | undefined; ;) {
    const page = { status: OPEN, ...(before === undefined ? {} : { before }) };
    const { runs, next } = await state.list(page);
    all.push(...runs);
    if (next === undefined) return all;
    before = next;
  }
}

/** When the next run goes on, after `now`: its timer goes off, its deadline passes, the lease of a process that is gone runs out. */
export async function nextDue(state: State, now: number): Promise<number | undefined> {
  const runs = await openRuns(state);
  const reasons = await Promise.all(runs.map(({ id }) => state.explain(id)));
  const times = [...reasons.flat().map(({ until }) => until), ...runs.map(({ deadline }) => deadline)];
  const later = times.flatMap((time) => (time && time.getTime() > now ? time.getTime() : []));
  return later.length === 0 ? undefined : Math.min(...later);
}

/** Who waits for a run waits for what that waits for. */
const DEEPEST = 8;

async function reasonsOf(state: State, run: string, depth = 0): Promise<string> {
  const reasons = await state.explain(run);
  const said = reasons.map(async (reason) =>
    reason.code === "waits_for_run" && depth < DEEPEST
      ? `${reason.message}, and of that ${await reasonsOf(state, reason.awaited!, depth + 1)}`
      : withHint(reason),
  );
  return (await Promise.all(said)).join("; ");
}

function withHint({ code, message, awaited }: Explanation): string {
  switch (code) {
    case "waits_for_signal":
      return `${message} (script it with signals: { "${awaited}": … }, or send it before)`;
    case "waits_for_question":
      return `${message} (script it with answers: { name: … }, or answer it)`;
    case "no_worker":
      return `${message} (hand its definition to createTestSentient)`;
    default:
      return message;
  }
}

/** @param jumps how often time was moved in vain, if that is why */
export async function stuckError(state: State, { id, name }: Run, jumps?: number): Promise<AgentError> {
  const why = await reasonsOf(state, id);
  const what =
    jumps === undefined
      ? "is stuck, and no time that comes helps it"
      : `is not over after time was moved ${jumps} times to what came next; ask again to go on`;
  return new AgentError({
    code: "agent.stuck",
    message: `the run ${id} of ${name} ${what}: ${why}`,
    details: { run: id },
  });
}
