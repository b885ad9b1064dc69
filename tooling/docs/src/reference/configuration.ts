import { SETTINGS } from "@sentient/agent-core/config";
import { code, page, table } from "../markdown.ts";

export function configuration(): string {
  return page(
    "Settings",
    "What `sentient.config.ts` may set, and the variable of each. The weaker first: what stands here as left out, the file, `.env`, the environment, flags. See [configuration](../configuration.md).",
    table(
      ["Setting", "Variable", "If left out", "Is"],
      Object.entries(SETTINGS).map(([name, { env, preset, about }]) => [
        code(name),
        code(env),
        preset === undefined ? "" : code(String(preset as string | number)),
        about,
      ]),
    ),
  );
}
