import { Agent, request, type IncomingMessage } from "node:http";
import { median, percentile } from "@sentient/testkit";

const agent = new Agent({ keepAlive: true, maxSockets: 256 });

export interface Ask {
  url: string;
  token: string;
  method?: string;
  body?: object;
}

export function ask({ url, token, method = "GET", body }: Ask): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const headers = {
    authorization: `Bearer ${token}`,
    ...(body ? { "content-type": "application/json" } : {}),
  };
  const asked = request(url, { agent, method, headers }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (part: string) => (text += part));
    response.on("end", () => {
      if (response.statusCode! < 300) resolve(text);
      else reject(new Error(`${method} ${url}: ${response.statusCode} ${text}`));
    });
  });
  asked.on("error", reject).end(body ? JSON.stringify(body) : undefined);
  return promise;
}

/** A connection to a stream. */
export function open({ url, token }: Ask, onData: (text: string) => void): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request(url, { agent: false, headers: { authorization: `Bearer ${token}` } }, (response) => {
    response
      .setEncoding("utf8")
      .on("data", onData)
      .on("error", () => {});
    resolve(response);
  })
    .on("error", reject)
    .end();
  return promise;
}

export interface Load {
  perSecond: number;
  /** Milliseconds. */
  p99: number;
}

/** So many calls, so many of them at once. */
export async function load(
  call: (i: number) => Promise<unknown>,
  calls: number,
  inFlight: number,
): Promise<Load> {
  const took: number[] = [];
  let next = 0;
  const began = performance.now();
  const worker = async () => {
    for (let i = next++; i < calls; i = next++) {
      const start = performance.now();
      await call(i);
      took.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return { perSecond: (calls * 1_000) / (performance.now() - began), p99: percentile(took, 0.99) };
}

/** The medians of some rounds, and their extent. */
export function rowsOf(name: string, rounds: readonly Load[], raw: readonly Load[]) {
  const of = (loads: readonly Load[], field: keyof Load) => loads.map((each) => each[field]);
  return (["perSecond", "p99"] as const).map((field) => {
    const values = of(rounds, field);
    const theirs = median(of(raw, field));
    const middle = median(values);
    return {
      name: field === "p99" ? `${name}, p99` : name,
      unit: field === "p99" ? "ms" : "requests/s",
      median: middle,
      min: Math.min(...values),
      max: Math.max(...values),
      raw: theirs,
      ratio: middle / theirs,
    };
  });
}
