import { ident, surql, type Statement } from "@sentient/db-pool";
import type { CheckedQuery } from "./options.ts";

/** What a memory has to be, besides near to what is looked for; the fields are those of memories and of their vectors. */
export function filterOf(query: CheckedQuery): Statement {
  const { after, before, tags } = query;
  const conditions = [
    ...whose("agent", query),
    ...whose("thread", query),
    ...(after === undefined ? [] : [surql`at >= ${after}`]),
    ...(before === undefined ? [] : [surql`at < ${before}`]),
    ...(tags.length === 0 ? [] : [surql`tags CONTAINSALL ${tags}`]),
  ];
  return conditions.reduce((all, one) => surql`${all} AND ${one}`, conditions.shift() ?? surql`true`);
}

/** Of one agent or thread, of none, or of either; nothing for those of all. */
export function whose(field: "agent" | "thread", query: CheckedQuery): Statement[] {
  const { [field]: one, shared } = query;
  if (one === undefined) return [];
  const name = ident(field);
  if (one === null) return [surql`${name} IS NONE`];
  return [shared ? surql`(${name} = ${one} OR ${name} IS NONE)` : surql`${name} = ${one}`];
}

export function isNarrowed({ agent, thread, after, before, tags }: CheckedQuery): boolean {
  return [agent, thread, after, before].some((each) => each !== undefined) || tags.length > 0;
}
