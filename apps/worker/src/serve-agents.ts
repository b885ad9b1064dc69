// Serving. Owns: one worker from its configuration to its end.
// B1. What is asked of it before it is up is heard: a signal while it starts ends it.
// B2. It hands over what it holds before it ends, and ends within a few seconds also where the database is away.
// B3. One whose database was restored from a backup meanwhile ends, for whoever keeps it running to begin it anew.

import { createSentient, type Logger } from "@sentient/agent-core";
import {
  databaseOptionsOf,
  loadDefinitions,
  openOrReach,
  serveBeside,
  type LoadedConfig,
} from "@sentient/agent-core/config";
import { surql, type Database } from "@sentient/db-pool";
import { serveHealth } from "./health.ts";

const ANSWER_MS = 2_000;

/**
 * Advances runs until the signal aborts.
 *
 * @throws `agent.bad_config` if there are no agents; what `openOrReach` throws; `event_bus.restored` (B3)
 * @example await serveAgents(await loadConfig(), { logger, signal });
 */
export async function serveAgents(
  { config, folder }: LoadedConfig,
  { logger, signal }: { logger: Logger; signal: AbortSignal },
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const db = stack.use(await openOrReach(databaseOptionsOf(config), { lasting: true, signal }));
  const served = await serveBeside(db); // to the other processes of its machine, if it owns a folder
  if (served) stack.use(served);
  const agents = await loadDefinitions(config.agents ?? [], folder, { database: db });
  const names = agents.map(({ name }) => name);
  const sentient = stack.use(await createSentient({ database: db, agents, worker: false, logger }));
  const { healthPort, healthHost = "127.0.0.1", ...options } = config.worker ?? {};
  const worker = sentient.worker(options);
  const running = { began: false };
  if (healthPort !== undefined) {
    const health = stack.use(
      await serveHealth(
        { host: healthHost, port: healthPort },
        {
          isReady: () => running.began && !signal.aborted,
          answers: () => answers(db),
          running: () => worker.running,
        },
      ),
    );
    logger.info({ host: healthHost, port: health.port }, "says whether it lives");
  }
  if (signal.aborted) return; // B1
  await worker.start();
  running.began = true;
  logger.info({ worker: worker.id, agents: names, database: db.url }, "advances runs");
  const fenced = new AbortController();
  void worker.fenced.then((error) => fenced.abort(error));
  await aborted(AbortSignal.any([signal, fenced.signal]));
  if (!signal.aborted) fenced.signal.throwIfAborted(); // B3
  logger.info({ worker: worker.id, running: worker.running }, "hands over what it holds");
  await worker.stop(); // B2
}

async function answers(db: Database): Promise<boolean> {
  return db.query(surql`RETURN 1`, { timeout: ANSWER_MS }).then(
    () => true,
    () => false,
  );
}

/** Keeps the process until then. */
function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const alive = setInterval(() => {}, 2 ** 30);
    const end = () => {
      clearInterval(alive);
      resolve();
    };
    signal.addEventListener("abort", end, { once: true });
  });
}
