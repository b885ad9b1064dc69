// Diff. Owns: how two runs, or two points of them, differ, as data.

import { canonicalJson, type Json } from "@sentient/schema";
import { z } from "zod";
import { requireRun, type Context } from "./changing.ts";
import { opsBetween } from "./document.ts";
import { readDocument } from "./documents.ts";
import { checked } from "./errors.ts";
import { readJournal, type Journal, type Step } from "./journal.ts";
import { isOnePoint, ONE_POINT, pointFields, resolve, type Point } from "./points.ts";

const Side = z.union([
  z.string().transform((run) => ({ run })),
  z.strictObject({ run: z.string(), ...pointFields }).refine(isOnePoint, ONE_POINT),
]);

/** A run as it is now, or at a point of its history. */
export type DiffSide = string | ({ run: string } & Point);

export interface Diff {
  /** RFC 6902: what makes the state, and the input, of `b` of those of `a`. */
  state: Json;
  input: Json;
  /** By what became of them, and not by when. */
  steps: { onlyA: Step[]; onlyB: Step[]; changed: { key: string; a: Step; b: Step }[] };
}

/** @throws `state.not_found`, `state.position_ahead`, `state.details_removed`, `state.damaged`, `state.bad_option` */
export async function diff(a: DiffSide, b: DiffSide, context: Context): Promise<Diff> {
  const [one, other] = await Promise.all([sideOf(a, context), sideOf(b, context)]);
  return {
    state: opsBetween(one.state, other.state),
    input: opsBetween(one.input, other.input),
    steps: compare(one.journal, other.journal),
  };
}

async function sideOf(side: DiffSide, context: Context) {
  const { run, ...point } = checked(Side, side, "one side of a diff");
  const { run: found } = await requireRun(run, context);
  const { n } = await resolve(run, point, context);
  const [{ state }, journal] = await Promise.all([
    readDocument(run, n, context.db),
    readJournal(run, n, context.db),
  ]);
  return { state, journal, input: found.input };
}

const without = (one: Journal, other: Journal) => [...one.values()].filter(({ key }) => !other.has(key));

function compare(a: Journal, b: Journal): Diff["steps"] {
  const changed = [...a.values()].flatMap((step) => {
    const other = b.get(step.key);
    return other && outcomeOf(step) !== outcomeOf(other) ? { key: step.key, a: step, b: other } : [];
  });
  return { onlyA: without(a, b), onlyB: without(b, a), changed };
}

function outcomeOf(step: Step): string {
  const { name, inputHash, status } = step;
  const outcome = "result" in step ? step.result : "error" in step ? (step.error as unknown as Json) : null;
  return canonicalJson({ name, inputHash, status, outcome });
}
