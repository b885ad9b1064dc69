// Projects of somebody who uses this package, and the command line run in them from its sources.

import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { mkdir, readFile, realpath, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { freshFolder } from "./migrate.ts";

const CLI = fileURLToPath(new URL("../../src/cli.ts", import.meta.url));
const OURS = fileURLToPath(new URL("../../", import.meta.url));
/** What would reach the children from whoever runs the tests. */
const NOT_INHERITED = /^(?:SENTIENT_|FORCE_COLOR$|NO_COLOR$|NODE_OPTIONS$)/;

/** Shared by the children of a test file: half of what each costs is reading the sources. */
let compileCache: Promise<string> | undefined;

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

type Env = Record<string, string>;

/** A folder outside the repository in which the packages can be imported. */
export class Project {
  readonly folder: string;
  readonly #compileCache: string;

  constructor(folder: string, compileCache: string) {
    this.folder = folder;
    this.#compileCache = compileCache;
  }

  /** As `npm install` would. */
  async install(...packages: string[]): Promise<void> {
    for (const name of packages) {
      const place = join(this.folder, "node_modules", name);
      await mkdir(dirname(place), { recursive: true });
      await symlink(
        name === "@sentient/schema" ? OURS : await realpath(join(OURS, "node_modules", name)),
        place,
      );
    }
  }

  async write(file: string, text: string): Promise<void> {
    const path = join(this.folder, file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }

  read(file: string): Promise<string> {
    return readFile(join(this.folder, file), "utf8");
  }

  /** Starts `sentient-schema` in this folder. */
  start(args: readonly string[], env: Env = {}): ChildProcessWithoutNullStreams {
    return this.#spawn([CLI, ...args], env);
  }

  /** Runs `sentient-schema` in this folder to its end. */
  cli(args: readonly string[], env: Env = {}): Promise<Outcome> {
    return outcomeOf(this.start(args, env));
  }

  /** Starts a module of this folder. */
  startNode(file: string): ChildProcessWithoutNullStreams {
    return this.#spawn([file], {});
  }

  /** Runs a module of this folder to its end. */
  node(file: string): Promise<Outcome> {
    return outcomeOf(this.startNode(file));
  }

  #spawn(args: readonly string[], env: Env): ChildProcessWithoutNullStreams {
    const inherited = Object.entries(process.env).filter(([name]) => !NOT_INHERITED.test(name));
    return spawn(process.execPath, ["--conditions=@sentient/source", ...args], {
      cwd: this.folder,
      env: { ...Object.fromEntries(inherited), NODE_COMPILE_CACHE: this.#compileCache, ...env },
    });
  }
}

/** A folder with nothing in it. */
export async function emptyProject(): Promise<Project> {
  compileCache ??= freshFolder();
  return new Project(await freshFolder(), await compileCache);
}

/** A project in which everything is installed. */
export async function freshProject(files: Record<string, string> = {}): Promise<Project> {
  const project = await emptyProject();
  await project.install("@sentient/schema", "@sentient/db-pool", "zod");
  await project.write("package.json", '{ "type": "module" }');
  for (const [file, text] of Object.entries(files)) await project.write(file, text);
  return project;
}

export async function outcomeOf(child: ChildProcessWithoutNullStreams): Promise<Outcome> {
  const outcome: Outcome = { code: null, stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (outcome.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (outcome.stderr += text));
  outcome.code = await new Promise<number | null>((resolve, reject) => {
    child.once("close", resolve).once("error", reject);
  });
  return outcome;
}
