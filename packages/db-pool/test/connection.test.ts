import { expect, onTestFinished, test } from "vitest";
import { openDatabase, serve, surql } from "../src/index.ts";

test("a root user finds its namespace and database made, again and again, over ws and http", async () => {
  const owner = await openDatabase({ url: "mem://" });
  const served = await serve(owner, { token: "0123456789abcdef" });
  onTestFinished(async () => {
    await served.close();
    await owner.close();
  });
  await owner.query(surql`DEFINE USER root ON ROOT PASSWORD 'hunter2' ROLES OWNER`);
  for (const url of [served.url, served.url, served.url.replace("ws:", "http:")]) {
    await using db = await openDatabase({
      url,
      user: "root",
      password: "hunter2",
      signInAs: "root",
      namespace: "made-new",
      database: "made",
    });
    expect(await db.query(surql`RETURN [session::ns(), session::db()]`)).toEqual(["made-new", "made"]);
  }
  const info = await owner.query(surql<{ namespaces: object }>`INFO FOR ROOT`);
  expect(Object.keys(info.namespaces)).toContain("made-new");
});
