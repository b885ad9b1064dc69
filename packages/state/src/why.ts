// Why. Owns: the chain that led to an event: its run, what started that, and so on up to the first cause. Each event and run
// stands in it once, below what it led to.

import { EventId, eventTable, limits, type Event } from "@sentient/schema";
import { z } from "zod";
import type { Context } from "./changing.ts";
import { checked, StateError } from "./errors.ts";
import * as queries from "./lineage-queries.ts";

/** A link of the chain: an event, a run, or the name of an event that is not there any more. */
export type WhyLink = {
  /** How far it is from the event asked for, which has 0. */
  depth: number;
  /** What it has to do with what stands above it, one level less deep. */
  by: "asked" | "happened in" | "spawned by" | "forked from" | "caused by";
  /** The step of the run that spawned what stands above. */
  step?: string;
  /** How many events the run shares with its fork. */
  n?: number;
} & (
  | { what: "event"; event: Event }
  | { what: "run"; run: Pick<queries.NamedRun, "id" | "kind" | "name" | "status"> }
  | { what: "missing"; name: string }
);

export interface Why {
  event: Event;
  /** The run that it happened in. */
  run?: string;
  /** From the event upwards, each link followed by what led to it. */
  chain: WhyLink[];
  /** All of it for people, one line a link. */
  text: string;
  truncated: boolean;
}

const Asked = z.union(
  [
    z
      .int()
      .min(1)
      .transform((position) => `event:${position}`),
    EventId,
    z.looseObject({ position: z.int().min(1) }).transform(({ position }) => `event:${position}`),
  ],
  "an event, its eventId, or a position",
);

/** @throws `state.not_found`, `state.bad_option` */
export async function why(asked: Event | string | number, { db }: Context): Promise<Why> {
  const name = checked(Asked, asked, "why");
  const event = await findEvent(name, db);
  if (!event)
    throw new StateError({
      code: "state.not_found",
      message: `there is no event ${name} in this log; it may have been trimmed`,
      details: { event: name },
    });
  const climb = new Climb(db);
  await climb.event(event, { depth: 0, by: "asked" });
  const { chain, truncated } = climb;
  const run = event.run === undefined ? {} : { run: event.run };
  return { event, ...run, chain, text: textOf(chain, truncated), truncated };
}

async function findEvent(name: string, db: Context["db"]): Promise<Event | undefined> {
  const [, position] = /^event:([1-9]\d{0,14})$/.exec(name) ?? [];
  const row = position
    ? await db.query(queries.readEventAt(Number(position)))
    : (await db.query(queries.readEventById(name)))[0];
  if (row === undefined) return undefined;
  const event = eventTable.parse(row);
  return { ...event, eventId: event.eventId ?? (`event:${event.position}` as EventId) };
}

type Link = Omit<Extract<WhyLink, { what: "event" }>, "what" | "event">;

/** The way up, as far as it has come. */
class Climb {
  readonly chain: WhyLink[] = [];
  truncated = false;
  readonly #db: Context["db"];
  readonly #met = new Set<string>();

  constructor(db: Context["db"]) {
    this.#db = db;
  }

  /** First why its run is there, and then what it follows from. */
  async event(event: Event, link: Link): Promise<void> {
    if (!this.#meet(`event:${event.position}`)) return;
    this.chain.push({ ...link, what: "event", event });
    const depth = link.depth + 1;
    if (event.run !== undefined) await this.#run(event.run, { depth, by: "happened in" });
    if (event.causation !== undefined) await this.#cause(event.causation, { depth, by: "caused by" });
  }

  async #run(id: string, link: Link): Promise<void> {
    if (!this.#meet(`run:${id}`)) return;
    const [named, { spawned, forked, caused }] = await Promise.all([
      this.#db.query(queries.readNamed(id)),
      this.#db.query(queries.readCauses([id])),
    ]);
    if (!named) return void this.chain.push({ ...link, what: "missing", name: `run ${id}` });
    const { causation, ...run } = named;
    this.chain.push({ ...link, what: "run", run });
    const depth = link.depth + 1;
    for (const { from, step } of spawned)
      await this.#run(from, { depth, by: "spawned by", ...(step === undefined ? {} : { step }) });
    for (const { from, n } of forked) await this.#run(from, { depth, by: "forked from", n: n! });
    const cause = caused[0] ? `event:${caused[0].position}` : causation;
    if (cause !== undefined) await this.#cause(cause, { depth, by: "caused by" });
  }

  async #cause(name: string, link: Link): Promise<void> {
    const event = await findEvent(name, this.#db);
    if (event) return this.event(event, link);
    this.chain.push({ ...link, what: "missing", name: `event ${name}` });
  }

  /** @returns whether to go there: it does not stand in the chain yet */
  #meet(name: string): boolean {
    if (this.#met.has(name)) return false;
    if (this.#met.size >= limits.page) {
      this.truncated = true;
      return false;
    }
    this.#met.add(name);
    return true;
  }
}

/** Ids and names only, which cannot move a terminal's cursor, and no text that anybody told. */
function textOf(chain: readonly WhyLink[], truncated: boolean): string {
  const lines = chain.map((reason) => `${indent(reason.depth)}${ledBy(reason)}${said(reason)}`);
  return [...lines, ...(truncated ? ["… and more"] : [])].join("\n");
}

/** Deeper than that a line says its depth instead of being moved further to the right. */
const DEEPEST = 24;

function indent(depth: number): string {
  return depth <= DEEPEST ? "  ".repeat(depth) : `${"  ".repeat(DEEPEST)}[${depth}] `;
}

function ledBy({ by, step, n }: WhyLink): string {
  if (by === "asked") return "";
  return `${by} ${step === undefined ? "" : `step ${step} of `}${n === undefined ? "" : `event ${n} of `}`;
}

function said(reason: WhyLink): string {
  switch (reason.what) {
    case "missing":
      return `${reason.name} (removed, or not of this log)`;
    case "run": {
      const { id, kind, name, status } = reason.run;
      return `run ${id}, ${kind} ${name}, ${status}`;
    }
    case "event": {
      const { position, type, run, n, at } = reason.event;
      const place = run === undefined ? "" : ` ${run}#${n}`;
      return `${position} ${type}${place} ${at.toISOString()}`;
    }
  }
}
