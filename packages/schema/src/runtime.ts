// The runtime's tables, and what other languages are told of them.

import type { Database } from "@sentient/db-pool";
import { z } from "zod";
import { AccessToken, accessTokenTable } from "./access-token.ts";
import { Agent, agentTable } from "./agent.ts";
import { AgentState, agentStateTable } from "./agent-state.ts";
import { AuditHead, auditHeadTable, AuditRecord, auditTable } from "./audit.ts";
import { Blob, blobTable, BlobUse, blobUseTable } from "./blob.ts";
import { Checkpoint, checkpointTable } from "./checkpoint.ts";
import { Chunk, chunkTable } from "./chunk.ts";
import {
  Consumer,
  ConsumerMember,
  consumerMemberTable,
  consumerTable,
  DeadLetter,
  deadLetterTable,
} from "./consumer.ts";
import { Event, eventTable } from "./event.ts";
import { FlowLimit, flowLimitTable, Slot, slotTable } from "./flow.ts";
import { Caused, causedTable, Forked, forkedTable, Spawned, spawnedTable } from "./lineage.ts";
import { LogMark, logTable, Producer, producerTable, RunTail, runTailTable } from "./log.ts";
import { migrate, type MigrateOptions, type MigrationReport } from "./migrate.ts";
import { readMigrations, type Migration } from "./migration.ts";
import { Patch, patchTable } from "./patch.ts";
import { Question, questionTable } from "./question.ts";
import { Run, runTable } from "./run.ts";
import { Schedule, scheduleTable } from "./schedule.ts";
import { Signal, signalTable } from "./signal.ts";
import { Step, stepTable } from "./step.ts";
import { Waiter, waiterTable } from "./waiter.ts";
import { Worker, workerTable } from "./worker.ts";
import type { AnyTable } from "./table.ts";

/** Every table of the runtime. */
export const runtimeTables: readonly AnyTable[] = [
  agentTable,
  runTable,
  stepTable,
  eventTable,
  logTable,
  producerTable,
  runTailTable,
  checkpointTable,
  signalTable,
  questionTable,
  consumerTable,
  consumerMemberTable,
  deadLetterTable,
  workerTable,
  scheduleTable,
  chunkTable,
  blobTable,
  blobUseTable,
  patchTable,
  agentStateTable,
  flowLimitTable,
  slotTable,
  waiterTable,
  spawnedTable,
  forkedTable,
  causedTable,
  accessTokenTable,
  auditTable,
  auditHeadTable,
];

/** Whose migrations these are, in a database that has tables of its user's too. */
export const RUNTIME_HISTORY = "sentient";

/**
 * Brings the runtime's tables to the newest migration; tables of one's own have a history of their own.
 *
 * @throws as `migrate`
 * @example await migrateRuntime(db);
 */
export async function migrateRuntime(
  db: Database,
  options: Omit<MigrateOptions, "migrations" | "history"> = {},
): Promise<MigrationReport> {
  return migrate(db, { ...options, history: RUNTIME_HISTORY, migrations: await runtimeMigrations() });
}

/** The migrations of the runtime's tables. */
export function runtimeMigrations(): Promise<Migration[]> {
  return readMigrations(new URL("../surql/", import.meta.url)); // the same from src and from dist
}

/** What an edge has beside its schema: record ids, and in JSON their text. */
const edge = { id: z.string(), in: z.string(), out: z.string() };

const nouns = {
  agent: Agent,
  run: Run,
  step: Step,
  event: Event,
  log: LogMark,
  producer: Producer,
  run_tail: RunTail,
  checkpoint: Checkpoint,
  signal: Signal,
  question: Question,
  consumer: Consumer,
  consumer_member: ConsumerMember,
  dead_letter: DeadLetter,
  worker: Worker,
  schedule: Schedule,
  chunk: Chunk,
  blob: Blob,
  blob_use: BlobUse,
  patch: Patch,
  agent_state: AgentState,
  flow_limit: FlowLimit,
  slot: Slot,
  waiter: Waiter,
  spawned: Spawned.extend(edge),
  forked: Forked.extend(edge),
  caused: Caused.extend(edge),
  access_token: AccessToken,
  audit: AuditRecord,
  audit_head: AuditHead,
};
export type Noun = keyof typeof nouns;

/**
 * The JSON Schema of each noun of the runtime, as it stands in JSON: instants as ISO text, bytes in base64,
 * record ids as SurrealDB writes them.
 *
 * @example jsonSchemas().run
 */
export function jsonSchemas(): Record<Noun, z.core.JSONSchema.JSONSchema> {
  const entries = Object.entries(nouns).map(([name, schema]) => [name, jsonSchemaOf(name, schema)]);
  return Object.fromEntries(entries) as Record<Noun, z.core.JSONSchema.JSONSchema>;
}

function jsonSchemaOf(name: string, schema: z.ZodType): z.core.JSONSchema.JSONSchema {
  return {
    $id: `https://sentient.dev/schema/${name}.json`,
    title: name,
    ...z.toJSONSchema(schema, {
      io: "output",
      unrepresentable: "any",
      override: ({ zodSchema, jsonSchema }) => {
        const { def } = zodSchema._zod;
        if (def.type === "date") Object.assign(jsonSchema, { type: "string", format: "date-time" });
        if (def.type === "custom" && def.surrealType === "bytes")
          Object.assign(jsonSchema, { type: "string", contentEncoding: "base64" });
      },
    }),
  };
}
