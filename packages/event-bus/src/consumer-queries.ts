// Statements of consumers; values are bound where they are used. All times are the database's.

import { BoundIncluded, Duration, RecordId, RecordIdRange, surql, type PreciseDate } from "@sentient/db-pool";
import type { DeadLetter } from "@sentient/schema";

/** A row of a partition, as it is stored. */
export interface PartitionRow {
  id: RecordId;
  partitions: number;
  position: number;
  filter?: string;
  lease?: { worker: string; until: PreciseDate };
  token: number;
  handled: number;
  rate: number;
  suspect?: { position: number; times: number };
  updatedAt: PreciseDate;
}

export interface LetterRow extends Omit<DeadLetter, "id" | "createdAt" | "updatedAt"> {
  id: RecordId;
  createdAt: PreciseDate;
  updatedAt: PreciseDate;
}

/** A lease on a partition, as long as nobody was given a later one. */
export interface Held {
  id: RecordId;
  token: number;
}

const MAX_PARTITIONS = 256;

export const partitionId = (name: string, partition: number): RecordId<"consumer"> =>
  new RecordId("consumer", [name, partition]);
export const letterId = (name: string, position: number): RecordId<"dead_letter"> =>
  new RecordId("dead_letter", [name, position]);

const partitionsOf = (name: string) =>
  new RecordIdRange("consumer", new BoundIncluded([name, 0]), new BoundIncluded([name, MAX_PARTITIONS]));
const lettersOf = (name: string, first = 0, last = Number.MAX_SAFE_INTEGER) =>
  new RecordIdRange("dead_letter", new BoundIncluded([name, first]), new BoundIncluded([name, last]));
const membersOf = (name: string) =>
  new RecordIdRange("consumer_member", new BoundIncluded([name, ""]), new BoundIncluded([name, "~"]));

const ms = (count: number) => new Duration(`${count}ms`);

// registering

/**
 * Makes the rows of a consumer that is not there yet, and answers with all; with none if the log does not have the position.
 * It writes the floor it has read, and leaves it as it was: who moves it at the same time fails, and so cannot overlook the
 * new one. The filter of one that is there already is replaced if nobody works on it.
 *
 * @param position undefined for the beginning of the log
 */
export const register = (name: string, partitions: number, position: number | undefined, filter: string) =>
  surql<PartitionRow[]>`{
  LET $rows = (SELECT * FROM ${partitionsOf(name)});
  IF array::len($rows) = 0 {
    LET $floor = (SELECT VALUE position FROM ONLY log:floor);
    LET $head = (SELECT VALUE position FROM ONLY log:head);
    LET $position = ${position} ?? $floor;
    IF $position >= $floor AND $position <= $head {
      UPDATE log:floor SET position += 1 RETURN NONE;
      UPDATE log:floor SET position -= 1 RETURN NONE;
      INSERT INTO consumer (
        SELECT *, $position AS position, time::now() AS createdAt, time::now() AS updatedAt
        FROM ${newRows(name, partitions, filter)}
      ) RETURN NONE
    }
  } ELSE IF array::len($rows[WHERE lease.until > time::now()]) = 0 {
    UPDATE ${partitionsOf(name)} SET filter = ${filter} WHERE partitions = ${partitions} RETURN NONE
  };
  SELECT * FROM ${partitionsOf(name)}
}`;

function newRows(name: string, partitions: number, filter: string): object[] {
  return Array.from({ length: partitions }, (_, partition) => ({
    id: partitionId(name, partition),
    partitions,
    filter,
    token: 0,
    handled: 0,
    rate: 0,
  }));
}

export const readPartitions = (name: string) =>
  surql<(PartitionRow & { now: PreciseDate })[]>`SELECT *, time::now() AS now FROM ${partitionsOf(name)}`;

export const readAllPartitions = () => surql<PartitionRow[]>`SELECT * FROM consumer`;

export const removeConsumer = (name: string) => [
  surql`DELETE ${partitionsOf(name)} RETURN NONE`,
  surql`DELETE ${lettersOf(name)} RETURN NONE`,
  surql`DELETE ${membersOf(name)} RETURN NONE`,
];

// leases

/**
 * Answers with the row as it was, if the lease could be had: it was given back, has run out, or was this worker's own, who
 * has given it up or never heard that it was granted. Nobody has it with another filter than the consumer's.
 */
export const claim = (id: RecordId, worker: string, lease: number, filter: string) => surql<{
  row?: PartitionRow;
  filter?: string;
}>`{
  LET $row = (
    UPDATE ONLY ${id} SET token += 1, lease = { worker: ${worker}, until: time::now() + ${ms(lease)} }, updatedAt = time::now()
    WHERE filter = ${filter} AND (lease = NONE OR lease.until <= time::now() OR lease.worker = ${worker}) RETURN BEFORE
  );
  RETURN { row: $row, filter: (SELECT VALUE filter FROM ONLY ${id}) }
}`;

/** Answers nothing if somebody else has it. */
export const renew = ({ id, token }: Held, lease: number) => surql<number | undefined>`
  UPDATE ONLY ${id} SET lease.until = time::now() + ${ms(lease)} WHERE token = ${token} RETURN VALUE token`;

export const release = ({ id, token }: Held) => surql`
  UPDATE ONLY ${id} SET lease = NONE, rate = 0f, updatedAt = time::now() WHERE token = ${token} RETURN NONE`;

export interface Progress {
  position: number;
  handled: number;
  rate: number;
}

/** A condition and a change in one: whoever has lost the lease changes nothing. */
export const saveProgress = ({ id, token }: Held, { position, handled, rate }: Progress) => surql<
  number | undefined
>`
  UPDATE ONLY ${id} SET position = ${position}, handled += ${handled}, rate = <float> ${rate}, suspect = NONE, updatedAt = time::now()
  WHERE token = ${token} AND position < ${position} RETURN VALUE position`;

/** Remembers what is handled now, in case the process ends with it. */
export const suspectEvent = ({ id, token }: Held, position: number, times: number) => surql<
  number | undefined
>`
  UPDATE ONLY ${id} SET suspect = ${{ position, times }}, updatedAt = time::now() WHERE token = ${token} RETURN VALUE token`;

/**
 * A condition that changes its row, so that who takes the lease meanwhile makes it fail. The event at this position is done
 * with, and no suspect any longer.
 */
export const stillHeld = ({ id, token }: Held, position: number) => surql<number | undefined>`
  UPDATE ONLY ${id} SET suspect = IF suspect.position = ${position} { NONE } ELSE { suspect }, updatedAt = time::now()
  WHERE token = ${token} RETURN VALUE token`;

/** Somewhere else in the log, for whoever is given the next lease; who has one now has lost it. */
export const moveTo = (name: string, position: number) => surql<PartitionRow[]>`
  UPDATE ${partitionsOf(name)} SET position = ${position}, token += 1, lease = NONE, suspect = NONE, updatedAt = time::now()
  RETURN AFTER`;

// members: who wants a share of the partitions

/** Those that ended long ago without a word are forgotten. */
export const joinMembers = (name: string, worker: string, lease: number) => surql`{
  DELETE ${membersOf(name)} WHERE until < time::now() - 1h RETURN NONE;
  UPSERT ${new RecordId("consumer_member", [name, worker])} SET until = time::now() + ${ms(lease)} RETURN NONE
}`;

export const leaveMembers = (name: string, worker: string) => surql`
  DELETE ${new RecordId("consumer_member", [name, worker])} RETURN NONE`;

export const readShares = (name: string) => surql<{
  rows: PartitionRow[];
  /** The workers, in the order of their names. */
  members: string[];
  now: PreciseDate;
}>`RETURN {
  now: time::now(),
  members: (SELECT VALUE record::id(id)[1] FROM ${membersOf(name)} WHERE until > time::now()),
  rows: (SELECT * FROM ${partitionsOf(name)})
}`;

// dead letters

/** A letter that is there already was tried again in vain. */
export const keepLetter = (
  id: RecordId,
  {
    partition,
    event,
    reason,
    attempts,
    redrives,
  }: Omit<DeadLetter, "id" | "status" | "createdAt" | "updatedAt">,
) => surql`
  INSERT INTO dead_letter {
    id: ${id}, partition: ${partition}, event: ${event}, reason: ${reason}, attempts: ${attempts}, redrives: ${redrives},
    status: "dead", createdAt: time::now(), updatedAt: time::now()
  } ON DUPLICATE KEY UPDATE
    reason = $input.reason, attempts = $input.attempts, redrives = $input.redrives, status = "dead", updatedAt = time::now()
  RETURN NONE`;

/** Answers nothing if it is not there to be handled any more. */
export const takeLetter = (id: RecordId) => surql<LetterRow | undefined>`
  DELETE ONLY ${id} WHERE status = "queued" RETURN BEFORE`;

/** By index, as it is asked for with every renewal, and there are seldom any. */
export const queuedLetters = (name: string, partition: number, limit: number) => surql<LetterRow[]>`{
  LET $queued = (SELECT VALUE id FROM dead_letter WHERE status = "queued");
  LET $own = array::sort($queued.filter(|$id| record::id($id)[0] = ${name}));
  SELECT * FROM (SELECT * FROM $own WHERE partition = ${partition}) LIMIT ${limit}
}`;

export const countLetters = (name: string) => surql<{ dead: number; queued: number }>`{
  LET $all = (SELECT VALUE status FROM ${lettersOf(name)});
  RETURN { dead: array::len($all[WHERE $this = "dead"]), queued: array::len($all[WHERE $this = "queued"]) }
}`;

export const readLetters = (name: string, after: number, limit: number) => surql<LetterRow[]>`
  SELECT * FROM (SELECT * FROM ${lettersOf(name, after + 1)}) ORDER BY id LIMIT ${limit}`;

export const queueLetters = (name: string, positions: readonly number[] | undefined) =>
  positions
    ? surql<number[]>`UPDATE ${positions.map((position) => letterId(name, position))}
        SET status = "queued", updatedAt = time::now() WHERE status = "dead" RETURN VALUE partition`
    : surql<number[]>`UPDATE ${lettersOf(name)}
        SET status = "queued", updatedAt = time::now() WHERE status = "dead" RETURN VALUE partition`;
