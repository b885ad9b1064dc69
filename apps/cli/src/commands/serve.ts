import { Option } from "commander";
import { usage } from "../cli-error.ts";
import { defineCommand } from "../command.ts";
import { untilInterrupted } from "../interrupted.ts";
import { configFrom, openConfigured } from "../open.ts";
import { wholeNumber } from "../options.ts";
import { jsonLine, note, out } from "../print.ts";
import { serveBeside } from "@sentient/agent-core/config";

export const serveCommand = defineCommand<{ port?: number }>({
  name: "serve",
  summary: "serve an embedded database to the other processes of this machine",
  description:
    "Owns the database in a folder and serves it on the loopback address, over SurrealDB's own protocol, until you end it. Commands, workers and APIs of this machine that are pointed at the folder find it by themselves; others connect with the URL and the token. The token is SENTIENT_SERVE_TOKEN, or made anew; it stands in sentient.served.json beside the data, which only you can read.",
  options: [new Option("--port <number>", "where (default: any that is free)").argParser(wholeNumber)],
  examples: [
    ["sentient serve", "the default folder"],
    ["sentient serve --url rocksdb:///data/app --port 8000", "for workers elsewhere on this machine"],
  ],
  run: async (_, flags) => {
    const { config, env } = await configFrom(flags);
    await using db = await openConfigured(config, { mayMake: true, lasting: true });
    const token = env.SENTIENT_SERVE_TOKEN;
    await using served = await serveBeside(db, {
      ...(flags.port === undefined ? {} : { port: flags.port }),
      ...(token ? { token } : {}),
    });
    if (!served)
      throw usage(`${db.url} is served already: only a database in a folder of this machine can be`);
    using stop = untilInterrupted();
    out(flags.json ? jsonLine({ url: served.url, database: db.url, pid: process.pid }) : served.url);
    if (!flags.json) note(`${db.url} is served until you end this (Ctrl-C)`);
    await aborted(stop.signal);
  },
});

/** Keeps the process until then. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const alive = setInterval(() => {}, 2 ** 30);
    const end = () => {
      clearInterval(alive);
      resolve();
    };
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
}
