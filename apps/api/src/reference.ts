// The reference. Owns: the document as a page for people: plain HTML, without a script, and with nothing from elsewhere.

interface Operation {
  operationId: string;
  summary: string;
  tags: string[];
  security: { token?: string[] }[];
  parameters?: { name: string; in: string; required?: boolean }[];
  requestBody?: { content: Record<string, { schema: unknown }> };
  responses: Record<string, { description: string }>;
}

interface Document {
  info: { title: string; version: string; description: string };
  paths: Record<string, Record<string, Operation>>;
}

interface Entry extends Operation {
  method: string;
  path: string;
}

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}
code,pre{font:14px/1.45 ui-monospace,monospace}pre{overflow:auto;padding:.75rem;border:1px solid #8886;border-radius:6px}
h2{margin-top:2.5rem;text-transform:capitalize}h3{margin:1.75rem 0 .25rem}h3 b{display:inline-block;min-width:4.5rem}
nav a{margin-right:1rem}small{opacity:.75}`;

/** @param document OpenAPI 3.1 */
export function pageOf(document: object): string {
  const { info, paths } = document as Document;
  const entries = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Entry => ({ ...operation, method, path })),
  );
  const tags = [...new Set(entries.flatMap((entry) => entry.tags))];
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${text(info.title)} API</title>
<style>${STYLE}</style></head>
<body>
<h1>${text(info.title)} API <small>${text(info.version)}</small></h1>
<p>${text(info.description)} The same for programs is <a href="/openapi.json">/openapi.json</a>.</p>
<nav>${tags.map((tag) => `<a href="#${text(tag)}">${text(tag)}</a>`).join("")}</nav>
${tags.map((tag) => sectionOf(tag, entries)).join("\n")}
</body>
</html>
`;
}

function sectionOf(tag: string, entries: readonly Entry[]): string {
  const own = entries.filter(({ tags }) => tags.includes(tag));
  return `<h2 id="${text(tag)}">${text(tag)}</h2>\n${own.map(entryOf).join("\n")}`;
}

function entryOf({
  operationId,
  method,
  path,
  summary,
  security,
  parameters = [],
  requestBody,
  responses,
}: Entry) {
  const scope = security[0]?.token?.[0];
  const named = parameters.map(
    ({ name, in: where, required }) => `${name} (${where}${required ? "" : ", may be left out"})`,
  );
  const schema = requestBody?.content["application/json"]?.schema;
  return `<h3 id="${text(operationId)}"><b>${method.toUpperCase()}</b> <code>${text(path)}</code></h3>
<p>${text(summary)} <small>${scope === undefined ? "For everybody." : `For tokens with the scope ${text(scope)}.`}</small></p>
${named.length === 0 ? "" : `<p>Takes: ${named.map((one) => `<code>${text(one)}</code>`).join(", ")}</p>`}
${schema === undefined ? "" : `<pre>${text(JSON.stringify(schema, null, 2))}</pre>`}
<p><small>${Object.entries(responses)
    .map(([status, { description }]) => `${text(status)}: ${text(description)}`)
    .join(" · ")}</small></p>`;
}

function text(value: string): string {
  return value.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
