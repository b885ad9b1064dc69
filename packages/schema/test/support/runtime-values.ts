// A value of every variant of every noun of the runtime.

import type { z } from "zod";
import {
  Agent,
  agentTable,
  Blob,
  blobTable,
  Checkpoint,
  checkpointTable,
  Chunk,
  chunkTable,
  Consumer,
  consumerTable,
  Event,
  eventTable,
  hashOf,
  LogHead,
  logTable,
  Producer,
  producerTable,
  Question,
  questionTable,
  Run,
  runTable,
  Schedule,
  scheduleTable,
  Signal,
  signalTable,
  Step,
  stepTable,
  Worker,
  workerTable,
  type AnyTable,
  type Noun,
} from "../../src/index.ts";

const at = new Date("2026-01-02T03:04:05.678Z");
const hash = hashOf("x");
const failure = { name: "TypeError", message: "it's broken", retryable: false };

const run = {
  id: "run-1",
  kind: "task",
  name: "research",
  version: "1.0.0",
  queue: "default",
  priority: 0,
  capabilities: ["search"],
  input: { question: "why?", depth: [1, 2, { deep: null }] },
  inputHash: hash,
  root: "run-1",
  tags: ["a b"],
  revision: 3,
  token: 2,
  attempts: 1,
  maxAttempts: 5,
  events: 4,
  steps: 2,
  createdAt: at,
  updatedAt: at,
};
const step = {
  id: ["run-1", "main/fetch#1"],
  name: "fetch",
  attempts: 1,
  token: 2,
  startedAt: at,
  endedAt: at,
};
const question = { id: ["run-1", "main/approve#1"], text: "May I?", askedAt: at };
const chunk = { attempt: 1, at };
const event = {
  eventId: "e-1",
  type: "run.started",
  source: "worker-1",
  data: { worker: "w-1", attempt: 1 },
  at,
};

interface Sample {
  schema: z.ZodType;
  table: AnyTable & { serialise(value: never): Record<string, unknown>; parse: (row: unknown) => unknown };
  values: object[];
}

export const samples: Record<Noun, Sample> = {
  agent: {
    schema: Agent,
    table: agentTable,
    values: [
      {
        id: ["research", "1.0.0"],
        capabilities: ["search"],
        queue: "default",
        registeredAt: at,
        updatedAt: at,
      },
      {
        id: ["research", "1.0.1"],
        description: "reads",
        capabilities: [],
        queue: "q",
        input: { type: "object" },
        pausedAt: at,
        pausedBy: "ada",
        registeredAt: at,
        updatedAt: at,
      },
    ],
  },
  run: {
    schema: Run,
    table: runTable,
    values: [
      { ...run, status: "queued", availableAt: at },
      { ...run, id: "r2", status: "running", lease: { worker: "w-1", token: 2, until: at }, asked: "cancel" },
      { ...run, id: "r3", status: "waiting", waitingFor: "signal", waitingAt: "main/go#1", wakeAt: null },
      { ...run, id: "r4", status: "waiting", waitingFor: "timer", waitingAt: "main/go#1", wakeAt: at },
      { ...run, id: "r5", status: "paused", pausedBy: "ada", reason: "lunch" },
      { ...run, id: "r6", status: "parked", parkedFor: "no_worker", problem: failure },
      { ...run, id: "r7", status: "completed", output: [1, "x"], endedAt: at, forkOf: { run: "r1", at: 7 } },
      { ...run, id: "r8", status: "failed", error: { ...failure, code: "E1", stack: "at x" }, endedAt: at },
      {
        ...run,
        id: "r9",
        status: "cancelled",
        reason: "no need",
        endedAt: at,
        parent: "r1",
        parentStep: "a#1",
      },
    ],
  },
  step: {
    schema: Step,
    table: stepTable,
    values: [
      { ...step, status: "completed", result: { rows: 3 } },
      { ...step, id: ["run-1", "b#1"], status: "stored", blob: hash, inputHash: hash },
      { ...step, id: ["run-1", "c#1"], status: "failed", error: failure },
    ],
  },
  event: {
    schema: Event,
    table: eventTable,
    values: [
      { position: 1, ...event },
      {
        position: 2,
        ...event,
        eventId: "e-2",
        run: "run-1",
        n: 1,
        target: "x",
        workflow: "w",
        correlation: "c d",
        causation: "e-1",
        hash,
      },
      { position: 3, ...event, eventId: "e-3", type: "order.placed", data: null },
    ],
  },
  log: { schema: LogHead, table: logTable, values: [{ id: "head", position: 7, floor: 0 }] },
  producer: {
    schema: Producer,
    table: producerTable,
    values: [{ id: "p-1", batch: 1, first: 1, count: 3, at }],
  },
  checkpoint: {
    schema: Checkpoint,
    table: checkpointTable,
    values: [
      {
        id: ["run-1", "before-send"],
        position: 4,
        stateHash: hash,
        steps: 2,
        attempt: 1,
        token: 1,
        version: "1",
        createdAt: at,
      },
      {
        id: ["run-1", "two"],
        position: 5,
        stateHash: hash,
        steps: 2,
        attempt: 1,
        token: 1,
        version: "1",
        metadata: { by: "ada" },
        createdAt: at,
      },
    ],
  },
  signal: {
    schema: Signal,
    table: signalTable,
    values: [
      { id: ["run-1", 1], name: "go", data: { fast: true }, sentAt: at },
      { id: ["run-1", 2], name: "go", data: "x", source: "ada", sentAt: at, takenBy: "main/go#1" },
    ],
  },
  question: {
    schema: Question,
    table: questionTable,
    values: [
      {
        ...question,
        status: "open",
        schema: { type: "boolean" },
        assignee: "ada",
        deadline: at,
        onTimeout: false,
      },
      {
        ...question,
        id: ["run-1", "q#2"],
        status: "answered",
        answer: true,
        answeredBy: "ada",
        answeredAt: at,
      },
      { ...question, id: ["run-1", "q#3"], status: "expired", expiredAt: at },
      { ...question, id: ["run-1", "q#4"], status: "withdrawn", withdrawnAt: at },
    ],
  },
  consumer: {
    schema: Consumer,
    table: consumerTable,
    values: [
      { id: ["mailer", 0], partitions: 1, position: 0, token: 0, createdAt: at, updatedAt: at },
      {
        id: ["mailer", 1],
        partitions: 2,
        position: 9,
        filter: { types: ["run.*"] },
        lease: { worker: "w", until: at },
        token: 3,
        createdAt: at,
        updatedAt: at,
      },
    ],
  },
  worker: {
    schema: Worker,
    table: workerTable,
    values: [
      {
        id: "w-1",
        host: "h",
        pid: 1,
        release: "0.1.0",
        queues: ["default"],
        serves: ["research@1"],
        slots: 4,
        running: 0,
        startedAt: at,
        seenAt: at,
      },
      {
        id: "w-2",
        host: "h",
        pid: 1,
        release: "0.1.0",
        queues: [],
        serves: [],
        slots: 4,
        running: 1,
        startedAt: at,
        seenAt: at,
        drainingAt: at,
      },
    ],
  },
  schedule: {
    schema: Schedule,
    table: scheduleTable,
    values: [
      {
        id: "nightly",
        kind: "workflow",
        name: "report",
        input: {},
        cron: "0 3 * * *",
        timeZone: "Europe/Berlin",
        missed: "once",
        nextAt: at,
        revision: 0,
        createdAt: at,
        updatedAt: at,
      },
    ],
  },
  chunk: {
    schema: Chunk,
    table: chunkTable,
    values: [
      { ...chunk, id: ["run-1", "say#1", 1], kind: "data", data: "Hel" },
      { ...chunk, id: ["run-1", "say#1", 2], kind: "reset" },
      { ...chunk, id: ["run-1", "say#1", 3], kind: "end" },
    ],
  },
  blob: {
    schema: Blob,
    table: blobTable,
    values: [{ id: hash, size: 2, content: new Uint8Array([1, 2]), createdAt: at }],
  },
};
