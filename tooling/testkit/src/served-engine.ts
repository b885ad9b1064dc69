import { randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { resolve } from "node:path";
import { type Child, spawnChild } from "./child.ts";

const START_MS = 60_000;
const CLOSE_MS = 30_000;

export interface ServedEngineOptions {
  /**
   * The script that serves. It reads `SERVE_URL`, `SERVE_PORT` and `SERVE_TOKEN`, prints
   * `{"ready":true,"url":"ws://127.0.0.1:PORT/rpc"}` once it accepts connections, and on SIGTERM or the
   * end of its standard input closes and exits 0.
   */
  entry: URL | string;
  /** Where the engine keeps its data. */
  folder: string;
  /** A free one when left out. */
  port?: number;
  /** The scheme of `SERVE_URL`. */
  engine?: string;
  env?: Record<string, string | undefined>;
}

/**
 * A database engine in a process of its own, to be killed, frozen and restarted on the same folder and port.
 *
 * @example
 * await using engine = await servedEngine({ entry: new URL("./serve.ts", import.meta.url), folder });
 * await engine.kill();
 * await engine.restart();
 */
export async function servedEngine(options: ServedEngineOptions): Promise<ServedEngine> {
  const { entry, folder, port = await freePort(), engine = "rocksdb", env } = options;
  const token = randomBytes(16).toString("hex");
  const variables = {
    ...env,
    SERVE_URL: `${engine}://${resolve(folder)}`,
    SERVE_PORT: String(port),
    SERVE_TOKEN: token,
  };
  const spawnServer = () => spawnChild(entry, { env: variables });
  const child = spawnServer();
  return new ServedEngine(await readyUrl(child), token, child, spawnServer);
}

export class ServedEngine implements AsyncDisposable {
  /** Where clients connect; the same after a restart. */
  readonly url: string;
  readonly token: string;

  readonly #spawnServer: () => Child;
  #child: Child;
  #down = false;

  constructor(url: string, token: string, child: Child, spawnServer: () => Child) {
    this.url = url;
    this.token = token;
    this.#child = child;
    this.#spawnServer = spawnServer;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** SIGKILL: nothing is flushed, every connection breaks. */
  async kill(): Promise<void> {
    this.#down = true;
    await this.#child.kill();
  }

  /** Starts it again, killing it first if it still runs. */
  async restart(): Promise<void> {
    await this.kill();
    this.#child = this.#spawnServer();
    await readyUrl(this.#child);
    this.#down = false;
  }

  /** SIGSTOP: connections stay open and nothing answers. */
  pause(): void {
    this.#child.stop();
  }

  resume(): void {
    this.#child.continue();
  }

  /** Closes in good order (SIGTERM); rejects if that takes over 30 seconds or does not end with exit code 0. */
  async close(): Promise<void> {
    if (this.#down) return;
    this.#down = true;
    this.resume();
    const overdue = setTimeout(() => void this.#child.kill(), CLOSE_MS);
    const exit = await this.#child.kill("SIGTERM");
    clearTimeout(overdue);
    if (exit.code === 0) return;
    throw new Error(
      `the engine did not close well (${exit.signal ?? exit.code}); its stderr:\n${this.#child.stderr}`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

async function readyUrl(child: Child): Promise<string> {
  try {
    const { url } = await child.message<{ url: string }>((message) => message.ready === true, START_MS);
    return url;
  } catch (error) {
    await child.kill();
    throw error;
  }
}

/**
 * A port nobody listens on, below the range the kernel takes client ports from. Within it, a client that
 * reconnects while its server is down could be given the server's own port, and a restart would find it in use.
 *
 * @example const child = spawnChild(entry, { env: { PORT: String(await freePort()) } });
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_000);
    const server = createServer().listen(port, "127.0.0.1");
    const free = await once(server, "listening").then(
      () => true,
      () => false,
    );
    if (!free) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}
