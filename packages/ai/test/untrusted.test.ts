// Code that nobody vouches for. Each refusal has a control: the same function, in a process of its own without protection, can.

import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { sabotage, spawnChild, until } from "@sentient/testkit";
import type { Json } from "@sentient/schema";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { defineTool } from "../src/index.ts";
import { untrusted, type UntrustedOptions } from "../src/untrusted/index.ts";
import { isolation, requireNetworkHeld } from "../src/untrusted/isolation.ts";
import { agentOf, once as onceUsed, testSentient } from "./support/assistants.ts";
import { z } from "zod";

const exec = promisify(execFile);
const MODULE = new URL("./fixtures/untrusted/hostile.js", import.meta.url);
const { apart, mortal, nodeHoldsNetwork } = await isolation();
const canHoldNetwork = apart !== undefined || nodeHoldsNetwork;
const MiB = 1024 * 1024;

/** Others on this machine may run the same: all folders of this file, and so its processes, are known by this one. */
const OURS = mkdtempSync(join(tmpdir(), "sentient-ours-"));
process.env.TMPDIR = OURS;
afterAll(() => rm(OURS, { recursive: true, force: true }));

/** As a user has it; where this machine cannot hold back the network, all else is still shown. */
function held(name: string, more: Partial<UntrustedOptions> = {}) {
  return untrusted({
    module: MODULE,
    export: name,
    timeout: 60_000,
    ...(canHoldNetwork ? {} : { network: true }),
    ...more,
  });
}

/** The same without protection. */
async function free(
  name: string,
  args: Json = {},
  { timeout = 30_000, maxBuffer = 512 * MiB } = {},
): Promise<Json> {
  const script = `import(${JSON.stringify(MODULE.href)}).then(async (m) => {
    const gave = await m[${JSON.stringify(name)}](JSON.parse(process.argv[1]));
    process.stdout.write(JSON.stringify(gave ?? null), () => process.exit(0));
  })`;
  const argv = ["--no-warnings", "-e", script, JSON.stringify(args)];
  const { stdout } = await exec(process.execPath, argv, {
    cwd: await place(),
    timeout,
    maxBuffer,
    killSignal: "SIGKILL",
  });
  return JSON.parse(stdout) as Json;
}

async function place(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sentient-outside-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const DENIED = {
  code: "ai.tool_failed",
  message: expect.stringMatching(/restricted|is not for code|disabled|full fs/),
};

test("what is harmless works: a module in JavaScript, one in TypeScript, and files that it may read", async () => {
  expect(await held("default")({ text: "one two three" })).toEqual({ words: 3 });
  const typed = untrusted({
    module: fileURLToPath(new URL("./fixtures/untrusted/typed.ts", import.meta.url)),
    ...(canHoldNetwork ? {} : { network: true }),
  });
  expect(await typed({ path: "/a/b.txt" })).toBe("b.txt");
  const folder = await place();
  await writeFile(join(folder, "open"), "to all");
  const reads = held("readSecret", { allowRead: [folder] });
  expect(await reads({ path: join(folder, "open") })).toBe("to all");
});

describe("it does not get hold of", () => {
  test("the environment", async () => {
    process.env.SENTIENT_TEST_SECRET = "hunter2";
    onTestFinished(() => void delete process.env.SENTIENT_TEST_SECRET);
    expect(await free("environment")).toContain("SENTIENT_TEST_SECRET");
    expect(await held("environment")({})).toEqual([]);
  });

  test("files", async () => {
    const folder = await place();
    const secret = join(folder, "secret");
    await writeFile(secret, "of mine");
    expect(await free("readSecret", { path: secret })).toBe("of mine");
    for (const path of [
      secret,
      "/etc/passwd",
      "../../etc/passwd",
      "/proc/self/environ",
      fileURLToPath(import.meta.url),
    ])
      await expect(held("readSecret")({ path })).rejects.toMatchObject(DENIED);
    const inside = held("linkOutside", { export: "linkOutside" });
    await expect(inside({ path: "link", to: secret })).rejects.toMatchObject(DENIED);
    expect(await free("linkOutside", { path: join(folder, "link"), to: secret })).toBe("linked");
  });

  test("places to write to", async () => {
    const folder = await place();
    const path = join(folder, "mark");
    await expect(held("writeOutside")({ path })).rejects.toMatchObject(DENIED);
    await expect(held("writeOutside", { allowRead: [folder] })({ path })).rejects.toMatchObject(DENIED);
    expect(existsSync(path)).toBe(false);
    expect(await free("writeOutside", { path })).toBe("written");
    expect(existsSync(path)).toBe(true);
  });

  test("files past the permissions of Node", async () => {
    const path = join(await place(), "other.db");
    await expect(held("attaches")({ path })).rejects.toMatchObject(DENIED);
    await expect(held("attaches", { network: true })({ path })).rejects.toMatchObject(DENIED);
    expect(existsSync(path)).toBe(false);
    expect(await free("attaches", { path })).toBe("attached");
  });

  test("anything by ways that others have found", async () => {
    const secret = join(await place(), "secret");
    await writeFile(secret, "of mine");
    const all = { allowRead: [new URL("./ways.cjs", MODULE)] };
    const { found } = (await held("ways", all)({ secret })) as { found: string[] };
    expect(found).toEqual([]);
    const control = (await free("ways", { secret })) as { found: string[]; tried: string[] };
    expect(control.found).toEqual(control.tried);
  });

  test("other programs, other processes of this one, or threads", async () => {
    for (const name of ["spawns", "forks", "threads"])
      await expect(held(name, { network: true })({}), name).rejects.toMatchObject(DENIED);
    expect(await free("spawns")).toBe("ran\n");
    expect(await free("threads")).toBeGreaterThan(0);
  });

  test("whoever has started it, to signal to", async () => {
    const { pid } = process;
    for (const name of ["signals", "signalsUnderneath"]) {
      await expect(held(name)({ pid }), name).rejects.toMatchObject(DENIED);
      expect(await free(name, { pid }), name).toBe(true);
    }
  });

  test("what its parent has open", async () => {
    expect(await held("descriptors")({})).toEqual([]);
  });

  test.runIf(canHoldNetwork)("the network, by whatever way", async () => {
    const server = createServer((_, response) => response.end("hello")).listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const url = `http://127.0.0.1:${port}`;
    expect(await free("fetches", { url })).toBe("hello");
    expect(await free("connects", { port })).toBe("connected");
    expect(await free("findsSockets")).toEqual(["builtin", "require", "load", "hooks", "streams", "binding"]);
    for (const [name, args] of [
      ["fetches", { url }],
      ["connects", { port }],
    ] as const)
      await expect(held(name)(args), name).rejects.toMatchObject(DENIED);
    expect(await held("findsSockets", { allowRead: [new URL(".", MODULE)] })({})).toEqual([]);
    expect(await held("fetches", { network: true })({ url })).toBe("hello");
  });

  test.runIf(apart)("the network where the modules are there, as the kernel has none for it", async () => {
    const server = createServer((_, response) => response.end("hello")).listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const fetches = `fetch("${url}").then((r) => r.text()).then(console.log, () => console.log("none"))`;
    const [command, ...args] = [...apart!, process.execPath, "-e", fetches] as unknown as [
      string,
      ...string[],
    ];
    expect((await exec(command, args)).stdout).toBe("none\n");
  });
});

describe("it is ended", () => {
  test("where it does not end, with all that it has", async () => {
    for (const name of ["loops", "sleeps"]) {
      await expect(held(name, { timeout: 1_500 })({}), name).rejects.toMatchObject({
        code: "ai.tool_timeout",
      });
      await expect(free(name, {}, { timeout: 3_000 }), name).rejects.toMatchObject({ signal: "SIGKILL" });
    }
    await until(() => ourProcesses().length === 0);
  });

  test.runIf(mortal.length > 0)("where whoever has started it was killed", async () => {
    const orphans = async (env: Record<string, string>, deadline = 30_000) => {
      await using parent = spawnChild(new URL("./fixtures/untrusted-parent.ts", import.meta.url), {
        env: { MODULE: MODULE.href, NETWORK: canHoldNetwork ? "0" : "1", ...env },
      });
      await until(() => ourProcesses().length > 0);
      await parent.kill();
      await until(() => ourProcesses().length === 0, { deadline });
    };
    await orphans({});
    await sabotage("they do not die with their parent", () => orphans({ FREE: "1" }, 1_000));
    for (const pid of ourProcesses()) process.kill(Number(pid), "SIGKILL");
  });

  test("where nobody wants it any more", async () => {
    const stop = new AbortController();
    const ended = held("loops")({}, stop.signal);
    setTimeout(() => stop.abort(new Error("not needed")), 300);
    await expect(ended).rejects.toThrow("not needed");
    await until(() => ourProcesses().length === 0);
  });

  test("where it says too much, and it is not all listened to", async () => {
    const bytes = 100 * MiB;
    const before = process.memoryUsage().rss;
    await expect(held("says", { memory: 512 })({ bytes })).rejects.toMatchObject({
      code: "ai.output_too_large",
    });
    await expect(held("floods")({ bytes })).rejects.toMatchObject({ code: "ai.output_too_large" });
    expect(process.memoryUsage().rss - before).toBeLessThan(50 * MiB);
    expect(await held("says", { maxOutput: 100 })({ bytes: 98 })).toHaveLength(98);
    await expect(held("says", { maxOutput: 100 })({ bytes: 99 })).rejects.toMatchObject({
      code: "ai.output_too_large",
    });
    expect(await free("says", { bytes })).toHaveLength(bytes);
  });

  test("where it stores too much, as objects or as bytes", async () => {
    const bytes = 2e9;
    const code = expect.stringMatching(/^ai\.tool_(crashed|failed)$/);
    await expect(held("hoards")({ bytes })).rejects.toMatchObject({ code: "ai.tool_crashed" });
    await expect(held("hoardsBuffers")({ bytes })).rejects.toMatchObject({ code });
    expect(await held("hoardsBuffers")({ bytes: 6e7 })).toBe(6);
    expect(await free("hoardsBuffers", { bytes: 1e9 })).toBe(100);
  });

  test("and leaves nothing behind", async () => {
    const left = () => readdirSync(tmpdir()).filter((name) => name.startsWith("sentient-untrusted-"));
    const before = left(); // by those that were killed with their parent
    const folder = (await held("leaves")({})) as string;
    expect(folder).toContain("sentient-untrusted-");
    expect(existsSync(folder)).toBe(false);
    await expect(held("loops", { timeout: 500 })({})).rejects.toThrow();
    expect(await held("default", { memory: 16 })({ text: "as small as may be" })).toEqual({ words: 5 });
    expect(left()).toEqual(before);
  });
});

test("where nothing holds back the network it is not run, unless it may have that", () => {
  const none = { apart: undefined, mortal: [], nodeHoldsNetwork: false, dataAtStart: undefined };
  expect(() => requireNetworkHeld(none)).toThrow(expect.objectContaining({ code: "ai.not_isolated" }));
  expect(() => requireNetworkHeld({ ...none, nodeHoldsNetwork: true })).not.toThrow();
});

describe("what comes of it", () => {
  test("is an error where it fails, exits, or says what is no answer", async () => {
    await expect(held("fails")({})).rejects.toMatchObject({
      code: "ai.tool_failed",
      message: expect.stringContaining("I do not like it"),
    });
    await expect(held("exits")({})).rejects.toMatchObject({ code: "ai.tool_crashed", details: { code: 7 } });
    await expect(held("babbles")({})).rejects.toMatchObject({ code: "ai.tool_crashed" });
    await expect(held("nothing")({})).rejects.toMatchObject({ message: expect.stringContaining("nothing") });
    expect(() => untrusted({ module: "" })).toThrow(expect.objectContaining({ code: "ai.bad_option" }));
  });

  test("is what the model hears of a tool that is made of it", async () => {
    const count = held("default");
    const tool = defineTool({
      name: "count",
      description: "counts words",
      effect: "read",
      input: z.object({ text: z.string() }),
      run: (args, { signal }) => count(args, signal),
    });
    const { agent } = agentOf([tool], onceUsed("count", { text: "a b" }));
    const sentient = await testSentient({ agents: [agent], answers: {} });
    expect(await sentient.execute(agent)).toMatchObject({ text: 'it gave {"words":2}' });
  });
});

function ourProcesses(): string[] {
  if (process.platform !== "linux") return [];
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
  return pids.filter((pid) => {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      return command.includes("--permission") && command.includes(OURS);
    } catch {
      return false;
    }
  });
}
