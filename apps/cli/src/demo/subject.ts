// Subject. Owns: what is asked of which files, and where the answer goes.

import { createHash } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { usage } from "../cli-error.ts";
import type { CodeReading } from "../research/corpus.ts";

export interface Subject {
  folder: string;
  question: string;
  code: CodeReading;
  report: string;
  /** Which model takes part, if one does. */
  model?: string;
}

/** What is asked of this repository itself. */
const OWN_QUESTION = "How are steps remembered, and what happens when a worker dies?";
const ANY_QUESTION = "What is this about, and how is it used?";
const REPORTS = ".sentient/reports";

/**
 * @param given a folder, a question, or both; a word that names a folder is one
 * @throws `cli.usage`
 */
export function subjectOf(given: readonly string[], report: string | undefined): Subject {
  const [first, second] = given;
  const isFolder = first !== undefined && existsSync(first) && statSync(first).isDirectory();
  if (first !== undefined && !isFolder && (second !== undefined || /^[.~]?\//.test(first)))
    throw usage(`${first} is no folder; write: sentient demo [folder] [question]`);
  const own = ownRepository();
  const folder = isFolder ? resolve(first) : own;
  if (folder === undefined) throw usage('name a folder: sentient demo ./docs "how does it work?"');
  const isOwn = folder === own;
  const question = ((isFolder ? second : first) ?? (isOwn ? OWN_QUESTION : ANY_QUESTION)).trim();
  if (question === "") throw usage("the question is empty");
  return {
    folder,
    question,
    code: isOwn ? "headers" : "whole",
    report: resolve(report ?? join(REPORTS, `${slugOf(question)}.md`)),
  };
}

/** The same question of the same files: a run of it that is not over is gone on with. */
export function tagOf(subject: Subject): string {
  return `demo-${createHash("sha256").update(JSON.stringify(subject)).digest("hex").slice(0, 24)}`;
}

/** Where this file lies within a clone of the repository. */
function ownRepository(): string | undefined {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (dirname(folder) !== folder) {
    if (existsSync(join(folder, "pnpm-workspace.yaml")) && existsSync(join(folder, "packages/agent-core")))
      return folder;
    folder = dirname(folder);
  }
  return undefined;
}

function slugOf(question: string): string {
  const slug = question
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "");
  return slug.slice(0, 60).replace(/-$/, "") || "report";
}
