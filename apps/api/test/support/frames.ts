import { get, type ClientRequest, type IncomingMessage } from "node:http";
import { once } from "node:events";

export interface Seen {
  id: string | undefined;
  event: string;
  data: string;
}

/** A connection to a stream, as any program would have it; read by hand. */
export class StreamReader {
  readonly request: ClientRequest;
  readonly response: IncomingMessage;
  #text = "";
  #isOver = false;

  private constructor(request: ClientRequest, response: IncomingMessage) {
    this.request = request;
    this.response = response;
    response.setEncoding("utf8").on("data", (text: string) => (this.#text += text));
    response.on("close", () => (this.#isOver = true)).on("error", () => {});
  }

  static async open(url: string, token: string, headers: Record<string, string> = {}): Promise<StreamReader> {
    const request = get(url, { headers: { authorization: `Bearer ${token}`, ...headers }, agent: false });
    request.on("error", () => {});
    const [response] = (await once(request, "response")) as [IncomingMessage];
    return new StreamReader(request, response);
  }

  get text(): string {
    return this.#text;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whole frames so far that hold data. */
  get frames(): Seen[] {
    return framesIn(this.#text);
  }

  /** Cuts it, without a word. */
  cut(): void {
    this.request.destroy();
  }
}

export function framesIn(text: string): Seen[] {
  return text
    .split("\n\n")
    .slice(0, -1)
    .map(frameOf)
    .filter(({ data }) => data !== "");
}

function frameOf(text: string): Seen {
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(text)?.[1];
  return { id: field("id"), event: field("event") ?? "message", data: field("data") ?? "" };
}

/** The place in the log of a frame. */
export const positionOf = ({ data }: Seen): number => (JSON.parse(data) as { position: number }).position;
