// The reference. Owns: the document as a page for people: plain HTML, without a script, and with nothing from elsewhere.

import { exampleOf, fieldsOf, typeOf, type Schema } from "./reference-fields.ts";
import { STYLE } from "./reference-style.ts";

interface Parameter {
  name: string;
  in: string;
  required?: boolean;
  description?: string;
  schema?: Schema;
}

interface Operation {
  operationId: string;
  summary: string;
  tags: string[];
  security: { token?: string[] }[];
  parameters?: Parameter[];
  requestBody?: { content: Record<string, { schema: Schema }> };
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

/** @param document OpenAPI 3.1 */
export function pageOf(document: object): string {
  const { info, paths } = document as Document;
  const entries = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Entry => ({ ...operation, method, path })),
  );
  const tags = [...new Set(entries.flatMap((entry) => entry.tags))];
  const under = (tag: string) => entries.filter((entry) => entry.tags.includes(tag));
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${text(info.title)} API</title>
<style>${STYLE}</style></head>
<body>
<nav>${tags.map((tag) => indexOf(tag, under(tag))).join("\n")}</nav>
<main>
<h1>${text(info.title)} API <small>${text(info.version)}</small></h1>
<p>${text(info.description)} The same for programs is <a href="/openapi.json">/openapi.json</a>.</p>
<p>Who asks shows a token: <code>authorization: Bearer …</code>. Errors are <code>application/problem+json</code> with a <code>code</code> that stays.
Streams are server-sent events: who was cut off goes on with <code>Last-Event-ID</code>.</p>
${tags.map((tag) => `<h2 id="${text(tag)}">${text(tag)}</h2>\n${under(tag).map(entryOf).join("\n")}`).join("\n")}
</main>
</body>
</html>
`;
}

function indexOf(tag: string, entries: readonly Entry[]): string {
  const links = entries.map(
    ({ operationId, method, path }) =>
      `<li><a href="#${text(operationId)}">${badge(method)} ${text(path.replace(/^\/v1/, ""))}</a></li>`,
  );
  return `<a class="tag" href="#${text(tag)}">${text(tag)}</a><ul>${links.join("")}</ul>`;
}

function entryOf(entry: Entry): string {
  const { operationId, method, path, summary, security, responses, requestBody } = entry;
  const scope = security[0]?.token?.[0];
  const schema = requestBody?.content["application/json"]?.schema;
  const answers = Object.entries(responses).map(
    ([status, { description }]) => `<li><code>${text(status)}</code> ${text(description)}</li>`,
  );
  return `<section id="${text(operationId)}">
<h3>${badge(method)} <code>${text(path)}</code></h3>
<p>${text(summary)} <small>${scope === undefined ? "For everybody." : `For tokens with the scope ${text(scope)}.`}</small></p>
${fieldsTable(entry, schema)}
<pre>${text(commandOf(entry, schema))}</pre>
<details><summary>Answers</summary><ul>${answers.join("")}</ul></details>
${schema === undefined ? "" : `<details><summary>JSON Schema</summary><pre>${text(JSON.stringify(schema, null, 2))}</pre></details>`}
</section>`;
}

function fieldsTable({ parameters = [] }: Entry, schema: Schema | undefined): string {
  const asked = parameters.map(
    ({ name, in: where, required = false, description = "", schema: of = {} }) => ({
      name,
      type: typeOf(of),
      where,
      required,
      about: description,
    }),
  );
  const said = schema ? fieldsOf(schema).map((field) => ({ ...field, where: "body" })) : [];
  const rows = [...asked, ...said].map(
    ({ name, type, where, required, about }) =>
      `<tr><td><code>${text(name)}</code>${required ? " <b>needed</b>" : ""}</td><td>${text(where)}</td><td>${text(type)}</td><td>${text(about)}</td></tr>`,
  );
  if (rows.length === 0) return "";
  return `<table><thead><tr><th>Name</th><th>In</th><th>Is</th><th></th></tr></thead><tbody>${rows.join("\n")}</tbody></table>`;
}

/** How it is asked from a shell. */
function commandOf({ method, path, security, responses }: Entry, schema: Schema | undefined): string {
  const isStream = JSON.stringify(responses).includes("event-stream");
  const words = [
    isStream ? "curl -N" : "curl",
    ...(method === "get" ? [] : [`-X ${method.toUpperCase()}`]),
    ...(security[0]?.token ? ['-H "authorization: Bearer $TOKEN"'] : []),
    ...(schema ? ["-H 'content-type: application/json'", `-d '${JSON.stringify(exampleOf(schema))}'`] : []),
    `"$URL${path}"`,
  ];
  return words.join(" ");
}

function badge(method: string): string {
  return `<b class="${text(method)}">${text(method.toUpperCase())}</b>`;
}

function text(value: string): string {
  return value.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
