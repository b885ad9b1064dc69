// npm run example [page]: runs a page of this folder.

import { readdir } from "node:fs/promises";

const folder = new URL(".", import.meta.url);
const pages = (await readdir(folder)).filter(
  (file) => file.endsWith(".ts") && !/^(start|vitest\.)/.test(file),
);
const [page = "first-write"] = process.argv.slice(2);

if (pages.includes(`${page}.ts`)) await import(new URL(`${page}.ts`, folder).href);
else {
  console.error(
    `there is no page ${page}; there is ${pages.map((file) => file.replace(".ts", "")).join(", ")}`,
  );
  process.exitCode = 1;
}
