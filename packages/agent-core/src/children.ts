// Children. Owns: runs that a run starts. Each is started once, under the key of its step, however often that is replayed.

import { canonicalJson, hashOf, runIdFor, type Json, type StepKey } from "@sentient/schema";
import type { Run } from "@sentient/state";
import { z } from "zod";
import type { CallOptions } from "./context.ts";
import type { Definition } from "./define.ts";
import { cancelledText, checked, RememberedError } from "./errors.ts";
import { forTheFirstTime, requireNotFailed } from "./first-time.ts";
import { asJson } from "./json.ts";
import type { Pass } from "./pass.ts";
import type { Place } from "./place.ts";
import { queueFor, ROUTE, type ByCapability } from "./routing.ts";
import { startOptionsOf, startOptionsOfName } from "./starting.ts";

/** Of runs that go on where their parent is cancelled. */
export const LEFT = "left-on-cancel";

const Options = z.strictObject({
  name: z.string().optional(),
  queue: z.string().optional(),
  priority: z.int().optional(),
  tags: z.array(z.string()).optional(),
  onCancel: z.enum(["cancel", "leave"]).default("cancel"),
});

export interface Called {
  key: StepKey;
  what: Definition | string;
  input: unknown;
  options: CallOptions;
}

/** Starts a run, unless it has done so, and answers with what it gives. */
export async function callRun(pass: Pass, place: Place, called: Called): Promise<Json> {
  const { key, what } = called;
  const step = { name: "call", inputHash: inputHashOf(called) };
  const before = await pass.recall(key, step);
  if (before?.status === "completed") return before.result;
  requireNotFailed(before);
  const isOwn = before && !pass.memory.isFromParent(key); // what a parent has begun is the parent's
  return forTheFirstTime(pass, place, { key, ...step }, async () => {
    const child = isOwn
      ? runIdFor(nameOf(what), keyOf(pass, key, before.era))
      : await startChild(pass, called);
    return awaitRun(pass, place, { key, ...step, child });
  });
}

export interface Awaited {
  key: StepKey;
  name: string;
  inputHash?: string;
  child: string;
}

/** The same for one that was started before. */
export async function resultOf(pass: Pass, place: Place, key: StepKey, child: string): Promise<Json> {
  const before = await pass.recall(key, { name: "result" });
  if (before?.status === "completed") return before.result;
  requireNotFailed(before);
  const step = { key, name: "result" };
  return forTheFirstTime(pass, place, step, () => awaitRun(pass, place, { ...step, child }));
}

async function awaitRun(pass: Pass, place: Place, { child, ...step }: Awaited): Promise<Json> {
  const { key } = step;
  const look = async (): Promise<{ output: Json } | { error: RememberedError } | undefined> => {
    const run = await pass.consult(() => pass.tools.state.load(child));
    if (run.status === "completed") {
      await pass.commit({ steps: [{ ...step, status: "completed", result: run.output }] });
      return { output: run.output };
    }
    if (!("endedAt" in run)) return undefined;
    const error = failureOf(run);
    await pass.commit({ steps: [{ ...step, status: "failed", error }] });
    return { error: new RememberedError(error) };
  };
  const wait = { for: "run", at: key, run: child } as never;
  const ended = (await look()) ?? (await pass.until(place, wait, look, { ...step, status: "started" }));
  if ("error" in ended) throw ended.error;
  return ended.output;
}

function failureOf(run: Extract<Run, { status: "failed" | "cancelled" }>) {
  if (run.status === "failed") return { ...run.error, retryable: false };
  const message = cancelledText(run.id, { ...run, by: run.cancelledBy });
  return { name: "RunCancelled", message, code: "agent.run_cancelled", retryable: false };
}

/** Starts a run and answers with its id. */
export async function spawnRun(pass: Pass, place: Place, called: Called): Promise<string> {
  const { key } = called;
  const step = { key, name: "spawn", inputHash: inputHashOf(called) };
  const before = await pass.recall(key, step);
  if (before?.status === "completed") return before.result as string;
  requireNotFailed(before);
  return forTheFirstTime(pass, place, step, async () => {
    const child = await startChild(pass, called);
    await pass.commit({ steps: [{ ...step, status: "completed", result: child }] });
    return child;
  });
}

async function startChild(pass: Pass, { key, what, input, options }: Called): Promise<string> {
  const { lease, tools } = pass;
  const { onCancel, name: _, tags = [], ...rest } = checked(Options, options, `the call of ${nameOf(what)}`);
  const definition = typeof what === "string" ? tools.find(what) : what;
  const { id: parent, correlation, priority } = lease.run;
  const { run } = await pass.consult(async () => {
    const wanted = definition
      ? startOptionsOf(definition, input, pass.time)
      : await startOptionsOfName(nameOf(what), input, tools.state, pass.time);
    const routed = definition?.name === ROUTE ? await queueFor(tools.state, input as ByCapability) : {};
    return tools.state.start({
      ...wanted,
      ...routed,
      priority,
      ...(correlation === undefined ? {} : { correlation }),
      ...rest,
      tags: [...tags, ...(onCancel === "leave" ? [LEFT] : [])],
      key: keyOf(pass, key, lease.run.restores?.length ?? 0),
      parent,
      parentStep: key,
      lease,
    });
  });
  tools.notices.ready();
  return run.id;
}

/** A run that was put back calls anew what it had not called before that point. */
function keyOf({ lease }: Pass, key: StepKey, era: number): string {
  return `${lease.run.id}/${key}${era === 0 ? "" : `@${era}`}`;
}

function inputHashOf({ what, input }: Called): string {
  return hashOf(canonicalJson(asJson(input, `the input of ${nameOf(what)}`)));
}

function nameOf(what: Definition | string): string {
  return typeof what === "string" ? what : what.name;
}
