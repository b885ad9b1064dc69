// Planning. Owns: what is asked of the readers: the question, its parts, and what the files themselves say belongs to it.

import type { Library } from "./library.ts";
import type { Weights } from "./reading.ts";
import { clausesOf, termsOf, weightOf } from "./question.ts";

/** One reader's part. */
export interface Task {
  title: string;
  /** What is searched for. */
  words: string;
  weights: Weights;
  /** Only what stands under that heading. */
  under?: string;
}

export interface Plan {
  tasks: Task[];
  /** Words of the question that stand in no file. */
  unknown: string[];
}

const MOST_TOPICS = 4;
/** What belongs to the question counts less than the question. */
const TOPIC_WEIGHT = 0.5;

/** @param split the smaller questions in it; if left out they are found in its words, and in what the files say beside them */
export async function plan(question: string, library: Library, split?: readonly string[]): Promise<Plan> {
  const terms = termsOf(question);
  const passages = await library.size();
  const frequencies = await library.frequencies(terms);
  const known = terms.filter((_, at) => frequencies[at]! > 0);
  const weights = await weigh(terms, frequencies, passages, library);
  const whole = { title: question, words: known.join(" "), weights };
  const parts = split
    ? split.map((title) => ({ title, words: termsOf(title).join(" "), factor: 1 }))
    : clausesOf(question).map((title) => partOf(title, known));
  const topics = split ? [] : await topicsOf(whole, library);
  return {
    tasks: [
      whole,
      ...(await Promise.all(parts.map((part) => weighed(part, weights, library)))),
      ...(await Promise.all(topics.map((topic) => weighed(topic, weights, library)))),
    ].filter(({ words }) => words !== ""),
    unknown: terms.filter((_, at) => frequencies[at] === 0),
  };
}

async function weigh(
  terms: readonly string[],
  frequencies: readonly number[],
  passages: number,
  library: Library,
): Promise<Weights> {
  const stems = terms.length > 0 ? await library.stems(terms) : [];
  return Object.fromEntries(
    stems.flatMap((each, at) => each.map((stem) => [stem, weightOf(frequencies[at]!, passages)])),
  );
}

function partOf(title: string, known: readonly string[]) {
  const own = termsOf(title).filter((term) => known.includes(term));
  return { title: `${title[0]!.toUpperCase()}${title.slice(1)}?`, words: own.join(" "), factor: 1 };
}

/** Headings under which the question is spoken of most, each a topic of its own. */
async function topicsOf({ words }: Task, library: Library) {
  if (words === "") return [];
  const scores = new Map<string, number>();
  for (const { heading, score } of await library.search(words, 40)) {
    if (heading.includes(" › ")) scores.set(heading, (scores.get(heading) ?? 0) + score); // the title of a file is no topic
  }
  return [...scores]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, MOST_TOPICS)
    .map(([under]) => {
      const title = under.split(" › ").at(-1)!;
      return { title, under, words: `${termsOf(title).join(" ")} ${words}`, factor: TOPIC_WEIGHT };
    });
}

async function weighed(
  { title, words, factor, under }: Omit<Task, "weights"> & { factor: number },
  question: Weights,
  library: Library,
): Promise<Task> {
  const terms = termsOf(title);
  const passages = await library.size();
  const own = await weigh(terms, await library.frequencies(terms), passages, library);
  const weights = { ...(factor < 1 ? question : {}) };
  for (const [stem, weight] of Object.entries(own))
    weights[stem] = Math.max(weights[stem] ?? 0, weight * factor);
  return { title, words, weights, ...(under === undefined ? {} : { under }) };
}
