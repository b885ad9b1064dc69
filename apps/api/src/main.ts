#!/usr/bin/env node
// The server as a process. Owns: its configuration, its log, and how it ends.
// Exit status: 0 after SIGTERM or SIGINT, 1 if it could not start or stop, 2 if its configuration is wrong.

import { createSentient } from "@sentient/agent-core";
import {
  databaseOptionsOf,
  loadConfig,
  openOrReach,
  requireNode,
  serveBeside,
} from "@sentient/agent-core/config";
import { SentientError } from "@sentient/db-pool";
import { configFromEnv } from "./config.ts";
import { ApiError } from "./errors.ts";
import { ensureFirstToken } from "./first-token.ts";
import { createLogger } from "./log.ts";
import { serveApi } from "./server.ts";
import { VERSION } from "./version.ts";

const HELP = `Usage: sentient-api

Serves Sentient over HTTP, until it is asked to stop. It advances no runs: workers do. It takes no words but these; its settings are
variables of the environment or of .env, and what sentient.config.ts says of the database, the API's address and the log.

  SENTIENT_URL       the database (rocksdb://.sentient/data)
  SENTIENT_API_HOST  where it listens (127.0.0.1)
  SENTIENT_API_PORT  (4840)

The others stand in its README. Its first token, for everything, is in .sentient/api-token; GET /reference has all that can be asked.

Options:
  -V, --version  its version
  -h, --help     this

Exit status: 0 after SIGTERM or SIGINT, 1 if it could not start or stop, 2 if it was set up wrongly.
`;

/** @returns whether that was all */
function answersTo(args: readonly string[]): boolean {
  const [word] = args;
  if (word === undefined) return false;
  if (word === "-h" || word === "--help") process.stdout.write(HELP);
  else if (word === "-V" || word === "--version") process.stdout.write(`${VERSION}\n`);
  else
    throw new ApiError({
      code: "api.bad_config",
      message: `it takes no ${word}: sentient-api --help says what it takes`,
    });
  return true;
}

async function main(): Promise<void> {
  requireNode();
  if (answersTo(process.argv.slice(2))) return;
  const { signal, signalled } = asked(); // also while it is being started
  const { config, env } = await loadConfig();
  const { serve, tokenFile, logLevel } = configFromEnv(env);
  const logger = createLogger(env.SENTIENT_API_LOG_LEVEL ? logLevel : config.log?.level);
  {
    await using stack = new AsyncDisposableStack();
    const db = stack.use(await openOrReach(databaseOptionsOf(config), { lasting: true, signal }));
    const served = await serveBeside(db); // to the workers and commands of its machine, if it owns a folder
    if (served) stack.use(served);
    const sentient = stack.use(await createSentient({ database: db, worker: false }));
    if (serve.auth === false) logger.warn({}, "everybody may do everything: SENTIENT_API_INSECURE is on");
    else if (await ensureFirstToken(sentient, tokenFile))
      logger.info({ file: tokenFile }, "made a first token, for everything");
    const api = stack.use(await serveApi(sentient, { ...serve, ...config.api, logger }));
    logger.info({ url: api.url, reference: `${api.url}/reference`, database: db.url }, "listening");
    logger.info({ signal: await signalled }, "stopping");
  }
  logger.info({}, "stopped");
}

/** The first signal stops it in order, the second at once. */
function asked(): { signal: AbortSignal; signalled: Promise<string> } {
  const stop = new AbortController();
  const { promise: signalled, resolve } = Promise.withResolvers<string>();
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    process.once(name, () => {
      process.once(name, () => process.exit(1));
      stop.abort();
      resolve(name);
    });
  }
  return { signal: stop.signal, signalled };
}

try {
  await main();
} catch (error) {
  const isWrong = error instanceof SentientError && /\.bad_(?:config|option|url)$/.test(error.code);
  process.stderr.write(
    `sentient-api: ${error instanceof SentientError ? error.message : String((error as Error).stack)}\n`,
  );
  process.exitCode = isWrong ? 2 : 1;
}
