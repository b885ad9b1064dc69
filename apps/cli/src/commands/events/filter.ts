import type { EventFilter } from "@sentient/event-bus";
import { Option } from "commander";
import { collect, defined } from "../../options.ts";

export interface FilterFlags {
  run?: string;
  type?: string[];
  correlation?: string;
  target?: string;
}

export function filterOptions(): Option[] {
  return [
    new Option("--run <run>", "of one run"),
    new Option("-t, --type <type>", "of a type, or of all below one: step.*; may be given again").argParser(
      collect,
    ),
    new Option("--correlation <id>", "that belong together"),
    new Option("--target <name>", "about one agent"),
  ];
}

export function filterOf({ run, type, correlation, target }: FilterFlags): EventFilter {
  return defined({ run, types: type, correlation, target });
}
