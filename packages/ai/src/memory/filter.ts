import { surql, type Statement } from "@sentient/db-pool";
import type { CheckedQuery } from "./options.ts";

/** What a memory has to be, besides near to what is looked for; the fields are those of memories and of their vectors. */
export function filterOf({ agent, thread, after, before, tags }: CheckedQuery): Statement {
  const conditions = [
    ...(agent === undefined ? [] : [surql`agent = ${agent}`]),
    ...(thread === undefined ? [] : [surql`thread = ${thread}`]),
    ...(after === undefined ? [] : [surql`at >= ${after}`]),
    ...(before === undefined ? [] : [surql`at < ${before}`]),
    ...(tags.length === 0 ? [] : [surql`tags CONTAINSALL ${tags}`]),
  ];
  return conditions.reduce((all, one) => surql`${all} AND ${one}`, conditions.shift() ?? surql`true`);
}

export function isNarrowed({ agent, thread, after, before, tags }: CheckedQuery): boolean {
  return [agent, thread, after, before].some((each) => each !== undefined) || tags.length > 0;
}
