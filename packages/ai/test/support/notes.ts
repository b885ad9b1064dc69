// The server of notes as its users have it: a process of its own, which leaves a ledger of what it did.

import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { spawnChild } from "@sentient/testkit";
import { onTestFinished } from "vitest";
import { mcpTools, type McpAddress, type McpTools, type McpToolsOptions } from "../../src/mcp/index.ts";

export interface Entry {
  did: string;
  pid: number;
  text?: string;
  was?: string;
  meta?: Record<string, unknown>;
}

export async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "sentient-mcp-"));
  onTestFinished(() => rm(made, { recursive: true, force: true }));
  return made;
}

export const NOTES = new URL("../fixtures/notes-server.ts", import.meta.url);

/** How a program of the tests is started as an MCP server. */
export function programOf(fixture: URL, env: Record<string, string> = {}) {
  const args = ["--conditions=@sentient/source", fileURLToPath(fixture)];
  return { command: process.execPath, args, env };
}

export function entriesOf(ledger: string): Entry[] {
  if (!existsSync(ledger)) return [];
  return readFileSync(ledger, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Entry);
}

/** Tools of a server of its own, by stdio. */
export async function notes(options: McpToolsOptions = {}, fixture = NOTES) {
  const ledger = join(await folder(), "ledger");
  const tools = await toolsOf(
    programOf(fixture, { LEDGER: ledger, NOTES_TOKEN: "hunter2-hunter2" }),
    options,
  );
  return { ...tools, ledger: () => entriesOf(ledger), did: () => entriesOf(ledger).map(({ did }) => did) };
}

export async function toolsOf(address: McpAddress, options: McpToolsOptions = {}): Promise<McpTools> {
  const tools = await mcpTools(address, options);
  onTestFinished(() => tools.close());
  return tools;
}

/** The same by HTTP. */
export async function notesByHttp(): Promise<{
  url: string;
  ledger: () => Entry[];
  kill: () => Promise<unknown>;
}> {
  const ledger = join(await folder(), "ledger");
  const child = spawnChild(NOTES, {
    env: { LEDGER: ledger, HTTP: "1" },
  });
  onTestFinished(() => child[Symbol.asyncDispose]());
  const { port } = await child.message<{ port: number }>(({ port }) => typeof port === "number");
  return { url: `http://127.0.0.1:${port}/mcp`, ledger: () => entriesOf(ledger), kill: () => child.kill() };
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
