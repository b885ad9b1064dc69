// Statements that look for runs. The newest come first, as indexes hold the position of their first event with its sign turned.

import { surql, type Statement } from "@sentient/db-pool";
import { runId } from "./run.ts";

/** Where runs of a page are looked for: an index for each, of which one stretch is read. */
export type Source =
  | { by: "status"; statuses: readonly string[] }
  | { by: "name"; name: string }
  | { by: "tree"; root: string };

/** What is asked beside. */
export interface RunCondition {
  status?: readonly string[] | undefined;
  name?: string | undefined;
  kind?: string | undefined;
  queue?: string | undefined;
  tag?: string | undefined;
  parent?: string | undefined;
  correlation?: string | undefined;
  parkedFor?: string | undefined;
}

/** What one stretch brought. */
export interface Found {
  /** Those that meet the condition, without `input` and `output`. */
  rows: unknown[];
  /** How many were looked at, and the last of them. */
  seen: number;
  last: number | undefined;
}

/**
 * All stretches as of one moment, so that no run stands in two. What an index does not cover is asked outside: with LIMIT it
 * is wrong. `after` is exclusive.
 */
export const readRunPage = (source: Source, condition: RunCondition, after: number, window: number) => surql<
  Found[]
>`{
  LET $after = ${after};
  LET $found = ${stretches(source, window)};
  RETURN $found.map(|$rows| {
    rows: (SELECT * FROM $rows WHERE ${conditionOf(condition)}),
    seen: array::len($rows),
    last: array::last($rows).seek.newest
  });
}`;

/** As many as a page takes, of all these statuses together. `after` is exclusive. */
export const readNewestRuns = (statuses: readonly string[], after: number, most: number) => surql<unknown[]>`{
  LET $after = ${after};
  LET $places = ${statuses}.map(|$status|
    (SELECT VALUE [seek.newest, id] FROM run WHERE status = $status AND seek.newest > $after LIMIT ${most}));
  LET $ids = array::sort(array::flatten($places)).slice(0, ${most}).map(|$place| $place[1]);
  SELECT * OMIT input, output FROM $ids
}`;

function stretches(source: Source, window: number): Statement {
  switch (source.by) {
    case "status":
      return surql`${source.statuses}.map(|$status|
        (SELECT * OMIT input, output FROM run WHERE status = $status AND seek.newest > $after LIMIT ${window}))`;
    case "name":
      return surql`${[source.name]}.map(|$name|
        (SELECT * OMIT input, output FROM run WHERE name = $name AND seek.newest > $after LIMIT ${window}))`;
    case "tree": // whose root stands in it by its id only
      return surql`array::concat(
        ${[source.root]}.map(|$root|
          (SELECT * OMIT input, output FROM run WHERE seek.tree = $root AND seek.newest > $after LIMIT ${window})),
        [(SELECT * OMIT input, output FROM ${runId(source.root)} WHERE root = ${source.root} AND seek.newest > $after)])`;
  }
}

function conditionOf({ status, tag, ...equal }: RunCondition): Statement {
  const { name, kind, queue, parent, correlation, parkedFor } = equal;
  const parts = [
    ...(status === undefined ? [] : [surql`status IN ${status}`]),
    ...(name === undefined ? [] : [surql`name = ${name}`]),
    ...(kind === undefined ? [] : [surql`kind = ${kind}`]),
    ...(queue === undefined ? [] : [surql`queue = ${queue}`]),
    ...(parent === undefined ? [] : [surql`parent = ${parent}`]),
    ...(correlation === undefined ? [] : [surql`correlation = ${correlation}`]),
    ...(parkedFor === undefined ? [] : [surql`parkedFor = ${parkedFor}`]),
    ...(tag === undefined ? [] : [surql`${tag} IN tags`]),
  ];
  return parts.reduce((all, part) => surql`${all} AND ${part}`, surql`true`);
}

export const readRoot = (run: string) => surql<string | undefined>`SELECT VALUE root FROM ONLY ${runId(run)}`;
