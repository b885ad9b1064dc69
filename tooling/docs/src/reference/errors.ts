import { STATUS } from "@sentient/api";
import { EXPLAINED, type Code } from "../explained.ts";
import { code, page, table } from "../markdown.ts";

const FAMILIES: Readonly<Record<string, string>> = {
  agent: "Agents and workflows",
  api: "The HTTP API",
  cli: "The command line",
  db: "The database",
  event_bus: "The log",
  schema: "Tables and migrations",
  state: "Runs",
};

export function errors(): string {
  const codes = Object.keys(EXPLAINED) as Code[];
  const groups = Map.groupBy(codes, (each) => each.split(".")[0]!);
  return page(
    "Errors",
    "Every error is a `SentientError` with a `code`: match that, and never the message. `retryable` says whether the very same call may succeed later; `outcome` says whether it may have taken effect: `not_applied`, or `unknown`, which asks to look before it is repeated. The API answers with the status and `application/problem+json`.",
    ...[...groups].flatMap(([family, those]) => [
      `## ${FAMILIES[family]}`,
      table(
        ["Code", "HTTP", "Says", "What to do"],
        those.map((each) => [
          code(each),
          String((STATUS as Record<string, number>)[each] ?? ""),
          ...EXPLAINED[each],
        ]),
      ),
    ]),
  );
}
