// Whether each run has come to the end that it had to, with what it had to do on the way: by its row, its journal and its stream.

import { isDeepStrictEqual } from "node:util";
import type { Event } from "@sentient/schema";
import type { Chunk, Run, Step } from "@sentient/state";
import type { Sentient } from "../src/index.ts";
import { dataOf } from "./check-log.ts";
import type { Told } from "./drive.ts";
import type { Finding } from "./findings.ts";
import { answerTo, expectedOf, Input, type Kind } from "./work.ts";

/** A run as it is at the end. */
export interface Seen {
  run: Run;
  journal: ReadonlyMap<string, Step>;
  chunks: readonly Chunk[];
}

export async function see(sentient: Sentient): Promise<Seen[]> {
  const seen: Seen[] = [];
  for (let before: number | undefined, isMore = true; isMore;) {
    const { runs, next } = await sentient.list({ limit: 100, ...(before === undefined ? {} : { before }) });
    [before, isMore] = [next, next !== undefined];
    for (const { id } of runs)
      seen.push({
        run: await sentient.get(id),
        journal: await sentient.state.journal(id),
        chunks: await allChunks(sentient, id),
      });
  }
  return seen;
}

async function allChunks({ state }: Sentient, run: string): Promise<Chunk[]> {
  const all: Chunk[] = [];
  for (;;) {
    const page = await state.chunks.read(run, { after: all.length, limit: 1_000 });
    if (page.length === 0) return all;
    all.push(...page);
  }
}

export function* checkRuns(seen: readonly Seen[], events: readonly Event[], told: Told): Generator<Finding> {
  const byRun = Map.groupBy(events, ({ run }) => run as string | undefined);
  const there = new Set<string>(seen.map(({ run }) => run.id));
  for (const [id, { key }] of told.started)
    if (!there.has(id)) yield { wrong: "lost", text: `the run ${key}, whose start was acknowledged` };
  const wanted = new Set(
    seen.flatMap(({ run }) => (told.asked.get(run.id)?.has("pause") === false ? [run.id] : [])),
  );
  for (const each of seen) {
    const { run } = each;
    if (!("endedAt" in run)) yield { wrong: "stuck", text: `${run.id} (${run.name}) is ${run.status}` };
    else yield* checkEnd(each, wanted);
    yield* checkJournal(each, byRun.get(run.id) ?? []);
    yield* checkStream(each);
    yield* checkUndone(each, told.asked.get(run.id)?.has("cancel") === true);
  }
  yield* checkSlots(seen);
  yield* checkHeard(seen, told);
}

/** What the journal remembers is what the log has told of, and nothing else. */
function* checkJournal({ run, journal }: Seen, events: readonly Event[]): Generator<Finding> {
  const told = new Map<string, string>();
  for (const event of events) {
    const { key, retryAt } = dataOf(event);
    if (/^step\.(completed|failed)$/.test(event.type) && retryAt === undefined)
      told.set(key as string, event.type.slice(5));
  }
  for (const { key, status } of journal.values()) {
    if (key.includes("/-") || (status !== "completed" && status !== "failed")) continue; // or it is no result of a step
    if (told.get(key) !== status)
      yield { wrong: "lost", text: `${run.id}: the event of ${key}, which has ${status}` };
    told.delete(key);
  }
  for (const [key, status] of told)
    yield { wrong: "lost", text: `${run.id}: ${key}, of which an event says that it has ${status}` };
}

function* checkEnd({ run, journal }: Seen, cancelled: ReadonlySet<string>): Generator<Finding> {
  const input = Input.catch({ many: 0, pause: 0, fails: false }).parse(run.input);
  const { steps, mayAlso = [], output } = expectedOf(run.name as Kind, input);
  const at = `${run.id} (${run.name})`;
  if (run.status === "cancelled") {
    const isWanted = cancelled.has(run.id) || run.parent !== undefined;
    if (!isWanted) yield { wrong: "lost", text: `${at} was cancelled, and nobody had asked for that` };
    return;
  }
  const shouldFail = run.name === "saga" && input.fails;
  if (run.status === "failed" && !shouldFail)
    yield { wrong: "lost", text: `${at} has failed: ${run.error.message}` };
  if (run.status === "completed" && shouldFail) yield { wrong: "lost", text: `${at} has completed` };
  if (run.status === "completed" && !isDeepStrictEqual(run.output ?? null, output))
    yield { wrong: "lost", text: `${at} gave ${JSON.stringify(run.output)}, not ${JSON.stringify(output)}` };
  for (const key of steps)
    if (journal.get(key)?.status !== "completed") yield { wrong: "lost", text: `${at}: the step ${key}` };
  for (const { key, name } of journal.values())
    if (isOfWork(key, name) && !steps.includes(key) && !mayAlso.includes(key))
      yield { wrong: "doubled", text: `${at}: a step ${key} that it does not have` };
}

/** Whether it is a step of ours, rather than a wait, a branch or an undoing. */
function isOfWork(key: string, name: string): boolean {
  return (
    key.startsWith("main/") &&
    key.includes(`/${name}#`) &&
    !/^(sleep|deadline|race|all)$/.test(name) &&
    !name.includes(":")
  );
}

/** All that was done is undone in a run that has not completed, the last thing first. */
function* checkUndone({ run, journal }: Seen, isAskedTo: boolean): Generator<Finding> {
  if (run.name !== "saga") return;
  const numbers = (prefix: string) =>
    [...journal.values()].flatMap(({ key, status }) =>
      key.startsWith(prefix) && status === "completed" ? [Number(/(\d+)#/.exec(key)![1])] : [],
    );
  const [done, undone] = [numbers("main/do-"), numbers("undo/undo-")];
  const at = `${run.id} (${run.name}, ${run.status})`;
  if (run.status === "completed" && undone.length > 0)
    yield { wrong: "doubled", text: `${at}: something is undone` };
  if (
    !isDeepStrictEqual(
      undone,
      undone.toSorted((a, b) => b - a),
    )
  )
    yield { wrong: "reordered", text: `${at}: undone in the order ${undone.join(", ")}` };
  if (run.status === "failed" || (run.status === "cancelled" && isAskedTo))
    for (const i of done)
      if (!undone.includes(i)) yield { wrong: "lost", text: `${at}: do-${i} is not undone` };
}

/** Pieces are numbered without gaps; each attempt streams from its first on; what counts is whole. */
function* checkStream({ run, chunks }: Seen): Generator<Finding> {
  for (const [i, { n }] of chunks.entries())
    if (n !== i + 1) yield { wrong: "lost", text: `${run.id}: the piece ${i + 1} of its stream` };
  const input = Input.catch({ many: 0, pause: 0, fails: false }).parse(run.input);
  const { streams = {} } = expectedOf(run.name as Kind, input);
  for (const [key, pieces] of Map.groupBy(chunks, ({ step }) => step)) {
    let next = 0;
    let isEnded = false;
    for (const { kind, n, data } of pieces.map((piece) => ({ data: undefined, ...piece }))) {
      const at = `${run.id}: the piece ${n} of its stream, of ${key},`;
      if (kind === "reset") [next, isEnded] = [0, false];
      else if (isEnded) yield { wrong: "doubled", text: `${at} comes after its end` };
      else if (kind === "end") isEnded = true;
      else if (key.includes("/-chunks#")) {
        if (data !== Number(/#(\d+)$/.exec(key)![1]) - 1 || next++ > 0)
          yield { wrong: "doubled", text: `${at} is ${JSON.stringify(data)}` };
      } else {
        if (data !== next)
          yield {
            wrong: (data as number) > next ? "lost" : "doubled",
            text: `${at} is ${JSON.stringify(data)}, not ${next}`,
          };
        next = (data as number) + 1;
      }
    }
    if (run.status === "completed" && key in streams && (next !== streams[key] || !isEnded))
      yield { wrong: "lost", text: `${run.id}: ${key} has streamed ${next} of ${streams[key]} pieces` };
  }
  if (run.status !== "completed") return;
  for (const key of Object.keys(streams))
    if (!chunks.some(({ step }) => step === key))
      yield { wrong: "lost", text: `${run.id}: all that ${key} has streamed` };
}

/** One run for each time of the schedule. */
function* checkSlots(seen: readonly Seen[]): Generator<Finding> {
  const times = seen
    .flatMap(({ run }) => run.tags ?? [])
    .flatMap((tag) => (tag.startsWith("slot:") ? [Date.parse(tag.slice(5))] : []))
    .toSorted((a, b) => a - b);
  for (const [i, time] of times.entries()) {
    const since = time - (times[i - 1] ?? time - 2_000);
    if (since === 2_000) continue;
    yield {
      wrong: since > 2_000 ? "lost" : "doubled",
      text: `a schedule: ${since} ms before ${new Date(time).toISOString()}`,
    };
  }
}

/** What was acknowledged to have been said was heard. */
function* checkHeard(seen: readonly Seen[], told: Told): Generator<Finding> {
  const journals = new Map(seen.map(({ run, journal }) => [run.id as string, { run, journal }]));
  for (const answer of told.answered) {
    const [id, key] = answer.split(" ") as [string, string];
    const { run, journal } = journals.get(id) ?? {};
    if (run?.status !== "completed") continue;
    const step = journal!.get(key);
    const value = step?.status === "completed" ? (step.result as { value?: unknown }).value : undefined;
    if (value !== answerTo(key)) yield { wrong: "lost", text: `the answer to ${key} of ${id}` };
  }
}
