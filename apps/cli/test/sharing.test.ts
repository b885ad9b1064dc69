// One folder and several terminals: who has it, who waits for it, and who is told why not.

import { spawnChild, until } from "@sentient/testkit";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { jsonOf, project, run, start } from "./support/cli.ts";
import { inside } from "./support/inside.ts";

const NOTE = "sentient.served.json";

/** A process that has the folder. */
async function held(url: string, env: Record<string, string> = {}) {
  const holder = spawnChild(new URL("./support/hold.ts", import.meta.url), {
    env: { HOLD_URL: url, ...env },
  });
  await holder.message(({ holds }) => holds === url);
  return holder;
}

test("what a run asks that a command advances is answered in another terminal", async () => {
  const cwd = join(await project(), "app");
  await inside(["init", cwd]);
  const folder = join(cwd, ".sentient/data");
  const at = ["--url", `rocksdb://${folder}`];
  const party = start(
    ["run", "party", "--input", '{"guests":["Ada"]}', "--agents", "./agents.ts", "--json", ...at],
    { cwd },
  );
  await until(() => existsSync(join(folder, NOTE)), { what: "it to serve its folder", deadline: 60_000 });
  const asked = async () => {
    const ended = await inside(["questions", "list", "--json", ...at]);
    const { questions } = jsonOf(ended) as { questions: { run: string; key: string }[] };
    return questions[0];
  };
  const { run: id, key } = await until(asked, { what: "it to ask", deadline: 60_000 });
  expect(await inside(["questions", "answer", id, key, "true", ...at])).toMatchObject({ code: 0 });
  const { code, stdout, stderr } = await party.ended;
  expect(code, stderr).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ run: id });
  expect(existsSync(join(folder, NOTE))).toBe(false);
});

test("dev waits for a command that has the folder, says so once, and is not kept from ending", async () => {
  const cwd = await project();
  const url = `rocksdb://${join(cwd, "data")}`;
  await using holder = await held(url);
  const words = ["dev", "--no-watch", "--port", "0", "--json", "--url", url];
  const impatient = start(words, { cwd });
  await impatient.says(/waits for the database/, "stderr");
  const { code, stderr } = await impatient.stop("SIGINT");
  expect(code).toBe(5);
  expect(stderr).toContain(`process ${holder.pid} `);
  const dev = start(words, { cwd });
  await dev.says(/waits for the database/, "stderr");
  await holder.kill();
  await dev.says(/^\{.*\}$/m);
  const ended = await dev.stop();
  expect(ended.code).toBe(0);
  expect(ended.stderr.match(/waits for the database/g)).toHaveLength(1);
});

test("doctor says who has the folder or why there is no way to the database, and looks at the rest", async () => {
  const cwd = await project();
  const url = `rocksdb://${join(cwd, "data")}`;
  const examined = async (at: string, env: Record<string, string> = {}) => {
    const ended = await run(["doctor", "--json", "--url", at], { cwd, env });
    const { findings } = jsonOf(ended) as { findings: { name: string; status: string; message: string }[] };
    return { code: ended.code, of: Object.fromEntries(findings.map((each) => [each.name, each])) };
  };
  const silent = await held(url);
  const locked = await examined(url);
  expect(locked.code).toBe(1);
  expect(locked.of.open).toMatchObject({ status: "bad", message: expect.stringContaining(`${silent.pid} `) });
  expect(locked.of).toMatchObject({ node: { status: "good" }, space: { status: "good" } });
  expect(locked.of.permissions).toMatchObject({ message: "only its owner can read the folder" });
  expect(locked.of).not.toHaveProperty("engine");
  await silent.kill();

  const serving = await held(url, { HOLD_SERVES: "1" });
  const shared = await examined(url);
  expect(shared.of.open).toMatchObject({
    status: "good",
    message: expect.stringMatching(/serves it at ws:/),
  });
  expect(shared.of.space!.message).toContain(join(cwd, "data"));
  expect(shared.of).toHaveProperty("engine");
  await serving.kill();

  const away = await examined("ws://127.0.0.1:9/rpc", { SENTIENT_TOKEN: "a-token-of-this-test-file" });
  expect(away.code).toBe(1);
  expect(away.of.open).toMatchObject({ status: "bad", message: expect.stringContaining("127.0.0.1:9") });
  expect(away.of).toHaveProperty("node");
});

test("who follows waits no longer than they said", async () => {
  const url = `rocksdb://${join(await project(), "data")}`;
  const { code, stderr } = await inside(["run", "report", "--follow", "--timeout", "50", "--url", url]);
  expect(stderr).toContain("was not over within 50 ms");
  expect(stderr).toContain("none can while this has the folder");
  expect(code).toBe(4);
});

test("a run is sent a signal, once under one id", async () => {
  const at = ["--json", "--url", `rocksdb://${join(await project(), "data")}`];
  const said = async (...words: string[]) => jsonOf(await inside([...words, ...at]));
  const { run: id } = (await said("run", "report", "-d")) as { run: string };
  const send = () =>
    said("runs", "signal", id, "paid", "--data", '{"total":12}', "--id", "payment-17", "--by", "ada");
  const sent = await send();
  expect(sent).toMatchObject({ name: "paid", data: { total: 12 }, source: "ada" });
  expect(await send()).toEqual(sent);
  const { events } = (await said("events", "history", "--type", "signal.received")) as { events: unknown[] };
  expect(events).toHaveLength(1);
  expect((await inside(["runs", "signal", "r-nobody", "paid", ...at])).code).toBe(3);
  expect((await inside(["runs", "signal", id, "paid", "--data", "{oops", ...at])).code).toBe(2);
});
