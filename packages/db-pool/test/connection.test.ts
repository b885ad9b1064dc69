import { expect, onTestFinished, test } from "vitest";
import { openDatabase, serve, surql } from "../src/index.ts";

const ROOT = { user: "root", password: "hunter2", signInAs: "root" } as const;

async function withRootUser(role: "OWNER" | "VIEWER") {
  const owner = await openDatabase({ url: "mem://" });
  const served = await serve(owner, { token: "0123456789abcdef" });
  onTestFinished(async () => {
    await served.close();
    await owner.close();
  });
  await owner.query(
    role === "OWNER"
      ? surql`DEFINE USER root ON ROOT PASSWORD 'hunter2' ROLES OWNER`
      : surql`DEFINE USER root ON ROOT PASSWORD 'hunter2' ROLES VIEWER`,
  );
  return { owner, served };
}

test("a root user finds its namespace and database made, again and again, over ws and http", async () => {
  const { owner, served } = await withRootUser("OWNER");
  for (const url of [served.url, served.url, served.url.replace("ws:", "http:")]) {
    await using db = await openDatabase({ url, ...ROOT, namespace: "made-new", database: "made" });
    expect(await db.query(surql`RETURN [session::ns(), session::db()]`)).toEqual(["made-new", "made"]);
  }
  const info = await owner.query(surql<{ namespaces: object }>`INFO FOR ROOT`);
  expect(Object.keys(info.namespaces)).toContain("made-new");
});

test("twenty root users at once all find them made", async () => {
  const { served } = await withRootUser("OWNER");
  const options = { url: served.url, ...ROOT, namespace: "crowded", database: "crowded" };
  const opened = await Promise.allSettled(Array.from({ length: 20 }, () => openDatabase(options)));
  for (const result of opened) if (result.status === "fulfilled") await result.value.close();
  expect(opened.filter(({ status }) => status === "rejected")).toEqual([]);
});

test("a root user who may only look opens what is there, and makes nothing", async () => {
  const { owner, served } = await withRootUser("VIEWER");
  const options = { url: served.url, ...ROOT, database: owner.database };
  await using db = await openDatabase({ ...options, namespace: owner.namespace });
  expect(await db.query(surql`RETURN session::ns()`)).toBe(owner.namespace);
  await expect(openDatabase({ ...options, namespace: "absent" })).rejects.toMatchObject({
    code: "db.denied",
  });
  const info = await owner.query(surql<{ namespaces: object }>`INFO FOR ROOT`);
  expect(Object.keys(info.namespaces)).not.toContain("absent");
});
