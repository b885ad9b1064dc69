// Why the pool speaks to engines and servers itself: what the SDK does to values, to errors, and to calls in flight.

import { createNodeEngines } from "@surrealdb/node";
import { tcpProxy, until } from "@sentient/testkit";
import { createRemoteEngines, isRetryableConflict, Surreal } from "surrealdb";
import { describe, expect, onTestFinished, test } from "vitest";
import { decode, openDatabase, serve, surql } from "../../src/index.ts";
import { openNative } from "../../src/native.ts";
import { codec, defect, ON_DISK, open, outcomeWithin, temporaryFolder, urlOf } from "./support.ts";

const CHANGED_VALUES = defect(
  "the SDK's codec changes values",
  "use it in src/codec.ts, if this was the last of these",
);
const SWALLOWED = defect(
  "NodeEngine swallows the errors of opening",
  "use createNodeEngines() instead of src/native.ts",
);
const UNKNOWN_CONFLICT = defect(
  "conflicts have no details in 3.0",
  "let D2 in src/queryable.ts ask isRetryableConflict()",
);
const SENT_TWICE = defect(
  "calls in flight are sent again after a reconnect",
  "let the SDK's engine replace src/socket.ts, whose point is to send once (S1)",
);

const TOKEN = "whoever has this owns the database";

const sdk = () => new Surreal({ engines: { ...createRemoteEngines(), ...createNodeEngines() } });
const roundTrip = (value: unknown) => codec.decode(codec.encode(value));

describe("the codec of the SDK", () => {
  test.for([
    ["a function into an empty object", { f: () => 1 }, { f: {} }],
    ["a symbol into an empty object", { s: Symbol("any") }, { s: {} }],
    ["an error into an empty object", new RangeError("any"), {}],
    ["a Map into an object", new Map([["n", 1]]), { n: 1 }],
    ["minus zero into zero", -0, 0],
    ["a lone surrogate into another character", "\ud800", "\ufffd"],
    [
      "floats into the bytes of their whole parts",
      new Float32Array([1.5, 257]),
      new Uint8Array([1, 1]).buffer,
    ],
  ] as const)("defect: turns %s", async ([, value, changed]) => {
    await CHANGED_VALUES.shows(() => expect(roundTrip(value)).toEqual(changed));
  });

  test("defect: lets a key named __proto__ replace the prototype of what it decodes; ours does not", async () => {
    await using engine = await open("mem");
    const row = await engine.run<{ admin?: boolean }>('RETURN { "__proto__": { admin: true } }');
    await CHANGED_VALUES.shows(() => expect([row.admin, Object.keys(row)]).toEqual([true, []]));

    const ours = decode(codec.encode(JSON.parse('{ "__proto__": { "admin": true } }'))) as {
      admin?: boolean;
    };
    expect([ours.admin, Object.keys(ours)]).toEqual([undefined, ["__proto__"]]);
  });
});

describe.for(ON_DISK)("a folder of %s that is locked", (kind) => {
  test("defect: leaves connect() of the SDK pending for ever, where the native binding rejects at once", async () => {
    await using folder = await temporaryFolder();
    await using holder = await open(kind, folder.path);
    const url = urlOf(kind, folder.path);
    await expect(openNative(url)).rejects.toThrow("LOCK");

    const told: unknown[] = [];
    const db = sdk();
    db.subscribe("error", (error) => told.push(error));
    const connecting = db.connect(url).then(
      () => "connected",
      () => "rejected",
    );
    const end = await outcomeWithin(1_500, connecting);
    await SWALLOWED.shows(() => expect([end, told]).toEqual(["pending", []]));
    expect(await holder.run("RETURN 'well'")).toBe("well");
  });
});

test("defect: the SDK does not see that a conflict of the engine can be retried", async () => {
  const db = sdk();
  await db.connect("mem://", { namespace: "any", database: "any" });
  onTestFinished(async () => void (await db.close()));
  await db.query("CREATE tally:one SET n = 0");
  const holding = (hold: string) =>
    db.query("{ UPDATE tally:one SET n += 1; sleep(<duration> $hold) }", { hold }).collect();
  const conflict = await until(async () => {
    const [, later] = await Promise.allSettled([holding("50ms"), holding("150ms")]);
    return later.status === "rejected" && (later.reason as Error);
  });
  expect(conflict).toHaveProperty("message", expect.stringContaining("can be retried"));
  await UNKNOWN_CONFLICT.shows(() => expect(isRetryableConflict(conflict)).toBe(false));
});

test("defect: the SDK sends a call again whose answer was lost, and one += 1 becomes two", async () => {
  await using folder = await temporaryFolder();
  await using db = await openDatabase({ url: `rocksdb://${folder.path}` });
  await using served = await serve(db, { token: TOKEN });
  await using proxy = await tcpProxy({ port: served.port });
  await db.query(surql`CREATE tally:one SET n = 0`);
  const n = () => db.query(surql<number>`SELECT VALUE n FROM ONLY tally:one`);

  const client = sdk();
  onTestFinished(async () => void (await client.close()));
  await client.connect(`ws://${proxy.host}:${proxy.port}/rpc`, {
    namespace: db.namespace,
    database: db.database,
    authentication: TOKEN,
    reconnect: { enabled: true, attempts: -1, retryDelay: 20, retryDelayMax: 20 },
  });
  proxy.dropReplies();
  const counted = client.query("UPDATE tally:one SET n += 1").collect();
  await until(async () => (await n()) === 1, { what: "the first += 1" });
  proxy.reset();
  proxy.pass();
  await counted;

  const came = await n();
  await SENT_TWICE.shows(() => expect(came).toBe(2));
});
