import type { Statement } from "@sentient/db-pool";
import type { Entry } from "@sentient/event-bus";
import type { Sentient } from "../../src/index.ts";

/** Neither what is expected of a run nor its token is asked any more, and a renewal does not tell what is lost. */
export function takeFenceDown({ events: { log }, state }: Sentient): void {
  state.renew = () => Promise.resolve({ held: [], lost: [] });
  const append = log.append.bind(log);
  const isToken = (statement: Statement) => /^\{\s*IF \(SELECT VALUE \[token, seek/.test(statement.text);
  log.append = ({ expected: _, statements = [], ...entry }: Entry, more) => {
    const all = typeof statements === "function" ? statements : () => statements;
    return append(
      { ...entry, statements: (placed, at) => all(placed, at).filter((each) => !isToken(each)) },
      more,
    );
  };
}
