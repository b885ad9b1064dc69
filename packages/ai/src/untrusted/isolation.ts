// Isolation. Owns: what this machine has to hold a process back with, found out once.
// I1. What was asked for and cannot be had is an error: nothing runs with less than that.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import { AiError } from "../errors.ts";

const exec = promisify(execFile);

/** Linux' own, which starts a program in namespaces: with no network but its own, and no process to see but its own. */
const UNSHARE = ["/usr/bin/unshare", "/bin/unshare"];
const APART = ["--user", "--net", "--pid", "--fork", "--kill-child"];
const PROBE = `console.log(/^VmData:\\s*(\\d+)/m.exec(require("node:fs").readFileSync("/proc/self/status","utf8"))[1])`;

export interface Isolation {
  /** What starts a program apart; undefined where there is no such thing, or it may not be used. */
  apart: readonly string[] | undefined;
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
  const [apart, dataAtStart] = await Promise.all([findApart(), findDataAtStart()]);
  return { apart, dataAtStart, nodeHoldsNetwork: process.allowedNodeEnvironmentFlags.has("--allow-net") };
}

async function findApart(): Promise<readonly string[] | undefined> {
  const unshare = process.platform === "linux" ? UNSHARE.find((path) => existsSync(path)) : undefined;
  if (unshare === undefined) return undefined;
  const works = await exec(unshare, [...APART, "/bin/true"], { env: {}, timeout: 10_000 }).then(
    () => true,
    () => false,
  );
  return works ? [unshare, ...APART] : undefined;
}

async function findDataAtStart(): Promise<number | undefined> {
  if (process.platform !== "linux") return undefined;
  const { stdout } = await exec(process.execPath, ["-e", PROBE], { env: {}, timeout: 30_000 });
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
