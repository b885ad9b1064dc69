// What runs take up, counted where it lies.

import { surql, type Statement } from "@sentient/db-pool";
import * as queries from "./queries.ts";
import { runId } from "./run.ts";

/** Bytes of a text in UTF-8, and of none. */
const bytes = (field: Statement) => surql`bytes::len(<bytes>(${field} ?? ""))`;

const sum = (fields: readonly Statement[], of: unknown) =>
  surql`math::sum((SELECT VALUE ${fields.map(bytes).reduce((all, one) => surql`${all} + ${one}`)} FROM ${of}))`;

export interface StorageRow {
  input: number;
  output: number;
  steps: number;
  state: number;
  checkpoints: number;
  signals: number;
  questions: number;
  chunks: number;
  events: number;
  blobs: string[];
}

export const readStorage = (run: string) => surql<StorageRow>`{
  LET $run = ${run};
  LET $events = (SELECT VALUE bytes::len(<bytes>data) FROM event WHERE run = $run);
  RETURN {
    input: ${sum([surql`input`], [runId(run)])},
    output: ${sum([surql`output`], [runId(run)])},
    steps: ${sum([surql`result`, surql`error.message`, surql`error.stack`], queries.stepsOf(run))},
    state: ${sum([surql`ops`, surql`state`], queries.patchesOf(run))},
    checkpoints: ${sum([surql`metadata`], queries.checkpointsOf(run))},
    signals: ${sum([surql`data`], queries.signalsOf(run))},
    questions: ${sum([surql`text`, surql`schema`, surql`answer`, surql`onTimeout`], queries.questionsOf(run))},
    chunks: ${sum([surql`data`], queries.chunksOf(run))},
    events: math::sum($events),
    blobs: array::distinct(array::concat(
      (SELECT VALUE blob FROM ${queries.stepsOf(run)} WHERE blob != NONE),
      (SELECT VALUE blob FROM ${queries.patchesOf(run)} WHERE blob != NONE)))
  };
}`;

export interface BlobRow {
  hash: string;
  size: number;
  users: string[];
}

export const readBlobSizes = (hashes: readonly string[]) => surql<BlobRow[]>`
  RETURN ${hashes}.map(|$hash| {
    hash: $hash,
    size: (SELECT VALUE size FROM ONLY type::record("blob", $hash)) ?? 0,
    users: (SELECT VALUE record::id(id)[1] FROM blob_use:[$hash, ""]..=[$hash, ${LAST}])
  })`;

const LAST = "\u{10FFFF}";

export const readTree = (root: string) => surql<string[]>`{
  LET $root = ${root};
  array::concat([$root], (SELECT VALUE record::id(id) FROM run WHERE seek.tree = $root))
}`;
