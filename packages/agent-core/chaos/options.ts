// What is asked of a chaos run, by flags, or by the environment where they are left out.

import { parseArgs } from "node:util";
import { seeded } from "@sentient/testkit";

export const SABOTAGES = ["fence", "answers"] as const;
export type Sabotage = (typeof SABOTAGES)[number];

export interface Options {
  minutes: number;
  seed: number;
  workers: number;
  /** How long leases last, in milliseconds. */
  lease: number;
  /** What is taken away: then something has to be found. */
  sabotage: Sabotage | undefined;
  /** Says the plan and does nothing. */
  isPlanOnly: boolean;
}

export const USAGE = `pnpm chaos [--minutes 2] [--seed N] [--workers 4] [--lease 3000] [--sabotage ${SABOTAGES.join("|")}] [--plan]
  Workers, their database and the lines between them fail at random for so many minutes, while runs of all kinds go on.
  Then all is healed, and what is in the log and what was really done are compared. Exit code 1 if anything was lost,
  doubled, reordered or stuck. The same seed is the same plan. CHAOS_MINUTES, SEED and CHAOS_WORKERS stand for flags.`;

/** @throws `TypeError` for what cannot be understood */
export function optionsFrom(args: readonly string[], env: NodeJS.ProcessEnv): Options | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: "string", default: env.CHAOS_MINUTES ?? "2" },
      seed: { type: "string" },
      workers: { type: "string", default: env.CHAOS_WORKERS ?? "4" },
      lease: { type: "string", default: "3000" },
      sabotage: { type: "string" },
      plan: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return "help";
  return {
    minutes: numberOf("minutes", values.minutes, 0.05, 24 * 60),
    seed: values.seed === undefined ? seeded().seed : numberOf("seed", values.seed, 0, 2 ** 32 - 1),
    workers: numberOf("workers", values.workers, 2, 64),
    lease: numberOf("lease", values.lease, 1_000, 60_000),
    sabotage: sabotageOf(values.sabotage),
    isPlanOnly: values.plan,
  };
}

function numberOf(name: string, text: string, least: number, most: number): number {
  const number = Number(text);
  if (number >= least && number <= most) return number;
  throw new TypeError(`--${name} is a number from ${least} to ${most}, not "${text}"`);
}

function sabotageOf(name: string | undefined): Sabotage | undefined {
  const known = SABOTAGES.find((each) => each === name);
  if (name === known) return known;
  throw new TypeError(`--sabotage is one of ${SABOTAGES.join(", ")}, not "${name}"`);
}
