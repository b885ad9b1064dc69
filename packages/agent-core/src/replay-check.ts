// Replay check. Owns: whether code still goes the way that recorded runs have gone, before it meets those that are under way.
// K1. A run that is under way fits if the code asks for all that it remembers; what the code does then is new.
// K2. One that has completed fits if the code comes to the same end. One that has failed or was cancelled fits as one that is
//     under way: nobody calls its code again but after a fork.

import { canonicalJson } from "@sentient/schema";
import { openDatabase } from "@sentient/db-pool";
import { createEventBus } from "@sentient/event-bus";
import { createState, StateError, type Journal, type Replay, type Run, type State } from "@sentient/state";
import type { Definition } from "./define.ts";
import { Registry } from "./registry.ts";
import { rehearse, type Divergence, type Rehearsed } from "./rehearsal.ts";
import { routing } from "./routing.ts";

/** A run with its journal, as `sentient.get` and `sentient.state.replay` or `journal` answer. */
export interface RecordedRun extends Partial<Replay> {
  run: Run;
  journal: Journal;
}

/** Where recorded runs are: an export as a file, by its path, or as its lines; or a run with its journal. */
export type Recorded = string | AsyncIterable<string> | readonly string[] | RecordedRun;

export type CheckedRun = { run: string; name: string; version: string } & (
  | { result: "ok" }
  | ({ result: "diverged" } & Divergence)
  /** It could not be checked, and why. */
  | { result: "skipped"; message: string }
);

export interface ReplayCheck {
  /** Whether none has diverged. */
  ok: boolean;
  runs: CheckedRun[];
}

/**
 * Calls code over runs that are recorded, and does nothing: no step, no write. For CI, before code meets the runs that are
 * under way.
 *
 * @param definitions of this code; runs of other names and versions are skipped
 * @throws `agent.bad_option` for two of one name and version; `state.bad_export`, and what the file system throws
 * @example const { ok, runs } = await replayCheck([order], ["runs/order-17.jsonl", sentient.state.export(id)]);
 */
export async function replayCheck(
  definitions: readonly Definition[],
  recorded: Iterable<Recorded> | AsyncIterable<Recorded>,
): Promise<ReplayCheck> {
  const runs: CheckedRun[] = [];
  for await (const each of recorded)
    if (isRun(each)) runs.push(await check(each, new Registry(definitions)));
    else runs.push(...(await checkExport(each, definitions)));
  return { ok: runs.every(({ result }) => result !== "diverged"), runs };
}

function isRun(recorded: Recorded): recorded is RecordedRun {
  return typeof recorded === "object" && "journal" in recorded;
}

/** Each in a database of its own, in memory, that is gone afterwards: an export may hold what another one does. */
async function checkExport(
  lines: Exclude<Recorded, RecordedRun>,
  definitions: readonly Definition[],
): Promise<CheckedRun[]> {
  await using db = await openDatabase({ url: "mem://" });
  await using bus = createEventBus(db);
  const state = createState(db, bus);
  const { run: exported, imported } = await (typeof lines === "string"
    ? state.importFromFile(lines)
    : state.import(lines));
  const registry = new Registry([routing(state), ...definitions]);
  const checked: CheckedRun[] = [];
  for (const id of new Set([exported, ...imported])) {
    const run = await state.load(id);
    const replay = await replayOf(run, state);
    checked.push(replay ? await check({ run, ...replay }, registry) : skipped(run, REMOVED));
  }
  return checked;
}

const REMOVED = "its details were kept for a time and then removed";
const SECRET = "its input was exported without what is secret, and does not fit without";

async function replayOf({ id }: Run, state: State): Promise<Replay | undefined> {
  try {
    return await state.replay(id, { state: true });
  } catch (error) {
    if (error instanceof StateError && error.code === "state.details_removed") return undefined;
    throw error;
  }
}

async function check({ run, ...recorded }: RecordedRun, registry: Registry): Promise<CheckedRun> {
  const { name, version, secrets } = run;
  const definition = registry.serving(name, version);
  if (!definition) return skipped(run, `there is no ${name}@${version} among the definitions`);
  const isFit = definition.schemas.input?.safeParse(run.input).success ?? true;
  if (!isFit && secrets.length > 0) return skipped(run, SECRET);
  const { journal, first = {}, stateAfter = nothing, skip = nothing, inherited = new Set() } = recorded;
  const { origin = { run: run.id, startedAt: run.startedAt } } = recorded;
  const replay = { journal: remembered(run, journal), first, stateAfter, skip, inherited, origin };
  const divergence = divergenceOf(run, await rehearse(run, definition, replay));
  return { ...labelOf(run), ...(divergence ? { result: "diverged", ...divergence } : { result: "ok" }) };
}

const nothing = () => undefined;

/** K2. What was undone when it was cancelled was undone wherever its code stood. */
function remembered({ status }: Run, journal: Journal): Journal {
  if (status !== "cancelled") return journal;
  return new Map([...journal].filter(([key]) => !key.startsWith("undo/")));
}

function divergenceOf(run: Run, rehearsed: Rehearsed): Divergence | undefined {
  if (rehearsed.status === "diverged") return rehearsed;
  if (rehearsed.status === "hung")
    return {
      message: `the handler of ${run.name} waits for something that is none of its run's, and so does not come back`,
      recorded: null,
      attempted: null,
    };
  return run.status === "completed" ? otherEnd(run, rehearsed) : undefined; // K1
}

/** K2. Code that is newer than the run may come behind its end. */
function otherEnd(
  { id, output, secrets }: Extract<Run, { status: "completed" }>,
  rehearsed: Exclude<Rehearsed, { status: "diverged" | "hung" }>,
): Divergence | undefined {
  const recorded = { completed: output };
  switch (rehearsed.status) {
    case "beyond": {
      if (/\/patch:[^/]+$/.test(rehearsed.key)) return undefined;
      const message = `the run ${id} has completed, and the code asks for ${rehearsed.key} besides`;
      return { message, recorded, attempted: { key: rehearsed.key } };
    }
    case "failed": {
      const { message: said } = rehearsed.error;
      return {
        message: `the run ${id} has completed, and the code fails: ${said}`,
        recorded,
        attempted: { failed: said },
      };
    }
    case "completed": {
      const isSame = canonicalJson(output) === canonicalJson(rehearsed.output);
      if (isSame || secrets.length > 0) return undefined; // an export leaves out of both what is secret, by its place
      const message = `the run ${id} gave something else than the code does`;
      return { message, recorded, attempted: { completed: rehearsed.output } };
    }
  }
}

function labelOf({ id, name, version }: Run) {
  return { run: id, name, version };
}

function skipped(run: Run, message: string): CheckedRun {
  return { ...labelOf(run), result: "skipped", message };
}
