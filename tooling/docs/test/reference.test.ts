import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readPage, ROOT } from "../src/pages.ts";
import { PAGES } from "../src/reference/index.ts";

test.for(Object.entries(PAGES))("docs/reference/%s is what the sources say", async ([file, write]) => {
  const written = await write();
  expect(readPage(`docs/reference/${file}`), "run pnpm --filter @sentient/docs generate").toBe(written);
});

test("there is nothing else", () => {
  expect(readdirSync(join(ROOT, "docs/reference")).toSorted()).toEqual(Object.keys(PAGES).toSorted());
});
