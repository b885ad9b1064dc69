import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer as createHttp, type RequestListener } from "node:http";
import { createServer as createHttps } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DockerfileParser, type Instruction } from "dockerfile-ast";
import { validate } from "dockerfile-utils";
import { expect, onTestFinished, test } from "vitest";

const root = join(import.meta.dirname, "../../..");
const read = (file: string) => readFileSync(join(root, file), "utf8");
const text = read("Dockerfile");

interface Stage {
  name: string;
  /** An image, or an earlier stage. */
  from: string;
  instructions: Instruction[];
}

function stagesOf(dockerfile: string): Stage[] {
  const parsed = DockerfileParser.parse(dockerfile);
  const stages: Stage[] = [];
  for (const instruction of parsed.getInstructions()) {
    if (instruction.getKeyword() === "FROM") {
      const [from, , name] = instruction.getArguments().map((each) => each.getValue());
      stages.push({ name: name!, from: from!, instructions: [] });
    } else stages.at(-1)!.instructions.push(instruction);
  }
  return stages;
}

const stages = stagesOf(text);
const stage = (name: string) => stages.find((each) => each.name === name)!;

/** The arguments of an instruction in a stage and in those that it is made from. */
function said(name: string, keyword: string): string[] {
  const { from, instructions } = stage(name);
  const own = instructions.filter((each) => each.getKeyword() === keyword);
  const above = stages.some((each) => each.name === from) ? said(from, keyword) : [];
  return [...above, ...own.map((each) => each.getArgumentsContent() ?? "")];
}

const manifest = (folder: string) =>
  JSON.parse(read(`${folder}/package.json`)) as { name: string; dependencies?: Record<string, string> };

/** The floors that an app stands on. */
function floorsOf(folder: string, seen = new Set<string>()): Set<string> {
  for (const name of Object.keys(manifest(folder).dependencies ?? {}).filter((each) =>
    each.startsWith("@sentient/"),
  )) {
    const below = name.replace("@sentient/", "");
    if (seen.has(below)) continue;
    seen.add(below);
    floorsOf(`packages/${below}`, seen);
  }
  return seen;
}

const errorsOf = (dockerfile: string) => validate(dockerfile).map(({ message }) => message);

test("the Dockerfile has nothing that the validator would say", () => {
  expect(errorsOf(text)).toEqual([]);
});

test("the validator refuses a misspelt instruction, and a stage that is there twice", () => {
  expect(errorsOf(text.replace("HEALTHCHECK", "HEALTHCHEK"))).not.toEqual([]);
  expect(errorsOf(text.replace("AS build", "AS source"))).not.toEqual([]);
});

test("every image is the Node of this repository, and pnpm is its pnpm", () => {
  const { scripts, packageManager } = JSON.parse(read("package.json")) as {
    scripts: Record<string, string>;
    packageManager: string;
  };
  const node = /node@(\d+\.\d+\.\d+)/.exec(scripts.bootstrap!)![1]!;
  for (const { from } of stages.filter(({ from }) => stages.every(({ name }) => name !== from)))
    expect(from).toBe(`node:${node}-bookworm-slim`);
  expect(said("source", "RUN")).toEqual([`npm install --global ${packageManager}`]);
});

test.for(["api", "worker"])("%s runs without root, says whether it lives, and hears signals", (name) => {
  expect(said(name, "USER")).toEqual(["node"]);
  expect(said(name, "HEALTHCHECK").join()).toMatch(/CMD \["node",/);
  expect(said(name, "ENTRYPOINT")).toEqual([`["node", "/app/apps/${name}/dist/main.js"]`]); // no shell in between
  expect(said(name, "STOPSIGNAL")).toEqual(["SIGTERM"]);
});

/** A certificate of its own, for a name that nobody asks by in here. */
function certified(): { key: Buffer; cert: Buffer } {
  const folder = mkdtempSync(join(tmpdir(), "sentient-tls-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const words = `req -x509 -newkey rsa:2048 -nodes -subj /CN=api.example.com -keyout ${key} -out ${cert}`;
  execFileSync("openssl", words.split(" "), { stdio: "ignore" });
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;

test.skipIf(!hasOpenssl)(
  "the API is asked whether it lives by HTTPS where it has a key, else by HTTP",
  async () => {
    const [, words] = /CMD (\[.*\])$/.exec(said("api", "HEALTHCHECK")[0]!)!;
    const [, ...args] = JSON.parse(words!) as string[];
    const answer: RequestListener = (request, response) =>
      response.writeHead(request.url === "/healthz" ? 200 : 404).end();
    const checked = async (port: number, key: string) => {
      const env = { ...process.env, SENTIENT_API_PORT: String(port), SENTIENT_API_TLS_KEY: key };
      return ((await once(spawn(process.execPath, args, { env }), "exit")) as [number])[0];
    };
    for (const [server, key, other] of [
      [createHttp(answer), "", "key.pem"],
      [createHttps(certified(), answer), "key.pem", ""],
    ] as const) {
      await once(server.listen(0, "127.0.0.1"), "listening");
      onTestFinished(() => void server.close());
      const { port } = server.address() as AddressInfo;
      expect(await checked(port, key)).toBe(0);
      expect(await checked(port, other)).toBe(1);
    }
  },
);

test.for(["api", "worker"])("%s has what was built of every floor that it stands on", (name) => {
  const copied = said(name, "COPY").flatMap((each) => /packages\/([^/]+)\/dist$/.exec(each)?.[1] ?? []);
  expect(new Set(copied)).toEqual(floorsOf(`apps/${name}`));
});

test("no secret is in an image: none is asked for, and none can be copied", () => {
  const asked = stages.flatMap(({ name }) => [...said(name, "ENV"), ...said(name, "ARG")]);
  for (const each of asked) expect(each).not.toMatch(/PASSWORD|TOKEN|SECRET|_KEY/i);
  const ignored = read(".dockerignore").split("\n");
  for (const each of [".env", ".env.*", ".git", "**/.sentient", "**/node_modules"])
    expect(ignored).toContain(each);
});
