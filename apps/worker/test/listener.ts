// Who follows the log over HTTP, as a program that knows nothing of us: curl, where this machine has it.

import { spawn, spawnSync } from "node:child_process";
import { get } from "node:http";
import { until } from "@sentient/testkit";

export const LISTENER = spawnSync("curl", ["--version"]).status === 0 ? "curl --no-buffer" : "node:http";

export interface Told {
  /** Where to go on. */
  id: string;
  event: { position: number; type: string };
}

interface Connection {
  text: () => string;
  isOver: () => boolean;
  cut: () => void;
}

/** One connection to a stream of events. */
export class Listener {
  readonly #connection: Connection;

  constructor(url: string, token: string, lastEventId?: string) {
    const headers: Record<string, string> = {
      authorization: `Bearer ${token}`,
      ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
    };
    this.#connection = LISTENER === "node:http" ? overHttp(url, headers) : overCurl(url, headers);
  }

  /** Where it begins, or where it was last told to. */
  get place(): string | undefined {
    return [...this.#connection.text().matchAll(/^id: (.+)$/gm)].at(-1)?.[1];
  }

  /** What it was told so far. */
  get told(): Told[] {
    const frames = this.#connection.text().split("\n\n").slice(0, -1);
    return frames.flatMap((frame): Told[] => {
      const [, id] = /^id: (.+)$/m.exec(frame) ?? [];
      const [, data] = /^data: (.+)$/m.exec(frame) ?? [];
      return id === undefined || data === undefined ? [] : [{ id, event: JSON.parse(data) as Told["event"] }];
    });
  }

  async untilTold(isEnough: (told: readonly Told[]) => boolean): Promise<Told[]> {
    return until(
      () => {
        const { told } = this;
        if (isEnough(told)) return told;
        if (this.#connection.isOver()) throw new Error(`it ended, and had said ${this.#connection.text()}`);
        return undefined;
      },
      { what: "more events", deadline: 60_000 },
    );
  }

  cut(): void {
    this.#connection.cut();
  }
}

function overCurl(url: string, headers: Record<string, string>): Connection {
  const said = Object.entries(headers).flatMap(([name, value]) => ["--header", `${name}: ${value}`]);
  const child = spawn("curl", ["--no-buffer", "--silent", "--show-error", ...said, url]);
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (more: string) => (text += more));
  child.stderr.setEncoding("utf8").on("data", (more: string) => (text += more));
  return {
    text: () => text,
    isOver: () => child.exitCode !== null,
    cut: () => void child.kill("SIGKILL"),
  };
}

function overHttp(url: string, headers: Record<string, string>): Connection {
  let text = "";
  let isOver = false;
  const request = get(url, { headers, agent: false }, (response) => {
    response.setEncoding("utf8").on("data", (more: string) => (text += more));
    response.on("close", () => (isOver = true)).on("error", () => {});
  });
  request.on("error", () => (isOver = true));
  return { text: () => text, isOver: () => isOver, cut: () => void request.destroy() };
}
