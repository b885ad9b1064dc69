// An empty folder into which what is published was installed, and processes in it.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const exec = promisify(execFile);
export const ROOT = join(import.meta.dirname, "../../..");

export interface Packed {
  name: string;
  tarball: string;
  files: string[];
}

interface Manifest {
  name: string;
  private?: boolean;
}

/** The folders of all packages that are published. */
export async function publishedFolders(): Promise<string[]> {
  const folders = await Promise.all(
    ["packages", "apps"].map(async (above) =>
      (await readdir(join(ROOT, above))).map((folder) => join(ROOT, above, folder)),
    ),
  );
  const manifests = await Promise.all(
    folders.flat().map(async (folder) => ({ folder, ...(await manifestOf(folder)) })),
  );
  return manifests.filter((each) => !each.private).map(({ folder }) => folder);
}

export async function manifestOf(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as Manifest;
}

/** One of them, as it would be sent to the registry. */
export async function pack(folder: string, to: string): Promise<Packed> {
  const { stdout } = await exec("pnpm", ["pack", "--json", "--pack-destination", to], {
    cwd: folder,
    maxBuffer: 2 ** 26,
  });
  const { name, filename, files } = JSON.parse(stdout) as {
    name: string;
    filename: string;
    files: { path: string }[];
  };
  return { name, tarball: filename, files: files.map(({ path }) => path).toSorted() };
}

export class Stranger {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  static async create(): Promise<Stranger> {
    return new Stranger(await mkdtemp(join(tmpdir(), "sentient-packed-")));
  }

  /** Each stands in for what the registry would be asked for, also where one asks for another. */
  async install(packed: readonly Packed[]): Promise<void> {
    const dependencies = Object.fromEntries(packed.map(({ name, tarball }) => [name, `file:${tarball}`]));
    const overrides = Object.fromEntries(packed.map(({ name }) => [name, `$${name}`]));
    const manifest = {
      name: "stranger",
      private: true,
      type: "module",
      dependencies: { ...dependencies, zod: "^4" },
      overrides,
    };
    await writeFile(join(this.folder, "package.json"), JSON.stringify(manifest));
    // A download that stalls is tried again long before the hook gives up.
    const patience = ["--fetch-timeout=20000", "--fetch-retries=5", "--fetch-retry-mintimeout=1000"];
    await exec("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", ...patience], {
      cwd: this.folder,
    });
  }

  #bin(name: string): string {
    return join(this.folder, "node_modules/.bin", name);
  }

  /** One of its commands, to its end. */
  async run(
    name: string,
    args: readonly string[],
    cwd = this.folder,
    more: Record<string, string> = {},
  ): Promise<string> {
    const env = { ...environment(), ...more };
    const { stdout } = await exec(this.#bin(name), args, { cwd, timeout: 120_000, env });
    return stdout;
  }

  /** A script, with its commands on the path. */
  async shell(script: string, cwd: string): Promise<string> {
    const path = `${this.#bin(".")}:${process.env.PATH}`;
    const env = { ...environment(), PATH: path };
    const { stdout } = await exec("bash", ["-euo", "pipefail", "-c", script], { cwd, timeout: 200_000, env });
    return stdout;
  }

  /** One that stays until it is asked to end. */
  start(name: string, args: readonly string[], cwd: string, env: Record<string, string> = {}): Server {
    return new Server(spawn(this.#bin(name), args, { cwd, env: { ...environment(), ...env } }));
  }

  /** A program, as a module beside what is installed. @returns what it says */
  async evaluate(program: string): Promise<string> {
    const args = ["--input-type=module", "-e", program];
    const { stdout } = await exec(process.execPath, args, { cwd: this.folder, timeout: 60_000 });
    return stdout.trim();
  }

  /** From which what is installed is found. */
  async emptyFolder(name: string): Promise<string> {
    const folder = join(this.folder, name);
    await mkdir(folder);
    return folder;
  }

  remove(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }
}

/** Without what whoever runs this has set. */
function environment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("SENTIENT_"));
  return { ...(Object.fromEntries(kept) as Record<string, string>), NO_COLOR: "1" };
}

export class Server implements AsyncDisposable {
  readonly #process: ReturnType<typeof spawn>;
  readonly #exited: Promise<unknown[]>;
  said = "";

  constructor(process: ReturnType<typeof spawn>) {
    this.#process = process;
    this.#exited = once(process, "exit");
    for (const stream of [process.stdout!, process.stderr!])
      stream.on("data", (data: Buffer) => {
        this.said += data.toString();
      });
  }

  /** What it says that matches, as soon as it does. @throws if it ends before */
  async hears(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.said);
      if (found) return found;
      const more = Promise.race([once(this.#process.stdout!, "data"), once(this.#process.stderr!, "data")]);
      const ended = await Promise.race([more.then(() => false), this.#exited.then(() => true)]);
      if (ended && !pattern.test(this.said)) throw new Error(`it has ended, and said:\n${this.said}`);
    }
  }

  /** @returns its status */
  async stop(): Promise<number | null> {
    this.#process.kill("SIGTERM");
    const [status] = (await this.#exited) as [number | null];
    return status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#exited;
  }
}
