// Every link of a page leads to a file that is there, and to a heading in it if it names one.

import { existsSync, statSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, test } from "vitest";
import { markdownFiles, prose, readPage, ROOT } from "../src/pages.ts";

const LINK = /\[(?:[^\]\\]|\\.)*\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g;
const DEFINITION = /^\[[^\]]+\]:\s+(\S+)/gm;

function linksOf(page: string): string[] {
  const text = prose(page).replaceAll(/`[^`\n]*`/g, (code) => "x".repeat(code.length));
  return [...text.matchAll(LINK), ...text.matchAll(DEFINITION)].map(([, target]) => target!);
}

/** As GitHub makes them of headings. */
function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of prose(page).matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)) {
    const plain = heading!.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const anchor = plain.replaceAll(/[^\p{L}\p{N}\p{Pc} -]/gu, "").replaceAll(" ", "-");
    let unique = anchor;
    for (let n = 1; anchors.has(unique); n++) unique = `${anchor}-${n}`;
    anchors.add(unique);
  }
  for (const [, id] of page.matchAll(/<a id="([^"]+)"/g)) anchors.add(id!);
  return anchors;
}

/** Undefined if it leads somewhere. */
function problemOf(link: string, from: string): string | undefined {
  if (/^(https?|mailto|rocksdb|wss?):/.test(link)) return undefined;
  const [path, anchor] = link.split("#", 2) as [string, string | undefined];
  const target = path === "" ? from : normalize(join(dirname(from), decodeURIComponent(path)));
  if (target.startsWith("..")) return `${link} leads out of the repository`;
  const there = join(ROOT, target);
  if (!existsSync(there)) return `${link} leads nowhere`;
  if (anchor === undefined) return undefined;
  const file = statSync(there).isDirectory() ? join(target, "README.md") : target;
  if (!file.endsWith(".md")) return undefined;
  const known = anchorsOf(readPage(file));
  return known.has(anchor) || anchor === "readme" ? undefined : `there is no heading #${anchor} in ${file}`;
}

const files = markdownFiles();

test.for(files)("%s", (file) => {
  const problems = linksOf(readPage(file)).map((link) => problemOf(link, file));
  expect(problems.filter(Boolean)).toEqual([]);
});

test("a link that leads nowhere is found, and so is a heading that is not there", () => {
  expect(problemOf("docs/nothing.md", "README.md")).toBe("docs/nothing.md leads nowhere");
  expect(problemOf("README.md#nothing", "README.md")).toBe("there is no heading #nothing in README.md");
  expect(problemOf("README.md#promises", "README.md")).toBeUndefined();
  expect(linksOf("[a](b.md) and `[c](d.md)`\n\n```md\n[e](f.md)\n```\n\n[g]: h.md\n")).toEqual([
    "b.md",
    "h.md",
  ]);
});

test("every page is found from the index of llms.txt", () => {
  const index = linksOf(readPage("docs/llms.txt")).map((link) =>
    normalize(join("docs", link.split("#")[0]!)),
  );
  const pages = files.filter(
    (file) => file.startsWith("docs/") && file.endsWith(".md") && !file.includes("decisions/0"),
  );
  expect(pages.filter((page) => !index.includes(page))).toEqual([]);
});
