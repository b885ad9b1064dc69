// Sessions and rights: an embedded engine trusts whoever does not say who he is, and does not tell who may not write.

import { Uuid } from "surrealdb";
import { describe, expect, test } from "vitest";
import { defect, EMBEDDED, open, type RawEngine } from "./support.ts";

const ANYBODY_OWNS = defect(
  "a session of an embedded engine that is not signed in is an owner",
  "ask what the gate in src/served-session.ts is still for (G1)",
);

/** A session of its own, in the database that the first one chose. */
async function anotherSession(engine: RawEngine): Promise<Uuid> {
  const session = Uuid.v4();
  const [namespace, database] = await engine.run<string[]>("RETURN [session::ns(), session::db()]");
  await engine.rpc("attach", [], { session });
  await engine.rpc("use", [namespace, database], { session });
  return session;
}

async function signedIn(engine: RawEngine, who: object): Promise<Uuid> {
  const session = await anotherSession(engine);
  const [ns, db] = await engine.run<string[]>("RETURN [session::ns(), session::db()]");
  await engine.rpc("signin", [{ ns, db, ...who }], { session });
  return session;
}

const VIEWER = { user: "viewer", pass: "secret" };
const ANN = { ac: "people" };

const PEOPLE = `
  DEFINE USER viewer ON DATABASE PASSWORD 'secret' ROLES VIEWER;
  DEFINE TABLE person PERMISSIONS NONE;
  DEFINE TABLE note PERMISSIONS FOR select FULL, FOR create, update, delete NONE;
  CREATE person:ann; CREATE note:one SET n = 1;
  DEFINE ACCESS people ON DATABASE TYPE RECORD SIGNIN (SELECT * FROM person:ann);
`;

const MAKES_AN_OWNER = "DEFINE USER intruder ON ROOT PASSWORD 'secret' ROLES OWNER";

describe.for(EMBEDDED)("on %s", (kind) => {
  test("defect: a session that never signed in is an owner", async () => {
    await using engine = await open(kind);
    const session = await anotherSession(engine);
    await ANYBODY_OWNS.shows(() => engine.run(MAKES_AN_OWNER, {}, { session }));
    expect(await engine.run("INFO FOR ROOT")).toHaveProperty("users.intruder");
  });

  test.for([
    ["viewer", VIEWER],
    ["record user", ANN],
  ] as const)("defect: `invalidate` makes a %s an owner", async ([, who]) => {
    await using engine = await open(kind);
    await engine.run(PEOPLE);
    const session = await signedIn(engine, who);
    await expect(engine.run(MAKES_AN_OWNER, {}, { session })).rejects.toThrow("Not enough permissions");
    await engine.rpc("invalidate", [], { session });
    await ANYBODY_OWNS.shows(() => engine.run(MAKES_AN_OWNER, {}, { session }));
    expect(await engine.run("INFO FOR ROOT")).toHaveProperty("users.intruder");
  });

  describe.for([
    ["viewer", VIEWER],
    ["record user", ANN],
  ] as const)("a %s", ([, who]) => {
    test.for([
      ["CREATE note:two", []],
      ["UPDATE note:one SET n = 2", []],
      ["UPSERT note:one SET n = 2", []],
      ["DELETE note:one", []],
      ["INSERT INTO note { id: 'two' }", []],
      ["UPDATE ONLY note:one SET n = 2", undefined],
      ["CREATE ONLY note:two", undefined],
    ] as const)("who may not write is told nothing, and changes nothing: %s", async ([text, answer]) => {
      await using engine = await open(kind);
      await engine.run(PEOPLE);
      const session = await signedIn(engine, who);
      expect(await engine.run(text, {}, { session })).toEqual(answer);
      expect(await engine.run("SELECT VALUE n FROM note")).toEqual([1]);
    });

    test("reads what is there", async () => {
      await using engine = await open(kind);
      await engine.run(PEOPLE);
      const session = await signedIn(engine, who);
      expect(await engine.run("SELECT VALUE n FROM note", {}, { session })).toEqual([1]);
    });
  });
});

describe("served", () => {
  test("the gate lets a session do nothing before it shows who it is, nor after `invalidate`", async () => {
    await using engine = await open("served");
    const session = Uuid.v4();
    await engine.rpc("attach", [], { session });
    await expect(engine.run(MAKES_AN_OWNER, {}, { session })).rejects.toThrow("sign in first");
    await engine.rpc("invalidate");
    await expect(engine.run(MAKES_AN_OWNER)).rejects.toThrow("sign in first");
  });

  test("a null namespace is refused, and the engine lives on", async () => {
    await using engine = await open("served");
    await expect(engine.rpc("use", [null, "any"])).rejects.toThrow("use cannot unset");
    expect(await engine.run("RETURN 1")).toBe(1);
  });
});
