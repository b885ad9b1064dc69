// Answer. Owns: the report: what was found as Markdown, with a number at each sentence that says where it stands.

import { distinct, isSaidBy, type Finding } from "./reading.ts";

export interface Section {
  title: string;
  findings: Finding[];
}

/** A sentence in a model's words, and the quotes it stands on, by their keys. */
export interface Said {
  text: string;
  cites: string[];
}

export interface Draft {
  question: string;
  /** What a model has made of the quotes, if there is one. */
  said?: Said[];
  sections: Section[];
  unknown: string[];
}

const IN_SHORT = 4;
const IN_SECTION = 4;

/** The best of all, and then what each reader found beside that. */
export function draftOf(question: string, read: readonly Section[], unknown: readonly string[]): Draft {
  const [whole, ...others] = read;
  const short = spread(distinct(whole?.findings ?? []), 2).slice(0, IN_SHORT);
  const said = [...short];
  const sections = others.flatMap(({ title, findings }) => {
    const own = spread(
      findings.filter((finding) => !isSaidBy(said, finding)),
      3,
    ).slice(0, IN_SECTION);
    said.push(...own);
    return own.length > 0 ? [{ title, findings: own }] : [];
  });
  return {
    question,
    sections: short.length > 0 ? [{ title: "In short", findings: short }, ...sections] : [],
    unknown: [...unknown],
  };
}

/** No more than so many of one file. */
function spread(findings: readonly Finding[], most: number): Finding[] {
  const counts = new Map<string, number>();
  return findings.filter(({ file }) => {
    const count = (counts.get(file) ?? 0) + 1;
    counts.set(file, count);
    return count <= most;
  });
}

export function keyOf({ file, from, quote }: Finding): string {
  return `${file}:${from}:${quote}`;
}

/** Of a report, beside what it says. */
export interface Imprint {
  /** Which model took part. */
  model?: string | undefined;
  files: number;
  passages: number;
  /** Citations that were looked up, and those among them that were not there. */
  checked: number;
  removed: readonly { file: string; from: number; quote: string; why: string }[];
  /** Sentences of the model that named no true quote. */
  unfounded: number;
  /** A file, as the report is to name it, and how to get there from where it will lie. */
  link: (file: string) => { name: string; href: string };
}

export function markdownOf({ question, said = [], sections, unknown }: Draft, imprint: Imprint): string {
  const sources: Finding[] = [];
  const numberOf = (finding: Finding) => {
    const at = sources.findIndex((other) => keyOf(other) === keyOf(finding));
    return at >= 0 ? at + 1 : sources.push(finding);
  };
  const quotes = new Map(sections.flatMap(({ findings }) => findings.map((each) => [keyOf(each), each])));
  const answer = said.map(({ text, cites }) => {
    const numbers = cites.map((key) => `[${numberOf(quotes.get(key)!)}]`);
    return `${text} ${numbers.join("")}`;
  });
  const body = sections.map(({ title, findings }) =>
    [`## ${title}`, "", ...findings.map((each) => `- ${shown(each.quote)} [${numberOf(each)}]`)].join("\n"),
  );
  return [
    `# ${question}`,
    introduction(imprint),
    ...(answer.length > 0 ? [`## Answer\n\n${answer.join(" ")}`] : []),
    ...(body.length > 0 ? body : ["These files say nothing about that."]),
    ...(unknown.length > 0 ? [`## Not found\n\nNo file has the words ${unknown.join(", ")}.`] : []),
    ...(sources.length > 0 ? [sourcesText(sources, imprint)] : []),
    checkText(imprint),
  ]
    .join("\n\n")
    .concat("\n");
}

function introduction({ files, passages, model }: Imprint): string {
  const from = `quoted from one of ${files} files (${passages} passages), with the line where it stands`;
  return model === undefined
    ? `*Every sentence is ${from}. No language model took part.*`
    : `*The answer is in the words of the model ${model}; what it stands on is ${from}.*`;
}

function sourcesText(sources: readonly Finding[], { link }: Imprint): string {
  const lines = sources.map(({ file, from, to, heading }, at) => {
    const { name, href } = link(file);
    const place = to > from ? `${from}-${to}` : `${from}`;
    return `${at + 1}. [${name}:${place}](${href}#L${from})${heading === "" ? "" : ` · ${heading}`}`;
  });
  return ["## Sources", "", ...lines].join("\n");
}

function checkText({ checked, removed, unfounded }: Imprint): string {
  const left =
    unfounded > 0 ? `${unfounded} sentences of the model named no such citation and were taken out; ` : "";
  const verdict = `${left}${checked} citations were looked up in their files: ${checked - removed.length} stand there word for word`;
  if (removed.length === 0) return `## Review\n\n${verdict}.`;
  const lines = removed.map(({ file, from, why }) => `- ${file}:${from}: ${why}`);
  return `## Review\n\n${verdict}, ${removed.length} did not and were taken out:\n\n${lines.join("\n")}`;
}

/** Cells of a table read better with dashes between them. */
function shown(quote: string): string {
  return quote.replaceAll(" | ", " — ");
}
