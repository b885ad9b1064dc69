import type { AuditRecord } from "@sentient/state";
import { Option } from "commander";
import { defineCommand, defineGroup } from "../command.ts";
import { openSentient } from "../open.ts";
import { defined, limitOption, wholeNumber } from "../options.ts";
import { count, note, printable, table } from "../print.ts";
import { cut } from "../show.ts";

interface ListFlags {
  what?: string;
  who?: string;
  before?: number;
  limit: number;
}

const listAudit = defineCommand<ListFlags>({
  name: "list",
  summary: "list who was let do what, the latest first",
  description:
    "Lists who made and revoked tokens, answered questions, exported, restored or removed something, and who was not let in by the API, the latest first.",
  options: [
    new Option("--what <what>", "of one kind, such as auth.failed"),
    new Option("--who <name>", "of one person or address"),
    new Option("--before <number>", "older than that record").argParser(wholeNumber),
    limitOption("records", 20),
  ],
  examples: [
    ["sentient audit list", "the last twenty"],
    ["sentient audit list --what auth.failed -n 100", "who was not let in"],
  ],
  run: async (_, { what, who, before, limit, ...flags }) => {
    await using opened = await openSentient(flags);
    const page = await opened.sentient.state.audit.list({ ...defined({ what, by: who, before }), limit });
    if (page.records.length === 0 && !flags.json) note("no record meets that");
    return { json: page, lines: linesOf(page.records) };
  },
});

function linesOf(records: readonly AuditRecord[]): string[] {
  if (records.length === 0) return [];
  const rows = records.map(({ n, at, what, by, data }) => [
    String(n),
    at.toISOString(),
    what,
    printable(by),
    cut(JSON.stringify(data)),
  ]);
  return table(["N", "WHEN", "WHAT", "WHO", "OF"], rows);
}

const verifyAudit = defineCommand<{ n?: number; hash?: string }>({
  name: "verify",
  summary: "look whether all records are as they were made",
  description:
    "Looks whether all records are as they were made, by the hash that each holds of all before it, and prints how many there are and the hash of the last. Note these elsewhere, and say them the next time: that all of it was written anew only they can tell. Ends with 1 if something was changed.",
  options: [
    new Option("--n <number>", "the number that was noted").argParser(wholeNumber),
    new Option("--hash <hash>", "the hash that was noted with it"),
  ],
  examples: [
    ["sentient audit verify", "of all there are"],
    ["sentient audit verify --n 17 --hash 9f86d0…", "and whether that is still what was noted"],
  ],
  run: async (_, { n, hash, ...flags }) => {
    await using opened = await openSentient(flags);
    const verified = await opened.sentient.state.audit.verify(defined({ n, hash }));
    if (!verified.ok) return { json: verified, lines: [verified.message], status: 1 };
    const { records, hash: last } = verified;
    const words = `${count(records, "record")}, all as they were made`;
    return { json: verified, lines: [last === undefined ? words : `${words}; the last is ${last}`] };
  },
});

export const auditCommand = defineGroup("audit", "who was let do what, and who was not let in", [
  listAudit,
  verifyAudit,
]);
