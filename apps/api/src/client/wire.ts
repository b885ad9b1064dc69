// What comes over the wire: the runtime's own types, as they stand in JSON.

import type {
  ConsumerStatus,
  DeadLetter as Letter,
  Trace as EventTrace,
  Trimmed as Removed,
  Verified as Checked,
} from "@sentient/event-bus";
import type { Event as LogEvent, Failure, RunStatus, Schedule as StoredSchedule } from "@sentient/schema";
import type {
  AccessToken,
  Agent as KnownAgent,
  AgentState as Memory,
  AuditRecord as Recorded,
  AuditVerified as Audited,
  Checkpoint as NamedPoint,
  Chunk as Piece,
  Diff as Differences,
  Explanation as Reason,
  Imported as Brought,
  Limit as FlowLimit,
  ListedQuestion as QuestionRow,
  ListedRun as RunRow,
  Question as Asked,
  RelatedRun as Related,
  Run as StoredRun,
  Signal as Said,
  Step as Remembered,
  StorageUse,
  Why as Chain,
  Worker as Known,
} from "@sentient/state";
import type { z } from "zod";

/** Any JSON. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A value as it stands in JSON: instants are ISO text. */
type Wire<T> = T extends Date
  ? string
  : T extends string & z.core.$brand
    ? string
    : T extends number & z.core.$brand
      ? number
      : T extends string | number | boolean | null | undefined
        ? T
        : T extends readonly (infer Item)[]
          ? Wire<Item>[]
          : Json extends T
            ? Json
            : { [K in keyof T]: Wire<T[K]> };

export type Run = Wire<StoredRun>;
export type ListedRun = Wire<RunRow>;
export type Event = Wire<LogEvent>;
export type Chunk = Wire<Piece>;
export type Step = Wire<Remembered>;
export type Explanation = Wire<Reason>;
export type RelatedRun = Wire<Related>;
export type Checkpoint = Wire<NamedPoint>;
export type Signal = Wire<Said>;
export type Question = Wire<Asked>;
export type ListedQuestion = Wire<QuestionRow>;
export type Agent = Wire<KnownAgent>;
export type AgentState = Wire<Memory>;
export type AuditRecord = Wire<Recorded>;
export type AuditVerified = Wire<Audited>;
export type Diff = Wire<Differences>;
export type Imported = Wire<Brought>;
export type Storage = Wire<StorageUse>;
export type Trimmed = Wire<Removed>;
export type Verified = Wire<Checked>;
export type Schedule = Wire<StoredSchedule>;
export type Consumer = Wire<ConsumerStatus>;
export type DeadLetter = Wire<Letter>;
export type Worker = Wire<Known>;
export type Limit = Wire<FlowLimit>;
export type Token = Wire<AccessToken>;
export type Why = Wire<Chain>;
export type Trace = Wire<EventTrace>;

/** How a run has ended, or where it is. */
export interface Outcome {
  run: string;
  status: RunStatus;
  output?: Json;
  error?: Failure;
  reason?: string;
  problem?: Failure;
}
