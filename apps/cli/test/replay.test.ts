// A part of the log again: on the screen, in a function, at a consumer.

import { createEventBus } from "@sentient/event-bus";
import { openDatabase, type Database } from "@sentient/db-pool";
import { until } from "@sentient/testkit";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { jsonOf, project } from "./support/cli.ts";
import { inside } from "./support/inside.ts";

/** A project whose log has ten events at 1 to 10, every other one an order. */
async function tenEvents() {
  const cwd = await project();
  const url = `rocksdb://${join(cwd, "data")}`;
  const at = (...words: string[]) => inside(["events", "replay", ...words, "--url", url]);
  await withDatabase(url, async (db) => {
    await using bus = createEventBus(db);
    for (let i = 1; i <= 10; i++)
      await bus.publish({ type: i % 2 === 0 ? "order.placed" : "order.seen", data: i });
  });
  return { cwd, url, at };
}

async function withDatabase<T>(url: string, work: (db: Database) => Promise<T>): Promise<T> {
  await using db = await openDatabase({ url });
  return await work(db);
}

const dataIn = (stdout: string) =>
  stdout
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as { data: number }).data);

test("a range of the log is printed once more, in order and no further", async () => {
  const { at } = await tenEvents();
  expect(dataIn((await at("--json")).stdout)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect(dataIn((await at("--from", "3", "--to", "7", "-t", "order.placed", "--json")).stdout)).toEqual([
    4, 6,
  ]);
  const none = await at("--type", "order.lost");
  expect([none.stdout, none.stderr.trim(), none.code]).toEqual(["", "no event meets that", 0]);
  const ahead = await at("--from", "99", "--json");
  expect([ahead.code, JSON.parse(ahead.stdout)]).toMatchObject([
    1,
    { error: { code: "event_bus.position_ahead" } },
  ]);
});

test("a function is called for each event of a range, and what it throws at is where to go on", async () => {
  const { cwd, at } = await tenEvents();
  const module = join(cwd, "rebuild.ts");
  const noted = join(cwd, "noted");
  await writeFile(
    module,
    `import { appendFileSync } from "node:fs";
    export default async ({ data }: { data: number }) => {
      if (data === 8) throw new Error("no more");
      appendFileSync(${JSON.stringify(noted)}, data + " ");
    };`,
  );
  expect(jsonOf(await at("--to", "7", "-t", "order.placed", "--handler", module, "--json"))).toEqual({
    replayed: 3,
  });
  const failed = await at("--from", "7", "--handler", module, "--json");
  expect(failed.code).toBe(1);
  expect(failed.stderr).toContain("thrown at the event 8: no more; go on with --from 8");
  expect(await readFile(noted, "utf8")).toBe("2 4 6 7 ");
  expect((await at("--handler", join(cwd, "gone.ts"))).code).toBe(2);
});

test("a consumer is put back, and handles again what it had handled, and no more", async () => {
  const { url, at } = await tenEvents();
  const seen: unknown[] = [];
  const work = (isEnough: () => boolean) =>
    withDatabase(url, async (db) => {
      await using bus = createEventBus(db);
      const consumer = await bus.consumer("mailer", {}, ({ data }) => void seen.push(data));
      await until(isEnough, { what: "all of them" });
      await consumer.stop();
    });
  await work(() => seen.length === 10);
  expect((await at("--consumer", "mailer")).code).toBe(2);
  expect((await at("--consumer", "mailer", "--from", "2", "--type", "x")).code).toBe(2);
  expect((await at("--consumer", "nobody", "--from", "2")).code).toBe(3);
  expect(jsonOf(await at("--consumer", "mailer", "--from", "8", "--json"))).toMatchObject({
    name: "mailer",
    position: 7,
    lag: 3,
  });
  await work(() => seen.length === 13);
  expect(seen.slice(10)).toEqual([8, 9, 10]);
});
