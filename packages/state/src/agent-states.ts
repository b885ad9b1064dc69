// What agents remember across their runs, each under its revision.

import { DbError } from "@sentient/db-pool";
import { agentStateTable, Name, type AgentState as StoredState, type Json } from "@sentient/schema";
import { z } from "zod";
import * as queries from "./agents-queries.ts";
import type { Context } from "./changing.ts";
import { checked, notFoundError, revisionMismatchError, StateError } from "./errors.ts";
import { textOf } from "./options.ts";
import { retried } from "./retried.ts";

/** What an agent remembers across its runs. */
export type AgentState = Omit<StoredState, "id"> & { name: Name };

/** What a state becomes. It may be called several times. */
// oxlint-disable-next-line typescript/no-explicit-any -- only who asks knows what stands in it
export type StateUpdate = (state: any) => Json | Promise<Json>;

const Options = z.strictObject({ revision: z.int().min(1).optional() });

export async function createState(agent: string, state: Json, context: Context): Promise<AgentState> {
  const name = checked(Name, agent, "the agent's name");
  const { bus, time } = context;
  let created: StoredState | undefined;
  try {
    await bus.log.append({
      events: [{ type: "agent.changed", target: name, data: { name, revision: 1 } }],
      rows: (_, placedAt) => {
        const at = time.of(placedAt);
        created = { id: name, state, revision: 1, createdAt: at, updatedAt: at };
        return [rowOf(created)];
      },
    });
  } catch (error) {
    if (!(error instanceof DbError && error.code === "db.already_exists")) throw error;
    const { revision } = await requireState(name, context.db);
    throw revisionMismatchError(`the state of the agent ${name}`, { expected: 0, revision });
  }
  return given(created!);
}

export async function getState(name: string, { db }: Context): Promise<AgentState> {
  return given(await requireState(name, db));
}

export async function changeState(
  name: string,
  change: Json | StateUpdate,
  options: { revision?: number },
  context: Context,
): Promise<AgentState> {
  const { revision } = checked(Options, options, `a change of the state of ${name}`);
  if (typeof change !== "function" && revision === undefined)
    throw new StateError({
      code: "state.bad_option",
      message: `the state of ${name} is to be overwritten without a revision, which would lose what others wrote: say from which revision it was made, or give a function`,
    });
  return retried(`the state of the agent ${name}`, async () => {
    const before = await requireState(name, context.db);
    if (revision !== undefined && revision !== before.revision)
      throw revisionMismatchError(`the state of the agent ${name}`, {
        expected: revision,
        revision: before.revision,
      });
    const state = typeof change === "function" ? await change(structuredClone(before.state)) : change;
    return save(before, state, context);
  });
}

async function save(before: StoredState, state: Json, { bus, time }: Context): Promise<AgentState> {
  if (textOf(state, "the state") === textOf(before.state, "the state")) return given(before);
  const { id: name } = before;
  const next = { ...before, state, revision: before.revision + 1 };
  await bus.log.append({
    events: [{ type: "agent.changed", target: name, data: { name, revision: next.revision } }],
    statements: (_, placedAt) => {
      next.updatedAt = time.of(placedAt);
      return [queries.saveAgentState(rowOf(next), before.revision)];
    },
  });
  return given(next);
}

async function requireState(name: string, db: Context["db"]): Promise<StoredState> {
  const row = await db.query(queries.readAgentState(name));
  if (row === undefined) throw notFoundError("agent's state", name, { agent: name });
  return agentStateTable.parse(row);
}

function rowOf(state: StoredState) {
  textOf(state.state, "the state");
  return agentStateTable.serialise(state) as { id: never; [field: string]: unknown };
}

function given({ id, ...state }: StoredState): AgentState {
  return { name: id, ...state };
}
