import { createSentient } from "@sentient/agent-core";
import { createApp } from "@sentient/api";
import { code, page, table } from "../markdown.ts";

interface Operation {
  tags?: string[];
  summary?: string;
  description?: string;
}

export async function http(): Promise<string> {
  await using sentient = await createSentient({ url: "mem://", worker: false });
  const app = createApp(sentient);
  const { paths } = app.document() as { paths: Record<string, Record<string, Operation>> };
  const routes = app.routes.map(({ method, path, policy }) => {
    const { tags, summary, description } = paths[path]?.[method] ?? {};
    return { method, path, policy, tag: tags?.[0] ?? "", about: summary ?? description ?? "" };
  });
  await app.close();
  const groups = Map.groupBy(routes, ({ tag }) => tag);
  return page(
    "HTTP",
    "Every route, what it does, and the scope that a token needs for it (`admin` is everything, `public` nobody). What comes in and goes out stands in `/openapi.json`, and for people at `/reference`. See [the guide](../guides/http.md).",
    ...[...groups].flatMap(([tag, those]) => [
      `## ${tag || "else"}`,
      table(
        ["Route", "Scope", "Does"],
        those.map(({ method, path, policy, about }) => [
          code(`${method.toUpperCase()} ${path}`),
          policy,
          about,
        ]),
      ),
    ]),
  );
}
