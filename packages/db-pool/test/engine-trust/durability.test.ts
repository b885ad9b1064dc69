// What outlives a process that is killed: every acknowledged write, and every LIVE registration.

import { until } from "@sentient/testkit";
import { Uuid } from "surrealdb";
import { describe, expect, test } from "vitest";
import { defect, inChild, ON_DISK, type OnDisk, open, temporaryFolder, urlOf } from "./support.ts";

const STALE_LIVES = defect(
  "LIVE registrations are kept in the store, and outlive who made them",
  "drop the rule that the owner of a store makes its bell tables anew at boot",
);

const ACKNOWLEDGED = 500;

/** Kills a process amid its writes, and compares what it was told with what is there. */
async function lostByKilling(kind: OnDisk, urlOptions = ""): Promise<number[]> {
  await using folder = await temporaryFolder();
  await using child = inChild("write until killed", urlOf(kind, folder.path) + urlOptions);
  await until(() => child.messages.length >= ACKNOWLEDGED, {
    deadline: 60_000,
    what: "500 acknowledged writes",
  });
  await child.kill();
  await using engine = await open(kind, folder.path);
  await engine.run("DEFINE TABLE IF NOT EXISTS note");
  const kept = new Set(await engine.run<number[]>("SELECT VALUE n FROM note"));
  return child.messages.map(({ written }) => written as number).filter((n) => !kept.has(n));
}

describe("SIGKILL", () => {
  test.for(ON_DISK)("costs %s no acknowledged write", async (kind) => {
    expect(await lostByKilling(kind)).toEqual([]);
  });

  test("costs rocksdb writes that it acknowledged under ?sync=1s: the option trades them for speed", async () => {
    let lost: number[] = [];
    for (let round = 0; round < 5 && lost.length === 0; round++) {
      lost = await lostByKilling("rocksdb", "?sync=1s"); // nothing, if it is killed just after it has synced
    }
    expect(lost).not.toEqual([]);
  });
});

describe.for(ON_DISK)("LIVE registrations on %s", (kind) => {
  test("defect: outlive their process, and cannot be killed", async () => {
    await using folder = await temporaryFolder();
    await using child = inChild("listen until killed", urlOf(kind, folder.path));
    const { live } = await child.message<{ live: string }>((message) => "live" in message);
    await child.kill();

    await using engine = await open(kind, folder.path);
    const registered = async () => {
      const { lives } = await engine.run<{ lives: object }>("INFO FOR TABLE bell");
      return Object.keys(lives);
    };
    const found = await registered();
    await STALE_LIVES.shows(() => expect(found).toEqual([live]));
    const killing = engine.rpc("kill", [new Uuid(live)]);
    await STALE_LIVES.shows(() => expect(killing).rejects.toThrow("Cannot execute KILL"));
    expect(await registered()).toEqual([live]);

    await engine.run("REMOVE TABLE IF EXISTS bell; DEFINE TABLE bell");
    expect(await registered()).toEqual([]);

    const own = await engine.listen("bell");
    expect(await registered()).toEqual([own.toString()]);
    await engine.rpc("kill", [own]);
    expect(await registered()).toEqual([]);
  });
});
