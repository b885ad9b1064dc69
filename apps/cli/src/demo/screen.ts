// Screen. Owns: showing how far it is. On a terminal a picture that is drawn again in place, and plain lines anywhere else.

import { colour, duration, isAnimated, printable } from "../print.ts";
import { PHASES, type Phase, type Progress, type Told } from "./progress.ts";

const FRAME_MS = 80;
const SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏";
const BAR_WIDTH = 24;
/** The last events below the bars. */
const SHOWN_EVENTS = 5;

const WORDS: Record<Phase["name"], string> = {
  index: "read files into the index",
  plan: "find the questions in the question",
  read: "search and pick sentences",
  write: "write the answer",
  review: "look every citation up",
  ask: "ask before it is written",
  publish: "write the report",
};

export interface Screen {
  told(told: Told): void;
  /** Takes the picture away while a person types, and puts it back. */
  pause(): void;
  resume(): void;
  /** Leaves the last picture where it is. */
  end(): void;
  /** A line that stays, above the picture. */
  say(line: string): void;
}

export function screenFor(progress: Progress, stream: NodeJS.WriteStream): Screen {
  return isAnimated(stream) ? new Animated(progress, stream) : new Plain(progress, stream);
}

class Plain implements Screen {
  readonly #progress: Progress;
  readonly #stream: NodeJS.WriteStream;
  readonly #seen = new Map<string, string>();

  constructor(progress: Progress, stream: NodeJS.WriteStream) {
    this.#progress = progress;
    this.#stream = stream;
  }

  told({ line, event }: Told): void {
    if (!event.type.startsWith("step.completed")) this.say(`${eventPrefix(event)} ${printable(line)}`);
    for (const name of PHASES) {
      const phase = this.#progress.phases[name];
      if (phase.status !== "done" || this.#seen.get(name) === "done") continue;
      this.#seen.set(name, "done");
      this.say(`done: ${WORDS[name]}${inBrackets(phase)}`);
    }
  }

  pause(): void {}
  resume(): void {}
  end(): void {}

  say(line: string): void {
    this.#stream.write(`${line}\n`);
  }
}

class Animated implements Screen {
  readonly #progress: Progress;
  readonly #stream: NodeJS.WriteStream;
  readonly #last: Told[] = [];
  #drawn = 0;
  #frame = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(progress: Progress, stream: NodeJS.WriteStream) {
    this.#progress = progress;
    this.#stream = stream;
    this.resume();
  }

  told(told: Told): void {
    this.#last.push(told);
    if (this.#last.length > SHOWN_EVENTS) this.#last.shift();
  }

  pause(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#draw();
    this.#drawn = 0;
    this.#stream.write("\u001B[?25h");
  }

  resume(): void {
    this.#stream.write("\u001B[?25l"); // the cursor would jump about
    this.#timer ??= setInterval(() => this.#draw(), FRAME_MS);
  }

  end(): void {
    if (this.#timer) this.pause();
  }

  say(line: string): void {
    this.#clear();
    this.#stream.write(`${line}\n`);
    this.#draw();
  }

  #clear(): void {
    if (this.#drawn > 0) this.#stream.write(`\u001B[${this.#drawn}A\u001B[0J`);
    this.#drawn = 0;
  }

  #draw(): void {
    const width = this.#stream.columns || 80;
    const lines = [
      ...PHASES.map((name) => this.#phaseLine(this.#progress.phases[name])),
      "",
      ...this.#last.map(({ line, event }) =>
        colour("dim", fit(`  ${eventPrefix(event)} ${printable(line)}`, width), this.#stream),
      ),
    ];
    this.#clear();
    this.#stream.write(`${lines.join("\n")}\n`);
    this.#drawn = lines.length;
    this.#frame++;
  }

  #phaseLine(phase: Phase): string {
    const paint = (style: Parameters<typeof colour>[0], text: string) => colour(style, text, this.#stream);
    const words = WORDS[phase.name].padEnd(36);
    switch (phase.status) {
      case "ahead":
        return paint("dim", `  · ${words}`);
      case "done":
        return `  ${paint("green", "✔")} ${words}${paint("dim", `${amountOf(phase)}${tookOf(phase)}`.trimStart())}`;
      case "under way": {
        const spinner = paint("cyan", SPINNER[this.#frame % SPINNER.length]!);
        return `  ${spinner} ${words}${phase.total > 0 ? `${this.#bar(phase)} ${phase.done}/${phase.total}` : ""}`;
      }
    }
  }

  #bar({ done, total }: Phase): string {
    const filled = Math.round((BAR_WIDTH * Math.min(done, total)) / total);
    const bar = colour("cyan", "█".repeat(filled), this.#stream);
    return `${bar}${colour("dim", "░".repeat(BAR_WIDTH - filled), this.#stream)}`;
  }
}

function eventPrefix({ position }: Told["event"]): string {
  return `#${String(position).padEnd(5)}`;
}

function amountOf({ name, done, total }: Phase): string {
  if (name === "index") return total > 0 ? ` ${total} files` : " nothing has changed";
  if (name === "read") return ` ${done} readers`;
  return name === "review" && done > 0 ? ` ${done} files` : "";
}

/** How long it took, if it is over. */
function durationOf({ beganAt, endedAt }: Phase): string | undefined {
  return beganAt && endedAt ? duration(endedAt.getTime() - beganAt.getTime()) : undefined;
}

function tookOf(phase: Phase): string {
  const took = durationOf(phase);
  return took === undefined ? "" : ` in ${took}`;
}

function inBrackets(phase: Phase): string {
  const said = [amountOf(phase).trim(), durationOf(phase)].filter(Boolean);
  return said.length > 0 ? ` (${said.join(", ")})` : "";
}

function fit(line: string, width: number): string {
  return line.length <= width ? line : `${line.slice(0, width - 1)}…`;
}
