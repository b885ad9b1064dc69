// Isolation. Owns: what this machine has to hold a process back with, found out once.
// I1. What was asked for and cannot be had is an error: nothing runs with less than that.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import { AiError } from "../errors.ts";

const exec = promisify(execFile);

/** Linux' own, which starts a program in namespaces: with no network but its own, and no process to see but its own. */
const UNSHARE = ["/usr/bin/unshare", "--user", "--net", "--pid", "--fork", "--kill-child"];
/** Starts a program that the kernel ends with its parent, whatever that dies of. */
const SETPRIV = ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--"];
const PROBE = `console.log(/^VmData:\\s*(\\d+)/m.exec(require("node:fs").readFileSync("/proc/self/status","utf8"))[1])`;

export interface Isolation {
  /** What starts a program apart; undefined where there is no such thing, or it may not be used. */
  apart: readonly string[] | undefined;
  /** What has it die with this process; nothing where there is no such thing: then its limit of work ends it. */
  mortal: readonly string[];
  /** Whether Node itself holds back the network. */
  nodeHoldsNetwork: boolean;
  /** What a process of Node begins with, in KiB of data; undefined where that cannot be limited. */
  dataAtStart: number | undefined;
}

let found: Promise<Isolation> | undefined;

export function isolation(): Promise<Isolation> {
  return (found ??= look());
}

async function look(): Promise<Isolation> {
  const [apart, mortal, data] = await Promise.all([works(UNSHARE), works(SETPRIV), dataOf(PROBE)]);
  return {
    apart: apart ? UNSHARE : undefined,
    mortal: mortal ? SETPRIV : [],
    nodeHoldsNetwork: process.allowedNodeEnvironmentFlags.has("--allow-net"),
    dataAtStart: data,
  };
}

async function works([program, ...args]: readonly string[]): Promise<boolean> {
  if (process.platform !== "linux" || !existsSync(program!)) return false;
  return exec(program!, [...args, "/bin/true"], { env: {}, timeout: 10_000 }).then(
    () => true,
    () => false,
  );
}

async function dataOf(probe: string): Promise<number | undefined> {
  if (process.platform !== "linux") return undefined;
  const { stdout } = await exec(process.execPath, ["-e", probe], { env: {}, timeout: 30_000 });
  return Number(stdout);
}

/** I1. @throws `ai.not_isolated` */
export function requireNetworkHeld({ apart, nodeHoldsNetwork }: Isolation): void {
  if (apart || nodeHoldsNetwork) return;
  throw new AiError({
    code: "ai.not_isolated",
    message:
      "neither this Node nor this machine (unshare of Linux, with user namespaces) holds back the network: say network: true if the code may have it, or run it elsewhere",
    retryable: false,
  });
}

/** @throws `ai.not_isolated` */
export function requireSupported(): void {
  if (process.platform !== "win32") return;
  throw new AiError({
    code: "ai.not_isolated",
    message: "untrusted code is run on Linux and macOS only: there are no limits of processes elsewhere",
    retryable: false,
  });
}
