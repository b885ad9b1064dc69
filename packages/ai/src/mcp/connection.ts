// Connection. Owns: the way to an MCP server: made when it is needed, and anew when it is needed after it broke.
// N1. There is one at a time; who comes while it is being made waits for it.
// N2. Nothing that may have reached a server is sent again here.

import type { Readable } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { systemClock, sleep } from "@sentient/db-pool";
import { withoutSecrets } from "@sentient/schema";
import { AiError } from "../errors.ts";
import { boundedFetch } from "./bounded-fetch.ts";

/** A server that is a program of its own, which is started for it. */
export interface McpProgram {
  command: string;
  args?: readonly string[];
  /** Besides HOME, LOGNAME, PATH, SHELL, TERM and USER it sees nothing of this process's environment. */
  env?: Readonly<Record<string, string>>;
  cwd?: string;
}

/** A server that is reached by HTTP. */
export interface McpUrl {
  url: string | URL;
  headers?: Readonly<Record<string, string>>;
}

export type McpAddress = McpProgram | McpUrl;

/** How often it is tried to reach a server, how long each time, and how long to wait in between, in milliseconds. */
const ATTEMPTS = 3;
const CONNECT_MS = 30_000;
const PAUSE_MS = 250;
/** Who answers with more than that at once is not listened to any longer: a tool may give 1 MiB, and it may stand there twice. */
const MOST_BYTES = 4 * 1024 * 1024;
/** Of what a program writes on its standard error, in characters. */
const MOST_SAID = 1_024;
const SECRET_NAME = /(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$/i;

export class Connection {
  readonly #address: McpAddress;
  #client: Promise<Client> | undefined;
  #isClosed = false;
  /** The last that its program has written on its standard error. */
  #said = "";

  constructor(address: McpAddress) {
    this.#address = address;
  }

  /** N1. @throws `ai.mcp_unreachable` */
  async client(): Promise<Client> {
    if (this.#isClosed) throw closedError(this.#address);
    if (this.#client) return this.#client;
    const client: Promise<Client> = this.#connectPatiently(() => this.#forget(client));
    this.#client = client;
    client.catch(() => this.#forget(client));
    return client;
  }

  /** For an error: what a program said before it was gone, without secrets; nothing if it was silent. */
  get lastSaid(): string {
    if (!("command" in this.#address)) return "";
    const said = withoutSecrets(stripVTControlCharacters(this.#said), secretsOf(this.#address)).trim();
    return said === "" ? "" : `; it said: ${said.slice(-MOST_SAID).toWellFormed()}`;
  }

  #forget(client: Promise<Client>): void {
    if (this.#client === client) this.#client = undefined;
  }

  async #connectPatiently(onBroken: () => void): Promise<Client> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#connectOnce(onBroken);
      } catch (cause) {
        if (attempt >= ATTEMPTS || this.#isClosed)
          throw unreachableError(this.#address, cause, this.lastSaid);
        await sleep(systemClock, PAUSE_MS * attempt, new AbortController().signal);
      }
    }
  }

  async #connectOnce(onBroken: () => void): Promise<Client> {
    const isProgram = "command" in this.#address;
    const client = new Client(
      { name: "sentient", version: "1" },
      {
        // To find out what a program speaks another one of it would be started; each of them speaks this.
        versionNegotiation: { mode: isProgram ? "legacy" : "auto" },
        inputRequired: { autoFulfill: false },
      },
    );
    Object.assign(client, { onerror: () => {} }); // who asked hears of it
    try {
      await client.connect(this.#transport(), { timeout: CONNECT_MS });
    } catch (error) {
      await client.close().catch(() => {});
      throw error;
    }
    Object.assign(client, { onclose: onBroken });
    if (this.#isClosed) await client.close();
    return client;
  }

  #transport(): StdioClientTransport | StreamableHTTPClientTransport {
    if (!("command" in this.#address)) return transportTo(this.#address);
    this.#said = "";
    const transport = startedBy(this.#address);
    const hear = (said: string) => void (this.#said = (this.#said + said).slice(-2 * MOST_SAID));
    (transport.stderr as Readable | null)?.setEncoding("utf8").on("data", hear);
    return transport;
  }

  /** Has the next one who comes make a new one. */
  async renew(): Promise<void> {
    const before = this.#client;
    this.#client = undefined;
    await before?.then((client) => client.close()).catch(() => {});
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.renew();
  }
}

function startedBy({ command, args = [], env, cwd }: McpProgram): StdioClientTransport {
  return new StdioClientTransport({
    command,
    args: [...args],
    stderr: "pipe", // it is not this program's to say, but may be why there is no answer
    maxBufferSize: MOST_BYTES,
    ...(env ? { env: { ...env } } : {}),
    ...(cwd === undefined ? {} : { cwd }),
  });
}

/** What it was given as secrets, by their names. */
function secretsOf({ env = {} }: McpProgram): string[] {
  return Object.entries(env).flatMap(([name, value]) => (SECRET_NAME.test(name) ? value : []));
}

function transportTo({ url, headers }: McpUrl): StreamableHTTPClientTransport {
  return new StreamableHTTPClientTransport(new URL(url), {
    fetch: boundedFetch(MOST_BYTES),
    ...(headers ? { requestInit: { headers: { ...headers } } } : {}),
  });
}

export function nameOf(address: McpAddress): string {
  return "command" in address ? address.command : new URL(address.url).host;
}

function unreachableError(address: McpAddress, cause: unknown, said: string): AiError {
  return new AiError({
    code: "ai.mcp_unreachable",
    message: `the MCP server ${nameOf(address)} cannot be reached: ${(cause as Error).message}${said}; nothing was asked of it`,
    retryable: true,
    cause,
  });
}

function closedError(address: McpAddress): AiError {
  return new AiError({
    code: "ai.mcp_unreachable",
    message: `the tools of the MCP server ${nameOf(address)} were closed`,
    retryable: false,
  });
}
