// One engine in one process: opening, letting go, and what takes the whole process down.

import { setTimeout as sleep } from "node:timers/promises";
import { until } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { classify } from "../../src/classify.ts";
import { NATIVE_OPTIONS, openNative } from "../../src/native.ts";
import {
  codec,
  defect,
  EMBEDDED,
  inChild,
  ON_DISK,
  open,
  temporaryFolder,
  urlOf,
  outcomeWithin,
} from "./support.ts";

const ABORTED = { code: null, signal: "SIGABRT" };
const ENDED_WELL = { code: 0, signal: null };

const WAITING_READ = defect(
  "surrealdb.js#582",
  "let #pump in src/engine.ts read on after the last LIVE query",
);
const KEPT_LOCK = defect(
  "surrealdb.js#582",
  "let #close in src/engine.ts free rocksdb instead of parking it",
);

describe.for(EMBEDDED)("on %s", (kind) => {
  test.for([
    [
      "choose a null namespace",
      "let src/served-session.ts pass every `use` on (G3)",
      "namespace should be set",
    ],
    [
      "free it with calls in flight",
      "let #close in src/engine.ts free without draining (E2)",
      "on a `None` value",
    ],
  ] as const)("defect: to %s aborts the process", async ([act, then, panic]) => {
    await using folder = await temporaryFolder();
    await using child = inChild(act, urlOf(kind, folder.path));
    const exit = await child.exited;
    await defect(`to ${act} aborts the process`, then).shows(() => expect(exit).toEqual(ABORTED));
    expect(child.stderr).toContain(panic);
  });

  test("an engine that nobody waits on lets the process end, though it was not freed", async () => {
    await using folder = await temporaryFolder();
    await using child = inChild("leave it idle", urlOf(kind, folder.path));
    expect(await child.exited).toEqual(ENDED_WELL);
    expect(child.messages).toEqual([{ idle: true }]);
  });

  test("defect: a read of notifications that waits keeps the process alive", async () => {
    await using folder = await temporaryFolder();
    await using child = inChild("wait for a notification", urlOf(kind, folder.path));
    await child.message((message) => message.waiting === true);
    const end = await outcomeWithin(1_000, child.exited);
    await WAITING_READ.shows(() => expect(end).toBe("pending"));
  });

  test("notifications from before anybody asked for them are kept, and end when it is freed", async () => {
    await using folder = await temporaryFolder();
    const native = await openNative(urlOf(kind, folder.path));
    const call = (method: string, ...params: unknown[]) =>
      native.execute(codec.encode({ id: "", method, params }));
    await call("use", "any", "any");
    await call("query", "DEFINE TABLE bell; LIVE SELECT * FROM bell", {});
    await call("query", "CREATE bell:one", {});
    const receiver = await native.notifications();
    expect(codec.decode((await receiver.recv())!)).toMatchObject({ action: "CREATE" });
    native.free();
    expect(await receiver.recv()).toBeNull();
  });
});

describe.for(ON_DISK)("a folder that %s holds", (kind) => {
  test("is refused to a second engine of this process, in words that src/classify.ts knows", async () => {
    await using folder = await temporaryFolder();
    await using holder = await open(kind, folder.path);
    const refused = await openNative(urlOf(kind, folder.path)).catch((error: Error) => error);
    expect(classify(refused as Error)).toHaveProperty("code", "db.locked");
    expect(await holder.run("RETURN 'well'")).toBe("well");
  });

  test("is refused to another process, in words that src/classify.ts knows", async () => {
    await using folder = await temporaryFolder();
    await using holder = await open(kind, folder.path);
    await using child = inChild("open it", urlOf(kind, folder.path));
    const { refused } = await child.message<{ refused: string }>((message) => "refused" in message);
    expect(classify({ message: refused })).toHaveProperty("code", "db.locked");
    expect(await holder.run("RETURN 'well'")).toBe("well");
  });

  test("is free for the next process when its own ends, though it was not freed", async () => {
    await using folder = await temporaryFolder();
    for (const turn of ["first", "second"]) {
      await using child = inChild("leave it idle", urlOf(kind, folder.path));
      expect({ turn, ...(await child.exited) }).toEqual({ turn, ...ENDED_WELL });
    }
  });
});

test("defect: rocksdb keeps its folder locked until the process ends, though it was freed", async () => {
  await using folder = await temporaryFolder();
  const url = urlOf("rocksdb", folder.path);
  const native = await openNative(url);
  native.free();
  await KEPT_LOCK.shows(async () => {
    for (let attempt = 1; attempt <= 10; attempt++) {
      await expect(openNative(url)).rejects.toThrow("lock hold by current process");
      await sleep(100);
    }
  });
});

test("surrealkv lets go of its folder after it was freed, if not at once", async () => {
  await using folder = await temporaryFolder();
  for (let times = 1; times <= 5; times++) {
    await using engine = await until(() => open("surrealkv", folder.path), { what: "the lock" });
    await engine.run("CREATE note");
    expect(await engine.run("RETURN count(SELECT id FROM note)")).toBe(times);
  }
});

test("two engines in memory are two databases", async () => {
  await using first = await open("mem");
  await using second = await open("mem");
  await first.run("CREATE note:one");
  await expect(second.run("SELECT * FROM note")).rejects.toThrow("does not exist");
});

test("a time limit of an engine is at most 255 seconds", async () => {
  await expect(openNative("mem://", { ...NATIVE_OPTIONS, query_timeout: 256 })).rejects.toThrow(
    "expected u8",
  );
  const native = await openNative("mem://", {
    ...NATIVE_OPTIONS,
    query_timeout: 255,
    transaction_timeout: 255,
  });
  native.free();
});
