// UI message. Owns: what a run has streamed, as the parts of one message of the AI SDK's protocol.
// W1. What it says follows from the pieces alone, in their order: whoever reads them again, in any process, says the same.
// W2. What a failed or lost attempt has streamed is gone from the message once its step is done again: `reset-step` takes the parts
//     back since the last `start-step`, and what others have said since then is said again.
// W3. So no step of the message begins while one that is in it may still be reset: those of branches share one.

import type { Json } from "@sentient/schema";
import type { Chunk } from "@sentient/state";
import type { UIMessageChunk } from "ai";

type Writing = "text" | "reasoning";

/** Something that is in the message since its last step began. */
type Part = { owner: string } & (
  | { kind: Writing; id: string; text: string; isOpen: boolean }
  | { kind: "whole"; chunks: UIMessageChunk[] }
);

type Piece = { type?: unknown; text?: unknown; id?: unknown; name?: unknown; [field: string]: unknown };

export class UiMessage {
  readonly #emit: (chunk: UIMessageChunk) => void;
  readonly #failed: (error: Error) => string;
  #parts: Part[] = [];
  #isBegun = false;
  #texts = 0;
  /** The steps of the run in this step of the message; whether each has said that it is done. */
  #owners = new Map<string, boolean>();
  readonly #before = new Set<string>();
  /** Of each key, what it is streaming. */
  readonly #attempts = new Map<string, number>();
  /** What a tool call is called here, by what the model calls it: models call different ones the same. */
  readonly #calls = new Map<string, string>();
  readonly #taken = new Set<string>();
  /** What is known by its id, and is changed wherever it stands. */
  readonly #notes = new Map<string, UIMessageChunk>();

  /** @param failed what is told of a tool that has failed */
  constructor(emit: (chunk: UIMessageChunk) => void, failed: (error: Error) => string) {
    this.#emit = emit;
    this.#failed = failed;
  }

  add({ n, step, attempt, ...piece }: Chunk): void {
    const before = this.#attempts.get(step);
    this.#attempts.set(step, attempt);
    const isAnew = before !== undefined && before < attempt; // also where a run was put back
    if (piece.kind === "reset" || isAnew) this.#reset(step);
    if (piece.kind === "end") this.#end(step);
    if (piece.kind === "data") this.#show(step, n, piece.data);
  }

  /** What is known of a question, beside what is streamed. */
  question(key: string, about: object): void {
    const id = `question-${key}`;
    const before = this.#notes.get(id) as { data: object } | undefined;
    this.#note(id, { type: "data-question", id, data: { key, ...before?.data, ...about } });
  }

  /** What is no part of it. */
  pass(chunk: UIMessageChunk): void {
    this.#emit(chunk);
  }

  #note(id: string, chunk: UIMessageChunk): void {
    this.#notes.set(id, chunk);
    this.#emit(chunk);
  }

  /** W2. */
  #again(): void {
    this.#emit({ type: "reset-step" });
    for (const part of this.#parts) for (const chunk of chunksOf(part)) this.#emit(chunk);
    for (const note of this.#notes.values()) this.#emit(note);
  }

  close(): void {
    for (const owner of this.#owners.keys()) this.#close(owner);
    if (this.#isBegun) this.#emit({ type: "finish-step" });
  }

  #show(owner: string, n: number, data: Json): void {
    this.#begin(owner);
    const piece: Piece = typeof data === "string" ? { type: "text", text: data } : ((data ?? {}) as Piece);
    const { type, text, id, name } = piece;
    if ((type === "text" || type === "reasoning") && typeof text === "string") this.#write(owner, type, text);
    else if (type === "tool-call" && typeof id === "string" && typeof name === "string")
      this.#call(owner, id, name, piece.args);
    else if (type === "tool-result" && typeof id === "string" && this.#calls.has(id)) this.#result(id, piece);
    else if (isOfData(piece)) this.#whole(owner, piece);
    else this.#whole(owner, { type: "data-chunk", id: `chunk-${n}`, data: { step: owner, data } });
  }

  /** W3. */
  #begin(owner: string): void {
    if (this.#owners.has(owner)) return;
    const at = placeOf(owner);
    const isOver = ([other, isDone]: [string, boolean]) =>
      (isDone || isOfRun(other)) && (placeOf(other) === at || placeOf(other).startsWith(`${at}/`));
    if (!this.#isBegun) this.#emit({ type: "start-step" });
    else if (!isOfRun(owner) && [...this.#owners].every(isOver)) {
      for (const other of this.#owners.keys()) {
        this.#close(other);
        this.#before.add(other);
      }
      this.#owners.clear();
      this.#parts = [];
      this.#emit({ type: "finish-step" });
      this.#emit({ type: "start-step" });
    }
    this.#isBegun = true;
    this.#owners.set(owner, false);
  }

  #write(owner: string, kind: Writing, text: string): void {
    if (text === "") return;
    let part = this.#parts.findLast((each) => each.owner === owner);
    if (part?.kind !== kind || !part.isOpen) {
      this.#close(owner);
      part = { owner, kind, id: `${kind}-${++this.#texts}`, text: "", isOpen: true };
      this.#parts.push(part);
      this.#emit(startOf(part.kind, part.id));
    }
    part.text += text;
    this.#emit(deltaOf(kind, part.id, text));
  }

  #call(owner: string, id: string, toolName: string, input: unknown): void {
    let toolCallId = id;
    for (let n = 2; this.#taken.has(toolCallId); n++) toolCallId = `${id}-${n}`;
    this.#taken.add(toolCallId);
    this.#calls.set(id, toolCallId);
    this.#whole(owner, { type: "tool-input-available", toolCallId, toolName, input: input ?? {} });
  }

  /** It belongs to its call, and goes where that goes. */
  #result(id: string, { output, isError }: Piece): void {
    const toolCallId = this.#calls.get(id)!;
    const chunk: UIMessageChunk =
      isError === true
        ? { type: "tool-output-error", toolCallId, errorText: this.#failed(errorOf(output)) }
        : { type: "tool-output-available", toolCallId, output: output ?? null };
    const isItsCall = (part: Part) =>
      part.kind === "whole" &&
      part.chunks.some((each) => "toolCallId" in each && each.toolCallId === toolCallId);
    const part = this.#parts.find(isItsCall);
    if (part?.kind === "whole") part.chunks.push(chunk);
    this.#emit(chunk);
  }

  #whole(owner: string, chunk: UIMessageChunk): void {
    this.#close(owner);
    this.#parts.push({ owner, kind: "whole", chunks: [chunk] });
    this.#emit(chunk);
  }

  #end(owner: string): void {
    this.#close(owner);
    if (this.#owners.has(owner)) this.#owners.set(owner, true);
  }

  #close(owner: string): void {
    for (const part of this.#parts)
      if (part.owner === owner && part.kind !== "whole" && part.isOpen) {
        part.isOpen = false;
        this.#emit(endOf(part.kind, part.id));
      }
  }

  /** W2. Where its parts stand in an earlier step, as its run was put back, nothing takes them from the message any more: that is told. */
  #reset(owner: string): void {
    if (this.#owners.has(owner)) {
      this.#owners.set(owner, false);
      const gone = this.#parts.filter((part) => part.owner === owner);
      if (gone.length === 0) return;
      this.#parts = this.#parts.filter((part) => part.owner !== owner);
      for (const part of gone)
        for (const chunk of chunksOf(part)) if ("toolCallId" in chunk) this.#taken.delete(chunk.toolCallId);
      this.#again();
    } else if (this.#before.delete(owner)) {
      const id = `reset-${owner}`;
      this.#note(id, { type: "data-reset", id, data: { step: owner } });
    }
  }
}

function isOfData(piece: Piece): piece is Extract<UIMessageChunk, { type: `data-${string}` }> {
  return typeof piece.type === "string" && piece.type.startsWith("data-");
}

function chunksOf(part: Part): UIMessageChunk[] {
  if (part.kind === "whole") return part.chunks;
  const { kind, id, text, isOpen } = part;
  return [startOf(kind, id), deltaOf(kind, id, text), ...(isOpen ? [] : [endOf(kind, id)])];
}

const startOf = (kind: Writing, id: string): UIMessageChunk => ({ type: `${kind}-start`, id });
const deltaOf = (kind: Writing, id: string, delta: string): UIMessageChunk => ({
  type: `${kind}-delta`,
  id,
  delta,
});
const endOf = (kind: Writing, id: string): UIMessageChunk => ({ type: `${kind}-end`, id });

/** The run or the branch that something stands in. */
const placeOf = (key: string) => key.slice(0, key.lastIndexOf("/"));

/** Whether it is streamed between steps. */
const isOfRun = (key: string) => key.includes("/-chunks#");

/** As its model was told. */
function errorOf(output: unknown): Error {
  const { error, code } = (output ?? {}) as { error?: unknown; code?: unknown };
  const said = typeof error === "string" ? error : output;
  const message = typeof said === "string" ? said : JSON.stringify(said);
  return Object.assign(new Error(message), typeof code === "string" ? { code } : {});
}
