// Dev. Owns: database, worker and API in one process, each with its own end.

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { createSentient, type Logger } from "@sentient/agent-core";
import type { Config } from "@sentient/agent-core/config";
import { aborted } from "../commands/serve.ts";
import type { CommonFlags } from "../command.ts";
import { untilInterrupted } from "../interrupted.ts";
import { configFrom, definitionsFrom, openConfigured } from "../open.ts";
import { colour, jsonLine, note, out, printable } from "../print.ts";
import { serveBeside } from "@sentient/agent-core/config";
import { facts } from "../show.ts";
import { servedBefore } from "./watch.ts";

export interface DevFlags extends CommonFlags {
  agents?: string[];
  host?: string;
  port?: number;
}

const DEFAULT_AGENTS = "./agents.ts";
/** It begins anew beside commands, and one of them may have the folder just then. */
const PATIENCE_MS = 60_000;

export async function dev(flags: DevFlags): Promise<void> {
  const loaded = await configFrom(flags, configOf(flags));
  const { config, folder } = loaded;
  if (config.agents === undefined && existsSync(resolve(folder, DEFAULT_AGENTS)))
    config.agents = DEFAULT_AGENTS;
  using stop = untilInterrupted();
  await using stack = new AsyncDisposableStack();
  const db = stack.use(
    await openConfigured(config, {
      mayMake: true,
      lasting: true,
      patience: PATIENCE_MS,
      signal: stop.signal,
      onWait: ({ message }) => note(`waits for the database, for a minute at most: ${printable(message)}`),
    }),
  );
  const served = await serveBeside(db, servedBefore() ?? {});
  if (served) stack.use(served);
  const definitions = await definitionsFrom(loaded, db);
  const logger = loggerAt(config.log?.level ?? "info");
  const { healthPort: _, healthHost: __, ...worker } = config.worker ?? {};
  const sentient = stack.use(
    await createSentient({ database: db, agents: definitions, worker: false, logger }),
  );
  if (definitions.length > 0) await sentient.worker(worker).start();
  const { ensureFirstToken, serveApi, configFromEnv } = await import("@sentient/api"); // slow to import
  const { serve, tokenFile } = configFromEnv(loaded.env);
  if (serve.auth !== false) await ensureFirstToken(sentient, tokenFile);
  const api = stack.use(await serveApi(sentient, { ...serve, ...config.api }));
  const names = definitions.map(({ name }) => name);
  if (flags.json)
    out(
      jsonLine({
        url: api.url,
        database: db.url,
        served: served?.url ?? null,
        agents: names,
        pid: process.pid,
      }),
    );
  else for (const line of banner(api.url, tokenFile, db.url, names)) note(line);
  if (!flags.json) out(api.url);
  await aborted(stop.signal);
  if (!flags.json) note("handing over what is under way");
}

function configOf({ agents, host, port }: DevFlags): Config {
  const api = { ...(host === undefined ? {} : { host }), ...(port === undefined ? {} : { port }) };
  return { ...(agents ? { agents } : {}), ...(Object.keys(api).length > 0 ? { api } : {}) };
}

function banner(url: string, tokenFile: string, database: string, names: readonly string[]): string[] {
  return [
    colour("bold", "sentient dev", process.stderr),
    ...facts([
      ["API", `${url}/v1, described at ${url}/reference; its token is in ${tokenFile}`],
      ["database", `${database}; commands in this folder find it`],
      [
        "agents",
        names.length > 0 ? names.map(printable).join(", ") : "none: write ./agents.ts, or say --agents",
      ],
    ]),
  ];
}

const LEVELS = ["debug", "info", "warn", "error"] as const;

function loggerAt(least: (typeof LEVELS)[number] | "silent"): Logger {
  const from = least === "silent" ? LEVELS.length : LEVELS.indexOf(least);
  const at = (level: (typeof LEVELS)[number]) => (data: object, message: string) => {
    if (LEVELS.indexOf(level) < from) return;
    const { error, ...rest } = data as { error?: unknown };
    const said = error instanceof Error ? { ...rest, error: error.message } : data;
    note(
      `${new Date().toISOString()} ${level.padEnd(5)} ${printable(message)} ${printable(JSON.stringify(said))}`,
    );
  };
  return Object.fromEntries(LEVELS.map((level) => [level, at(level)])) as unknown as Logger;
}
