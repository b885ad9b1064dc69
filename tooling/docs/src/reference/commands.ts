import { createProgram } from "@sentient/cli";
import type { Command } from "commander";
import { code, page, table } from "../markdown.ts";

export function commands(): string {
  return page(
    "Commands",
    "Every command of `sentient`. `--help` says the same. All but `completion` have `--json`.",
    ...leavesOf(createProgram()).flatMap(([words, command]) => pageOf(words, command)),
  );
}

function leavesOf(command: Command, words: readonly string[] = []): [words: string, command: Command][] {
  const path = [...words, command.name()];
  const below = command.commands.filter((each) => each.name() !== "complete");
  if (below.length === 0) return [[path.join(" "), command]];
  return below.flatMap((each) => leavesOf(each, path));
}

function pageOf(words: string, command: Command): string[] {
  const args = command.registeredArguments.map((each) => {
    const name = `${each.name()}${each.variadic ? "..." : ""}`;
    return [code(each.required ? `<${name}>` : `[${name}]`), each.description, shown(each.defaultValue)];
  });
  const options = command.options.map((each) => [
    code(each.flags),
    `${each.description}${each.argChoices ? ` (${each.argChoices.join(", ")})` : ""}`,
    // who runs this is not what it says
    each.attributeName() === "by" ? "you" : shown(each.defaultValue),
  ]);
  const rows = [...args, ...options];
  return [
    `## ${words}`,
    command.description(),
    ...(rows.length > 0 ? [table(["Word", "Is", "If left out"], rows)] : []),
    ["```sh", ...examplesOf(command), "```"].join("\n"),
  ];
}

/** As its help has them. */
function examplesOf(command: Command): string[] {
  let help = "";
  command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  const lines = [...help.matchAll(/^ {2}\$ (.*?)(?: {2,}(.*))?$/gm)];
  return lines.map(([, line, what]) => (what ? `${line} # ${what}` : line!));
}

function shown(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? code(String(value)) : "";
}
