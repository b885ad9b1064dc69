import type { Json } from "@sentient/schema";

/**
 * The texts in a document that are called secret.
 *
 * @param secrets names of fields, at any depth, and JSON Pointers (RFC 6901)
 */
export function secretValues(document: Json, secrets: readonly string[]): string[] {
  if (secrets.length === 0) return [];
  const names = new Set(secrets.filter((secret) => !secret.startsWith("/")));
  const pointers = new Set(secrets.filter((secret) => secret.startsWith("/")));
  const found: string[] = [];
  const look = (value: Json, pointer: string, isSecret: boolean) => {
    if (typeof value === "string" && isSecret) found.push(value);
    if (typeof value !== "object" || value === null) return;
    for (const [key, item] of Object.entries(value)) {
      const here = `${pointer}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
      look(item!, here, isSecret || pointers.has(here) || (!Array.isArray(value) && names.has(key)));
    }
  };
  look(document, "", false);
  return found;
}
