// What is to happen, drawn beforehand: the same seed is the same plan, whatever comes of it.

import { seeded, type SeededRandom } from "@sentient/testkit";
import { drawInput, type Input, type Kind } from "./work.ts";

export const FAULTS = [
  "worker killed",
  "worker frozen",
  "worker stopped",
  "clock jumped",
  "database killed",
  "database frozen",
  "line silent",
  "line reset",
  "line cut",
  "line slow",
  "replies lost",
] as const;
export type Fault = (typeof FAULTS)[number];

/** Who dies often is not there to lose a line. */
const WEIGHTS: Record<Fault, number> = {
  "worker killed": 6,
  "worker frozen": 5,
  "worker stopped": 2,
  "clock jumped": 3,
  "database killed": 2,
  "database frozen": 1,
  "line silent": 4,
  "line reset": 4,
  "line cut": 4,
  "line slow": 3,
  "replies lost": 4,
};

export interface PlannedFault {
  /** Milliseconds after the beginning. */
  at: number;
  fault: Fault;
  /** From 0 up to 1: which of those that are there then it strikes, and how hard. */
  victim: number;
  size: number;
}

export type Asked = "pause" | "cancel" | "cancel by force";

export interface PlannedRun {
  /** Under which it is started. */
  key: string;
  kind: Kind;
  input: Input;
  /** What somebody asks of it, so many milliseconds after it was started. */
  asked: { what: Asked; after: number; resumeAfter: number } | undefined;
}

/** Until `ms` milliseconds have passed. */
export function planFaults(seed: number, ms: number): PlannedFault[] {
  const random = seeded(seed);
  const plan: PlannedFault[] = [];
  for (let at = 1_500 + random.int(1_000); at < ms; at += 300 + random.int(2_000))
    plan.push({ at, fault: drawFault(random), victim: random.next(), size: random.next() });
  return plan;
}

function drawFault(random: SeededRandom): Fault {
  return random.pick(FAULTS.flatMap((fault) => Array.from({ length: WEIGHTS[fault] }, () => fault)));
}

const KINDS: readonly Kind[] = [
  "count",
  "count",
  "nap",
  "listen",
  "ask",
  "family",
  "fan",
  "say",
  "saga",
  "flaky",
];

/** One after another, without end: as many are begun as there is time for. */
export function* planRuns(seed: number): Generator<PlannedRun, never, undefined> {
  const random = seeded(seed + 1);
  for (let i = 0; ; i++) {
    const kind = random.pick(KINDS);
    const input = drawInput(kind, random);
    yield { key: `chaos-${i}`, kind, input, asked: drawAsked(random) };
  }
}

function drawAsked(random: SeededRandom): PlannedRun["asked"] {
  const lot = random.int(12);
  const [after, resumeAfter] = [random.int(4_000), random.int(4_000)];
  if (lot > 3) return undefined;
  const what = lot < 2 ? "pause" : lot === 2 ? "cancel" : "cancel by force";
  return { what, after, resumeAfter };
}
