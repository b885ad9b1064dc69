// Writes the JSON Schema of each noun to dist/json, for whoever reads them in another language.

import { mkdirSync, writeFileSync } from "node:fs";
import { jsonSchemas } from "../src/index.ts";

const folder = new URL("../dist/json/", import.meta.url);
mkdirSync(folder, { recursive: true });
for (const [noun, schema] of Object.entries(jsonSchemas()))
  writeFileSync(new URL(`${noun}.json`, folder), `${JSON.stringify(schema, null, 2)}\n`);
