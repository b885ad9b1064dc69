import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DCLinter } from "dclint";
import { expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";

const root = join(import.meta.dirname, "../../..");
const file = join(root, "docker-compose.yml");
const text = readFileSync(file, "utf8");

type Service = {
  image: string;
  environment?: Record<string, string>;
  ports?: string[];
  user?: string;
  read_only?: boolean;
  cap_drop?: string[];
  security_opt?: string[];
  healthcheck?: { test: string[] };
};
const { services } = parse(text, { merge: true }) as { services: Record<string, Service> };
const all = Object.values(services);
const nodes = all.filter(({ image }) => image.startsWith("surrealdb/"));

/** Validates against the Compose Specification's JSON schema, which dclint carries; its own style rules stay off. */
function schemaErrors(path: string): string[] {
  const linter = new DCLinter({ rules: {}, quiet: true, debug: false, exclude: [] });
  const results = linter.lintFiles([path], false) as { messages: { rule: string; message: string }[] }[];
  return results
    .flatMap(({ messages }) => messages)
    .filter(({ rule }) => rule === "invalid-schema")
    .map(({ message }) => message);
}

test("docker-compose.yml fits the Compose schema", () => {
  expect(schemaErrors(file)).toEqual([]);
});

test("the Compose schema refuses a misspelt key", () => {
  const folder = mkdtempSync(join(tmpdir(), "compose-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const broken = join(folder, "docker-compose.yml");
  writeFileSync(broken, text.replace("healthcheck:", "healthchek:"));
  expect(schemaErrors(broken)).not.toEqual([]);
});

test("every published port is bound to loopback", () => {
  const ports = all.flatMap((service) => service.ports ?? []);
  expect(ports.length).toBeGreaterThan(0);
  for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
});

test("every image is pinned to a version, SurrealDB's to a digest of 3.1 or later", () => {
  for (const { image } of all) expect(image).toMatch(/:v\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?$/);
  for (const { image } of nodes) expect(image).toMatch(/:v3\.[1-9]\d*\.\d+@sha256:/);
});

test("the password must be given: there is no default, and the example has none", () => {
  expect(nodes).toHaveLength(4);
  for (const { environment } of nodes) expect(environment?.SURREAL_PASS).toMatch(/^\$\{SURREAL_PASSWORD:\?/);
  expect(readFileSync(join(root, ".env.example"), "utf8")).toMatch(/^SURREAL_PASSWORD=$/m);
});

test("every node denies all capabilities and allows no function that reaches out or stalls", () => {
  for (const { environment = {} } of nodes) {
    expect(environment.SURREAL_CAPS_DENY_ALL).toBe("true");
    const allowed = (environment.SURREAL_CAPS_ALLOW_FUNC ?? "").split(",").map((family) => family.trim());
    expect(allowed).toContain("record");
    expect(allowed.filter((family) => /^(http|sleep|file|api|eval)?$/.test(family))).toEqual([]);
    const capabilities = Object.keys(environment).filter((key) => key.startsWith("SURREAL_CAPS_"));
    expect(capabilities.toSorted()).toEqual(["SURREAL_CAPS_ALLOW_FUNC", "SURREAL_CAPS_DENY_ALL"]);
  }
});

test("every node runs without root, on a read-only file system", () => {
  for (const { user, read_only } of nodes)
    expect({ user, read_only }).toEqual({ user: "65532:65532", read_only: true });
});

test("no service may gain privileges", () => {
  for (const { cap_drop, security_opt } of all) {
    expect(cap_drop).toEqual(["ALL"]);
    expect(security_opt).toContain("no-new-privileges:true");
  }
});

test("health is asked without a shell, which the image does not have", () => {
  for (const { healthcheck } of nodes) expect(healthcheck?.test.slice(0, 2)).toEqual(["CMD", "/surreal"]);
});
