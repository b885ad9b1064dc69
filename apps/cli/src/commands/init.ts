import { cpSync, existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { Argument, Option } from "commander";
import { usage } from "../cli-error.ts";
import { defineCommand } from "../command.ts";
import { TEMPLATES } from "../places.ts";
import { note } from "../print.ts";

export const initCommand = defineCommand<{ template: string }>({
  name: "init",
  summary: "make a project that runs",
  description:
    "Makes a project that runs: an agent, a workflow that asks a person, and the settings. No file that is there is touched.",
  args: [new Argument("[folder]", "where").default(".")],
  options: [new Option("--template <name>", "which one").choices(readdirSync(TEMPLATES)).default("basic")],
  offline: true,
  examples: [["sentient init my-agents", "makes the folder, if it is not there"]],
  run: async ([folder = "."], { template, json }) => {
    const target = resolve(folder);
    const source = join(TEMPLATES, template);
    const files = readdirSync(source, { recursive: true, encoding: "utf8" });
    const there = files.map(targetName).filter((file) => existsSync(join(target, file)));
    if (there.length > 0)
      throw usage(
        `${there.join(", ")} ${there.length === 1 ? "is" : "are"} in ${folder} already: name a folder without`,
      );
    cpSync(source, target, { recursive: true, errorOnExist: true, force: false });
    renameSync(join(target, "gitignore"), join(target, ".gitignore"));
    const manifest = join(target, "package.json");
    writeFileSync(manifest, readFileSync(manifest, "utf8").replace("my-agents", packageName(target)));
    const made = files.map(targetName).toSorted();
    const where = relative(process.cwd(), target) || ".";
    if (!json) note(`made ${made.join(", ")} in ${where}`);
    return {
      json: { folder: target, files: made },
      lines: [...(where === "." ? [] : [`cd ${where}`]), "npm install", "npx sentient dev"],
    };
  },
});

/** npm leaves .gitignore out of packages. */
function targetName(file: string): string {
  return file === "gitignore" ? ".gitignore" : file;
}

function packageName(folder: string): string {
  const name = basename(folder)
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, "-")
    .replaceAll(/^[._-]+|[._-]+$/g, "");
  return name || "my-agents";
}
