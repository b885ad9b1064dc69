// Checking a file before anything of it is brought in. Owns: what a sound file is.
// Y1. A file that is not sound is refused, naming the line: one that was cut off, changed, put together by hand, or written by
//     a newer release.

import { hashOf } from "@sentient/schema";
import { createHash, type Hash as Hasher } from "node:crypto";
import type { z } from "zod";
import { issuesOf, StateError } from "./errors.ts";
import {
  Body,
  type BodyOf,
  DETAIL_KINDS,
  FORMAT,
  Header,
  rowOfLine,
  runOfLine,
  Seal,
  SealLine,
  type DetailKind,
} from "./transfer-format.ts";

/** What a file holds of a run. */
export interface Contained {
  id: string;
  /** How many events it had. */
  n: number;
  hasDetails: boolean;
  /** The n of its first and last event in the file; 0 if they were all trimmed. */
  first: number;
  last: number;
  /** How many rows of each kind. */
  rows: Record<DetailKind, number>;
  redacted: boolean;
}

/** A file that is sound. */
export interface Sound {
  header: Header;
  sha256: string;
  runs: Map<string, Contained>;
  /** Which runs refer to a blob. */
  uses: Map<string, Set<string>>;
}

export class FileCheck {
  readonly #seal = new Seal();
  readonly #runs = new Map<string, Contained>();
  readonly #forkedFrom = new Set<string>();
  readonly #uses = new Map<string, Set<string>>();
  readonly #blobs = new Set<string>();
  #piece: { hash: string; part: number; parts: number; hasher: Hasher } | undefined;
  #position = 0;
  #header: Header | undefined;
  #expected: ReadonlySet<string> = new Set();
  #sha256: string | undefined;
  #line = 0;

  /** @throws `state.bad_export` */
  add(line: string): void {
    this.#line++;
    if (this.#sha256 !== undefined) {
      if (line === "") return;
      throw this.#bad("something follows the end");
    }
    const value = this.#json(line);
    if (!this.#header) this.#begin(value);
    else if ((Object(value) as { kind?: unknown }).kind === "end") return this.#end(value);
    else this.#body(value);
    this.#seal.add(line);
  }

  /** @throws `state.bad_export` if the end is missing */
  sound(): Sound {
    this.#line++;
    if (!this.#header || this.#sha256 === undefined)
      throw this.#bad("the end of the file is missing: it was cut off");
    return { header: this.#header, sha256: this.#sha256, runs: this.#runs, uses: this.#uses };
  }

  #json(line: string): unknown {
    try {
      return JSON.parse(line);
    } catch (cause) {
      throw this.#bad("it is no JSON", cause);
    }
  }

  #begin(value: unknown): void {
    const { kind, format } = Object(value) as { kind?: unknown; format?: unknown };
    if (kind !== "export") throw this.#bad("no export begins like this");
    if (typeof format === "number" && format > FORMAT)
      throw this.#bad(
        `it is of format ${format}, and this release reads up to ${FORMAT}: import it with the release that wrote it, or a newer one`,
      );
    this.#header = this.#parse(Header, value);
    this.#expected = new Set(this.#header.runs);
  }

  #end(value: unknown): void {
    const end = this.#parse(SealLine, value);
    const seal = this.#seal.close();
    if (end.lines !== seal.lines)
      throw this.#bad(`the file had ${end.lines} lines before its end, and has ${seal.lines}`);
    if (end.sha256 !== seal.sha256)
      throw this.#bad("a line before it is not what was written: their hash differs");
    const missing = this.#header!.runs.find((run) => !this.#runs.has(run));
    if (missing !== undefined) throw this.#bad(`the run ${missing} is missing`);
    for (const { id, n, last } of this.#runs.values())
      if (last > 0 && last !== n) throw this.#bad(`the run ${id} had ${n} events, and ${last} are here`);
    if (this.#piece) throw this.#bad(`the content ${this.#piece.hash} is not whole`);
    for (const hash of this.#uses.keys())
      if (!this.#blobs.has(hash)) throw this.#bad(`the content ${hash} is missing`);
    for (const run of this.#forkedFrom)
      if (!this.#runs.has(run)) throw this.#bad(`the run ${run}, of which another is a fork, is missing`);
    this.#sha256 = end.sha256;
  }

  #body(value: unknown): void {
    const body = this.#parse(Body, value);
    if (body.kind === "run") return this.#run(body);
    if (this.#runs.size < this.#expected.size) throw this.#bad("a run is missing before it");
    if (body.kind === "blob") return this.#blob(body);
    if (body.kind === "event") return this.#event(body.row, body.redacted);
    this.#detail(body.kind, body.row, body.redacted);
  }

  #run({ row, n, hasDetails, redacted }: BodyOf<"run">): void {
    const { id, forkOf, inputHash } = this.#row(() => runOfLine(row));
    if (!this.#expected.has(id) || this.#runs.has(id))
      throw this.#bad(`the run ${id} is not one of the file's, or is in it twice`);
    if (hashOf(row.input as string) !== inputHash)
      throw this.#bad(`the input of the run ${id} is not what its hash says`);
    if (forkOf) this.#forkedFrom.add(forkOf.run);
    const rows = Object.fromEntries(DETAIL_KINDS.map((kind) => [kind, 0])) as Contained["rows"];
    this.#runs.set(id, { id, n, hasDetails, first: 0, last: 0, rows, redacted: redacted === true });
  }

  #event(row: Record<string, unknown>, redacted: true | undefined): void {
    const event = this.#row(() => rowOfLine("event", row));
    const { run: id, n } = event as unknown as { run: string; n: number };
    const position = event.id.id as number;
    const run = this.#known(id);
    if (position <= this.#position) throw this.#bad(`the event ${position} is not in the order of the log`);
    if (run.last > 0 && n !== run.last + 1)
      throw this.#bad(`after event ${run.last} of the run ${id} comes ${n}`);
    this.#position = position;
    run.first ||= n;
    run.last = n;
    run.redacted ||= redacted === true;
  }

  #detail(kind: DetailKind, line: Record<string, unknown>, redacted: true | undefined): void {
    const row = this.#row(() => rowOfLine(kind, line));
    const run = this.#known((row.id.id as [string])[0]);
    if (!run.hasDetails)
      throw this.#bad(`what the run ${run.id} did was removed, and here is something of it`);
    run.rows[kind]++;
    run.redacted ||= redacted === true;
    if (typeof row.blob !== "string") return;
    const uses = this.#uses.get(row.blob) ?? new Set();
    this.#uses.set(row.blob, uses.add(run.id));
  }

  #blob({ hash, part, parts, content }: BodyOf<"blob">): void {
    const piece =
      part === 1 && !this.#piece ? { hash, part: 0, parts, hasher: createHash("sha256") } : this.#piece;
    if (!piece || piece.hash !== hash || piece.part + 1 !== part || piece.parts !== parts)
      throw this.#bad(`it is not the piece of the content ${hash} that should come now`);
    piece.hasher.update(Buffer.from(content, "base64"));
    this.#piece = { ...piece, part };
    if (part < parts) return;
    this.#piece = undefined;
    if (piece.hasher.digest("hex") !== hash) throw this.#bad(`the content ${hash} is another`);
    this.#blobs.add(hash);
  }

  #known(id: string): Contained {
    const run = this.#runs.get(id);
    if (!run) throw this.#bad(`it is of the run ${id}, which is not in the file`);
    return run;
  }

  #row<T>(read: () => T): T {
    try {
      return read();
    } catch (cause) {
      throw this.#bad((cause as Error).message, cause);
    }
  }

  #parse<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    throw this.#bad(issuesOf(parsed.error).slice(0, 3).join("; "));
  }

  #bad(why: string, cause?: unknown): StateError {
    return badExportError(this.#line, why, cause);
  }
}

export function badExportError(line: number, why: string, cause?: unknown): StateError {
  return new StateError({
    code: "state.bad_export",
    message: `line ${line} of the export cannot be read: ${why}. Nothing of the file was imported`,
    details: { line },
    ...(cause === undefined ? {} : { cause }),
  });
}
