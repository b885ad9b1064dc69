// Script. Owns: what people and other systems say in a test, said as soon as somebody waits for it.

import type { Json, ListedQuestion, State } from "@sentient/state";
import { nameIn } from "./crashes.ts";
import { openRuns } from "./due.ts";

/** JSON, or what makes it; `undefined` says nothing yet. */
export type Scripted<Asked> = Json | ((asked: Asked) => Json | undefined);

export interface Script {
  /** By the names of questions: `{ approve: true }`. */
  answers?: Readonly<Record<string, Scripted<ListedQuestion>>>;
  /** By the names of signals, for whoever waits for one. */
  signals?: Readonly<Record<string, Scripted<{ run: string }>>>;
}

/** @returns whether something was said @throws `state.invalid_answer` for an answer that is none */
export async function say({ answers = {}, signals = {} }: Script, state: State): Promise<boolean> {
  let isSaid = false;
  for (const question of isEmpty(answers) ? [] : await openQuestions(state)) {
    const answer = saidTo(answers[nameIn(question.key)], question);
    if (answer === undefined) continue;
    await state.answer(question.run, question.key, answer, { by: "script" });
    isSaid = true;
  }
  for (const run of isEmpty(signals) ? [] : await openRuns(state)) {
    const names = run.status === "waiting" ? run.waitingFor.flatMap((wait) => signalOf(wait)) : [];
    for (const name of names) {
      const data = saidTo(signals[name], { run: run.id });
      if (data === undefined) continue;
      await state.signal(run.id, name, data);
      isSaid = true;
    }
  }
  return isSaid;
}

function isEmpty(said: object): boolean {
  return Object.keys(said).length === 0;
}

async function openQuestions(state: State): Promise<ListedQuestion[]> {
  const all: ListedQuestion[] = [];
  for (let after: number | undefined; ;) {
    const { questions, next } = await state.questions.list(after === undefined ? {} : { after });
    all.push(...questions);
    if (next === undefined) return all;
    after = next;
  }
}

function signalOf(wait: { for: string; name?: string }): string[] {
  return wait.for === "signal" ? [wait.name!] : [];
}

function saidTo<Asked>(scripted: Scripted<Asked> | undefined, asked: Asked): Json | undefined {
  return typeof scripted === "function" ? scripted(asked) : scripted;
}
