// Lineage. Owns: which runs led to a run, and which came of it, along the graph.
// Does not own: why an event happened (why.ts).
// U1. A run is told of once, at the least depth, and by what leads there: it was spawned, forked, or caused by an event.
// U2. It goes level by level, and no further than the limit says.

import { limits, requireWithin } from "@sentient/schema";
import type { Statement } from "@sentient/db-pool";
import { z } from "zod";
import { requireRun, type Context } from "./changing.ts";
import { checked } from "./errors.ts";
import * as queries from "./lineage-queries.ts";
import type { Edge, Edges } from "./lineage-queries.ts";

/** How one run leads to another. */
export type LedBy = keyof Edges;

/** A run that led to the one asked for, or came of it. */
export interface RelatedRun {
  run: string;
  /** 1 for what is next to it. */
  depth: number;
  by: LedBy;
  /** The run next to it on the way to the one asked for. */
  of: string;
  /** The step that spawned it. */
  step?: string;
  /** How many events a fork shares with its parent. */
  n?: number;
  /** Of the event that caused it. */
  position?: number;
}

export interface Relatives {
  /** By depth, and then by when it happened. */
  runs: RelatedRun[];
  /** Whether there are more. */
  truncated: boolean;
}

export interface RelativesOptions {
  /** How many runs at most: `limits.page` if left out, and no more than it. */
  limit?: number;
}

const Options = z.strictObject({ limit: z.int().min(1).optional() });

/** Runs that are looked at in one query. */
const AT_ONCE = 100;

export function ancestors(run: string, options: RelativesOptions, context: Context): Promise<Relatives> {
  return walk(
    run,
    options,
    { read: queries.readCauses, next: ({ from }) => from, back: ({ to }) => to },
    context,
  );
}

export function descendants(run: string, options: RelativesOptions, context: Context): Promise<Relatives> {
  return walk(
    run,
    options,
    { read: queries.readEffects, next: ({ to }) => to, back: ({ from }) => from },
    context,
  );
}

interface Direction {
  read: (runs: readonly string[]) => Statement<Edges>;
  next: (edge: Edge) => string;
  back: (edge: Edge) => string;
}

/** U2. */
async function walk(
  run: string,
  options: RelativesOptions,
  way: Direction,
  context: Context,
): Promise<Relatives> {
  const { limit = limits.page } = checked(Options, options, "a look at what led to what");
  requireWithin("page", limit, "a look at what led to what");
  await requireRun(run, context);
  const found = new Map<string, RelatedRun>();
  for (let level = [run], depth = 1; level.length > 0; depth++) {
    const next: string[] = [];
    for (const { by, edge } of await edgesOf(level, way, context)) {
      const met = way.next(edge);
      if (met === run || found.has(met)) continue; // U1
      if (found.size === limit) return { runs: [...found.values()], truncated: true };
      const { from: _, to: __, at: ___, ...more } = edge;
      found.set(met, { run: met, depth, by, of: way.back(edge), ...more });
      next.push(met);
    }
    level = next;
  }
  return { runs: [...found.values()], truncated: false };
}

async function edgesOf(runs: readonly string[], { read }: Direction, { db }: Context) {
  const edges: { by: LedBy; edge: Edge }[] = [];
  for (let i = 0; i < runs.length; i += AT_ONCE) {
    const { spawned, forked, caused } = await db.query(read(runs.slice(i, i + AT_ONCE)));
    edges.push(
      ...spawned.map((edge) => ({ by: "spawned" as const, edge })),
      ...forked.map((edge) => ({ by: "forked" as const, edge })),
      ...caused.flatMap((edge) =>
        edge.from === undefined ? [] : { by: "caused" as const, edge: edge as Edge },
      ),
    );
  }
  return edges.toSorted((one, other) => one.edge.at.getTime() - other.edge.at.getTime());
}
