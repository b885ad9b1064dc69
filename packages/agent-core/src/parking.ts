// Parking. Owns: saying that a run cannot go on without help, and what would help.

import type { Json } from "@sentient/schema";
import type { Pass } from "./pass.ts";

interface Problem {
  name: string;
  code: string;
  message: string;
}

type Reason = "journal_mismatch" | "too_long" | "attempts_exhausted";

/** Ends the pass. */
async function park(
  pass: Pass,
  reason: Reason,
  problem: Problem,
  events: { type: string; data: Json }[] = [],
): Promise<void> {
  await pass.endLease({ events, end: { park: { reason, problem: { ...problem, retryable: false } } } });
}

/**
 * The code is another than the one that made the run.
 *
 * @param key what was asked for instead of what is remembered; undefined if the handler has ended
 */
export async function parkMismatch(pass: Pass, key: string | undefined): Promise<void> {
  const unread = pass.memory.unread!;
  const { id, version } = pass.lease.run;
  const instead = key === undefined ? "the handler came to its end" : `the handler asked for ${key}`;
  const message = `the run ${id} remembers ${unread.key}, and ${instead} without asking for it: the code of version ${version} has changed. Put it back, give it a new version, guard what is new with ctx.patch, or fork the run before that step`;
  const recorded = { key: unread.key, name: unread.name };
  pass.outbox.drop(); // what code has changed that does not fit is not kept
  await park(pass, "journal_mismatch", { name: "JournalMismatch", code: "journal_mismatch", message }, [
    { type: "run.mismatched", data: { recorded, attempted: key ?? null } },
  ]);
}

/** @param excess how much it remembers, and how much it may */
export async function parkTooLong(pass: Pass, excess: string): Promise<void> {
  const message = `the run ${pass.lease.run.id} remembers ${excess}: have it start another run to go on with, or fork it`;
  await park(pass, "too_long", { name: "TooLong", code: "agent.too_long", message });
}

/** What a run has done could not be undone. */
export async function parkNotUndone(pass: Pass, name: string, { message: why }: Error): Promise<void> {
  const message = `${name} could not be undone: ${why}. See to it, then resume the run to try again, or cancel it by force`;
  await park(pass, "attempts_exhausted", { name: "NotUndone", code: "not_undone", message });
}
