// Memory. Owns: what an agent knows of before: the messages of its threads, and what is worth knowing later.
// M1. What a step says is committed with its result, or not at all.
// M2. What a step was told is remembered with it: a replay is told the same, whatever memory has become.

import type { Context, Message, StepContext } from "@sentient/agent-core";
import { systemClock, type Clock, type Database } from "@sentient/db-pool";
import { migrate, readMigrations } from "@sentient/schema";
import { z } from "zod";
import { AiError } from "../errors.ts";
import { migrationsIn } from "../places.ts";
import { BATCH, batches, fitting } from "./batches.ts";
import type { Embedder } from "./embedding.ts";
import {
  forgetAll,
  forgetSource,
  forgetThread,
  tooOld,
  type CompactOptions,
  type Forgotten,
} from "./forgetting.ts";
import { runId, speakerOf } from "./ids.ts";
import {
  checkedKey,
  checkedMemory,
  checkedOptions,
  checkedQuery,
  checkedSources,
  parsed,
  textOf,
  type NewMemory,
  type Query,
} from "./options.ts";
import { Rarity } from "./rarity.ts";
import { recalled, used, type FoundBy, type Hit } from "./recall.ts";
import { remembered } from "./remembering.ts";
import {
  conversationOf,
  lastOf,
  saidIn,
  threadsAfter,
  type ThreadMessage,
  type ThreadPage,
} from "./threads.ts";
import { Vectors } from "./vectors.ts";
import { whyOf, type Why } from "./why.ts";

export interface MemoryOptions {
  /**
   * Makes vectors of texts; without one they are found by their words and their neighbours. SurrealDB 3.0 mixes up the vector
   * indexes of several databases in one engine: with an embedder, have no more than one such database in a folder or a server.
   */
  embedder?: Embedder | undefined;
  /** After how many milliseconds half is left of what is neither said nor recalled again: 30 days, if left out. */
  halfLife?: number | undefined;
  /** Where the time outside of runs comes from. */
  clock?: Clock | undefined;
}

/** What a step of memory needs of its run. */
export type MemoryContext = Pick<Context<never>, "run" | "step" | "now">;

const HISTORY = "memory";
/** Messages in one step. */
const MOST_SAID = 500;
const Last = z.strictObject({ last: z.int().min(1).max(1_000).default(50) });
const Page = z.strictObject({
  after: z.string().max(256).default(""),
  limit: z.int().min(1).max(1_000).default(100),
});
const Messages = z.array(z.looseObject({ role: z.string(), content: z.array(z.unknown()) })).max(MOST_SAID);
const Below = z.strictObject({
  below: z
    .number()
    .gt(0)
    .max(1)
    .default(1 / 64),
});

/**
 * Memory in a database: that of the runtime, as what a step says is committed with its result.
 *
 * @throws `ai.bad_option`
 * @example const memory = createMemory(db, { embedder: localEmbedder() }); await memory.migrate();
 */
export function createMemory(db: Database, options: MemoryOptions = {}): MemoryStore {
  return new MemoryStore(db, options);
}

export class MemoryStore {
  readonly #db: Database;
  readonly #vectors: Vectors | undefined;
  readonly #rarity = new Rarity();
  readonly #halfLife: number;
  readonly #clock: Clock;

  /** @internal */
  constructor(db: Database, { embedder, halfLife, clock = systemClock }: MemoryOptions) {
    const checked = checkedOptions({ embedder, halfLife });
    this.#db = db;
    this.#vectors = embedder && new Vectors(embedder);
    this.#halfLife = checked.halfLife;
    this.#clock = clock;
  }

  /** Makes its tables, and those of the embedder, where they are not there. @throws what `migrate` throws */
  async migrate(): Promise<void> {
    await migrate(this.#db, { migrations: await readMigrations(migrationsIn("surql/")), history: HISTORY });
    await this.#vectors?.migrate(this.#db);
  }

  /**
   * Says messages in a thread, as a step: behind all that was said before, in order, once.
   *
   * @param options what they stand on: the run, if left out
   * @returns the ids of the messages
   * @throws `ai.bad_option`, `ai.memory_too_large` for a message of more than 64 KiB
   * @example await memory.say(ctx, "support-17", [{ role: "user", content: [{ type: "text", text }] }]);
   */
  async say(
    ctx: MemoryContext,
    thread: string,
    messages: readonly Message[],
    options: { sources?: readonly string[] } = {},
  ): Promise<string[]> {
    const saying = {
      thread: checkedKey(thread, "the name of a thread"),
      messages: [...messages],
      sources: checkedSources(options.sources ?? []),
      at: ctx.now(),
    };
    parsed(Messages, messages, `messages of the thread ${thread}`);
    messages.forEach(textOf);
    if (messages.length === 0) return [];
    return ctx.step("say", (step) => {
      const { ids, statements } = saidIn({ ...saying, speaker: speakerOf(step) });
      step.write(...statements); // M1
      return ids;
    });
  }

  /**
   * The last messages of a thread, in order, as a step: as many as a step may give, if they are very long.
   *
   * @param options how many: 50, if left out, and at most 1,000
   * @throws `ai.bad_option`
   * @example const before = await memory.thread(ctx, "support-17", { last: 20 });
   */
  async thread(
    ctx: MemoryContext,
    thread: string,
    options: { last?: number } = {},
  ): Promise<ThreadMessage[]> {
    const { name, last } = lastWanted(thread, options);
    return ctx.step("thread", async () => {
      const messages = await lastOf(this.#db, name, last);
      return fitting(messages.toReversed()).toReversed(); // M2
    });
  }

  /**
   * The same as a model takes it: from where a person speaks.
   *
   * @internal
   */
  async conversation(
    ctx: MemoryContext,
    thread: string,
    options: { last?: number } = {},
  ): Promise<ThreadMessage[]> {
    const { name, last } = lastWanted(thread, options);
    return ctx.step("thread", () => conversationOf(this.#db, name, last)); // M2
  }

  /** The same as `thread` outside of a run. */
  messages(thread: string, options: { last?: number } = {}): Promise<ThreadMessage[]> {
    const { last } = parsed(Last, options, "the messages of a thread");
    return lastOf(this.#db, checkedKey(thread, "the name of a thread"), last);
  }

  /**
   * A page of the threads in which something was said, by their names.
   *
   * @param options behind which one, and how many: 100, if left out, and at most 1,000
   * @throws `ai.bad_option`
   * @example const { threads, next } = await memory.threads({ after: "support-17" });
   */
  threads(options: { after?: string; limit?: number } = {}): Promise<ThreadPage> {
    const { after, limit } = parsed(Page, options, "a page of threads");
    return threadsAfter(this.#db, after, limit);
  }

  /**
   * Remembers something, as a step. The same words of the same agent in the same thread are one memory, which is the stronger
   * the more often it is said.
   *
   * @returns its id
   * @throws `ai.bad_option`, `ai.memory_too_large` for more than 16 KiB; the step fails with what the embedder throws
   * @example await memory.remember(ctx, { text: "Ada prefers tea", tags: ["ada"], sources: ["chat.md"] });
   */
  async remember(ctx: MemoryContext, memory: NewMemory): Promise<string> {
    const [id] = await this.rememberAll(ctx, [memory]);
    return id!;
  }

  /** Many at once: each 100 of them are a step. @returns their ids, in order @throws as `remember` */
  async rememberAll(ctx: MemoryContext, memories: readonly NewMemory[]): Promise<string[]> {
    const ids: string[] = [];
    for (const batch of batches(memories.map(checkedMemory))) {
      const at = ctx.now();
      const said = await ctx.step("remember", async (step) => {
        const by = { memories: batch, at, speaker: speakerOf(step), signal: step.signal };
        const written = await remembered(this.#db, this.#vectors, by);
        step.write(...written.statements); // M1
        return written.ids;
      });
      ids.push(...said);
    }
    return ids;
  }

  /**
   * Remembers a corpus outside of a run, each 100 in a transaction. Who imports the same again changes nothing.
   *
   * @returns how many there were
   * @throws as `remember`, and what the database throws: what came before is remembered
   * @example await memory.import(sections.map(({ file, text }) => ({ text, sources: [file] })));
   */
  async import(memories: Iterable<NewMemory>, { signal }: { signal?: AbortSignal } = {}): Promise<number> {
    let count = 0;
    const never = signal ?? new AbortController().signal;
    for (const batch of batches(memories)) {
      never.throwIfAborted();
      const said = { memories: batch.map(checkedMemory), at: this.#now(), signal: never };
      const { statements } = await remembered(this.#db, this.#vectors, said);
      await this.#db.transaction(statements);
      count += batch.length;
    }
    return count;
  }

  /**
   * Makes vectors of all that has none: where another embedder is given than before, or one for the first time. What is cut off
   * is gone on with by the next call.
   *
   * @returns how many there were
   * @throws `ai.bad_option` without an embedder; what the embedder throws
   * @example await memory.migrate(); await memory.embed();
   */
  async embed({ signal }: { signal?: AbortSignal } = {}): Promise<number> {
    const vectors = this.#vectors;
    if (!vectors)
      throw new AiError({
        code: "ai.bad_option",
        message: "there is no embedder to make vectors with; give createMemory one",
      });
    const never = signal ?? new AbortController().signal;
    const missing = await vectors.missing(this.#db);
    for (let i = 0; i < missing.length; i += BATCH) {
      never.throwIfAborted();
      await vectors.make(this.#db, missing.slice(i, i + BATCH), never);
    }
    return missing.length;
  }

  /**
   * What is known of something, the best first, as a step: a replay is told the same. By words, by direction and by what is
   * tied to the best of both, fused; what is old, and was not used since, comes later.
   *
   * @throws `ai.bad_option`; the step fails with what the embedder throws
   * @example const hits = await memory.recall(ctx, { query: "what does Ada drink?", agent: "host", limit: 5 });
   */
  async recall(ctx: MemoryContext, query: Query): Promise<Hit[]> {
    const checked = checkedQuery(query);
    const now = ctx.now();
    const hits = await ctx.step("recall", async (step: StepContext) => {
      const found = fitting(await recalled(checked, { ...this.#recalling(now), signal: step.signal }));
      const ids = found.map(({ id }) => id);
      if (ids.length > 0) step.write(used(ids, runId(ctx.run.id), now));
      return found;
    });
    return hits; // M2
  }

  /**
   * The same outside of a run; memories are none the stronger for it.
   *
   * @param options which rankings are asked: all, if left out
   * @example const hits = await memory.search({ query: "tea" });
   */
  async search(
    query: Query,
    { by, signal }: { by?: readonly FoundBy[]; signal?: AbortSignal } = {},
  ): Promise<Hit[]> {
    const how = { ...this.#recalling(this.#now()), by, signal: signal ?? new AbortController().signal };
    return recalled(checkedQuery(query), how);
  }

  /**
   * Where a memory comes from: memory ← message ← step ← run ← source. Undefined if there is none.
   *
   * @example for (const { source, by } of (await memory.why(id))?.because ?? []) console.log(source, by?.run);
   */
  why(id: string): Promise<Why | undefined> {
    return whyOf(this.#db, checkedKey(id, "the id of a memory"));
  }

  /** Forgets one memory, with all that ties it. @returns whether there was one */
  async forget(id: string): Promise<boolean> {
    return (await forgetAll(this.#db, [checkedKey(id, "the id of a memory")])).memories > 0;
  }

  /**
   * Forgets a source, and every memory and message that stands on it alone; what stands on others too keeps those. Two hundred
   * at once, each whole or not at all; where it is cut off, say it again. Journals of runs are no memory: `seenBy` names the
   * runs that were told.
   *
   * @param source as it was named; `run:` and the id of a run for what it said without naming any
   * @example const { memories, seenBy } = await memory.forgetSource("https://example.org/wrong");
   */
  forgetSource(source: string): Promise<Forgotten> {
    const [name] = checkedSources([source]);
    return forgetSource(this.#db, name!);
  }

  /**
   * Forgets a thread: its messages, what is remembered of it (`thread`), and what was taken from its messages and stands on nothing
   * else. In parts, as `forgetSource`. End its runs first: who speaks in it later begins it anew. Journals of runs are no memory:
   * `seenBy` names the runs that spoke in it, or were told of what was remembered.
   *
   * @example const { messages, seenBy } = await memory.forgetThread("support-17");
   */
  forgetThread(thread: string): Promise<Forgotten> {
    return forgetThread(this.#db, checkedKey(thread, "the name of a thread"));
  }

  /**
   * Forgets what time has left less of than `below`, unless its importance is 1. Nothing else does: what is old is found later,
   * and stays.
   *
   * @example await memory.compact(); // what nobody has said or recalled for six half-lives
   */
  async compact(options: CompactOptions = {}): Promise<Forgotten> {
    const checked = parsed(Below, options, "compact");
    return forgetAll(this.#db, await tooOld(this.#db, this.#now(), this.#halfLife, checked));
  }

  #recalling(now: Date) {
    return { db: this.#db, vectors: this.#vectors, rarity: this.#rarity, halfLife: this.#halfLife, now };
  }

  #now(): Date {
    return new Date(this.#clock.now());
  }
}

function lastWanted(thread: string, options: { last?: number }): { name: string; last: number } {
  const name = checkedKey(thread, "the name of a thread");
  return { name, ...parsed(Last, options, "the messages of a thread") };
}
