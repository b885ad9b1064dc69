import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";

const root = join(import.meta.dirname, "../../..");
const oxlint = join(import.meta.dirname, "../node_modules/oxlint/bin/oxlint");

function lint(code: string) {
  const folder = mkdtempSync(join(tmpdir(), "lint-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "planted.ts"), code);
  const flags = ["--config", join(root, ".oxlintrc.json"), "--format", "unix", folder];
  return spawnSync(process.execPath, [oxlint, ...flags], { cwd: root, encoding: "utf8" });
}

test("the repository's oxlint refuses planted SurrealQL that was built from strings", () => {
  const { status, stdout } = lint(
    "export const all = (db: { query(t: string): unknown }, table: string) => db.query(`SELECT * FROM ${table}`);\n",
  );
  expect(stdout).toContain("sentient(bound-surrealql)");
  expect(status).toBe(1);
});

test("the repository's oxlint lets a plain literal through", () => {
  const { status, stdout } = lint(
    'export const ping = (client: { query(t: string): unknown }) => client.query("RETURN 1");\n',
  );
  expect(stdout).not.toContain("sentient");
  expect(status).toBe(0);
});
