import { defineCommand } from "../command.ts";
import { configFrom } from "../open.ts";
import { colour, printable, table } from "../print.ts";

export const configCommand = defineCommand({
  name: "config",
  summary: "show what is set, and where each of it came from",
  description:
    "Shows every setting, its value and where that came from: what nobody says, sentient.config.ts, .env, SENTIENT_* and flags, the later ones first. Secrets are hidden.",
  examples: [
    ["sentient config", "all of it"],
    ["SENTIENT_WORKER_SLOTS=4 sentient config --json", "for a program"],
  ],
  run: async (_, flags) => {
    const { settings, file } = await configFrom(flags);
    const said = settings.filter(({ value }) => value !== undefined);
    const rows = said.map(({ name, value, source, at }) => [
      name,
      printable(typeof value === "string" ? value : (JSON.stringify(value) ?? "")),
      at === "" ? source : `${source}: ${at}`,
    ]);
    return {
      json: { file: file ?? null, settings: said },
      lines: [
        ...table(["SETTING", "VALUE", "FROM"], rows),
        "",
        colour("dim", file ? `the file is ${file}` : "there is no sentient.config.ts here"),
      ],
    };
  },
});
