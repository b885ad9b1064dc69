import { spawnChild } from "@sentient/testkit";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { jsonOf, project, run, start, type Ended, type Running } from "./support/cli.ts";
import { inside } from "./support/inside.ts";

interface Ready {
  url: string;
  served: string;
  agents: string[];
}

/** A project as init makes it, and all there is of Sentient for it, in one process. */
async function developed(): Promise<{
  cwd: string;
  dev: Running;
  ready: Ready;
  at: (...words: string[]) => Promise<unknown>;
}> {
  const cwd = await project();
  expect((await inside(["init", join(cwd, "app")])).code).toBe(0);
  const app = join(cwd, "app");
  const dev = start(["dev", "--no-watch", "--port", "0", "--json"], { cwd: app });
  const [line] = await dev.says(/^\{.*\}$/m);
  const url = `rocksdb://${join(app, ".sentient/data")}`;
  const at = async (...words: string[]) => {
    const ended = await inside([...words, "--url", url, "--json"]);
    expect(ended.code, ended.stderr).toBe(0);
    return jsonOf(ended);
  };
  return { cwd: app, dev, ready: JSON.parse(line) as Ready, at };
}

async function expectRefused(ended: Promise<Ended>, code: number, error: string): Promise<void> {
  const { code: status, stdout } = await ended;
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: error } });
  expect(status).toBe(code);
}

test("a project that init has made runs in one terminal, and everything is asked of it from others", async () => {
  const { cwd, dev, ready, at } = await developed();
  expect(ready.agents).toEqual(["hello", "party"]);
  expect((await fetch(`${ready.url}/healthz`)).status).toBe(200);

  const hello = await run(["run", "hello", "--input", '{"to":"Ada"}'], { cwd });
  expect(hello).toMatchObject({ code: 0, stdout: '"Hello, Ada!"\n' });

  const { run: id } = (await at(
    "run",
    "party",
    "--input",
    '{"guests":["Ada","Grace"]}',
    "--detach",
    "--tag",
    "x",
  )) as { run: string };
  const tail = start(["events", "tail", "--run", id, "--after", "0", "--json"], { cwd });
  const [, key] = await tail.says(
    /"type":"question.asked".*"data":\{"key":"([^"]+)"|"data":\{"key":"([^"]+)","text"/,
  );
  expect(await at("questions", "list")).toMatchObject({ questions: [{ run: id, text: "Greet 2 guests?" }] });
  expect(await at("questions", "show", id, key ?? "main/begin#1")).toMatchObject({
    text: "Greet 2 guests?",
    schema: { type: "boolean" },
  });
  await at("questions", "answer", id, key ?? "main/begin#1", "true", "--by", "ada");
  await tail.says(/"type":"run.completed"/);
  const { stdout } = await tail.stop("SIGINT");
  const events = stdout
    .trimEnd()
    .split("\n")
    .map((each) => JSON.parse(each) as { n: number });
  expect(events.map(({ n }) => n)).toEqual(events.map((_, at) => at + 1));

  expect(await at("runs", "show", id)).toMatchObject({
    run: { status: "completed", output: ["Hello, Ada!", "Hello, Grace!"] },
  });
  expect(await at("runs", "list", "--tag", "x")).toMatchObject({ runs: [{ id }] });
  expect(await at("runs", "why", id)).toMatchObject({ reasons: [{ code: "over" }] });
  expect(await at("events", "history", "--run", id, "-t", "run.*")).toMatchObject({
    events: expect.arrayContaining([expect.objectContaining({ type: "run.completed" })]),
  });
  expect(await at("state", "show", id)).toEqual({});
  const { run: fork } = (await at(
    "runs",
    "fork",
    id,
    "--step",
    'main/begin#1={"value":false,"by":"me"}',
  )) as { run: string };
  const copy = await run(["runs", "show", fork, "--json"], { cwd });
  expect(copy.code).toBe(0);
  expect(await at("agents", "list")).toMatchObject({ agents: [{ name: "hello" }, { name: "party" }, {}] });

  expect((await dev.stop()).code).toBe(0);
});

test("runs are paused, resumed, cancelled, exported, imported and scheduled where no worker is", async () => {
  const cwd = await project();
  const url = `rocksdb://${join(cwd, "data")}`;
  const at = async (...words: string[]) => {
    const ended = await inside([...words, "--url", url, "--json"]);
    expect(ended.code, ended.stderr).toBe(0);
    return jsonOf(ended);
  };
  const { run: id } = (await at("run", "report", "-i", '{"of":"today"}', "-d")) as { run: string };
  expect(await at("runs", "pause", id, "--reason", "later")).toMatchObject({
    status: "paused",
    reason: "later",
  });
  expect(await at("runs", "resume", id)).toMatchObject({ status: "queued" });
  expect(await at("runs", "why", id)).toMatchObject({ reasons: [{ code: "no_worker" }] });
  await at("runs", "export", id, "--out", join(cwd, "run.jsonl"));
  expect(await at("runs", "cancel", id, "--by", "ada", "--reason", "not wanted")).toMatchObject({
    status: "cancelled",
    cancelledBy: "ada",
  });
  const { stdout: shown } = await inside(["runs", "show", id, "--url", url]);
  expect(shown).toMatch(/^by +ada\nbecause +not wanted$/m);

  const copy = ["--url", `rocksdb://${join(cwd, "copy")}`, "--json"];
  expect(jsonOf(await inside(["runs", "import", join(cwd, "run.jsonl"), ...copy]))).toMatchObject({
    imported: [id],
  });
  expect(jsonOf(await inside(["runs", "show", id, ...copy]))).toMatchObject({
    run: { status: "parked", input: { of: "today" } },
  });

  await at("schedules", "put", "nightly", "report", "--cron", "0 3 * * *");
  expect(await at("schedules", "pause", "nightly")).toMatchObject({ id: "nightly", cron: "0 3 * * *" });
  expect(await at("schedules", "list")).toMatchObject({ schedules: [{ id: "nightly" }] });
  expect(await at("schedules", "remove", "nightly")).toEqual({ schedule: "nightly", removed: true });
  const { secret } = (await at("tokens", "create", "ci", "--scope", "read")) as { secret: string };
  expect(JSON.stringify(await at("tokens", "list"))).not.toContain(secret);
  expect(await at("doctor")).toMatchObject({
    findings: expect.arrayContaining([expect.objectContaining({ name: "isolation", status: "good" })]),
  });
  expect(await at("migrate", "--status")).toMatchObject({ pending: [] });
  expect(await at("consumers", "list")).toEqual({ consumers: [] });
});

test("what is not there, not allowed or not understood ends with its own status", async () => {
  const cwd = await project();
  const at = (...words: string[]) => inside([...words, "--url", `rocksdb://${join(cwd, "data")}`, "--json"]);
  const { run: id } = jsonOf(await at("run", "report", "-d")) as { run: string };
  await expectRefused(at("runs", "show", "r-nobody"), 3, "state.not_found");
  await expectRefused(at("runs", "restore", id, "--checkpoint", "none"), 3, "state.not_found");
  await expectRefused(at("run", "report", "--input", "{oops"), 2, "cli.usage");
  await expectRefused(at("run", "report", "--timeout", "50"), 4, "agent.result_timeout");
  await expectRefused(at("questions", "answer", id, "main/x#1", "true"), 3, "state.not_found");
  await expectRefused(at("events", "history", "-t", "NOT A TYPE"), 2, "event_bus.bad_filter");
  await at("runs", "cancel", id);
  await expectRefused(at("runs", "pause", id), 1, "state.illegal_transition");
});

test("nothing that is stored moves the cursor of who looks at it", async () => {
  const cwd = await project();
  const url = ["--url", `rocksdb://${join(cwd, "data")}`];
  const bad = "\u001B[2J\u001B]0;title\u0007\u009B31m\u202E";
  const { run: id } = jsonOf(
    await inside(["run", "report", "-d", "--json", "--tag", bad, "-i", JSON.stringify({ bad }), ...url]),
  ) as { run: string };
  await inside(["runs", "pause", id, "--reason", bad, "--by", bad, ...url]);
  for (const words of [
    ["runs", "list"],
    ["runs", "show", id],
    ["runs", "why", id],
    ["events", "history"],
    ["events", "trace", "1"],
    ["runs", "show", id, "--json"],
  ]) {
    const { stdout, stderr, code } = await inside([...words, ...url]);
    expect(code).toBe(0);
    for (const control of ["\u001B", "\u0007", "\u009B", "\u202E"])
      expect(`${stdout}${stderr}`, words.join(" ")).not.toContain(control);
  }
});

test("a folder that somebody owns and does not serve is refused by the name of its owner", async () => {
  const cwd = await project();
  const url = `rocksdb://${join(cwd, "data")}`;
  await using holder = spawnChild(new URL("./support/hold.ts", import.meta.url), { env: { HOLD_URL: url } });
  await holder.message(({ holds }) => holds === url);
  const { code, stderr } = await inside(["runs", "list", "--url", url]);
  expect(code).toBe(5);
  expect(stderr).toContain(`process ${holder.pid} `);
});

test("what follows ends without a word when nobody reads on", async () => {
  const cwd = await project();
  const url = `rocksdb://${join(cwd, "data")}`;
  await run(["run", "report", "-d", "--url", url], { cwd });
  await using holder = spawnChild(new URL("./support/hold.ts", import.meta.url), {
    env: { HOLD_URL: url, HOLD_SERVES: "1" },
  });
  await holder.message(({ holds }) => holds === url);
  const tail = start(["events", "tail", "--after", "0", "--url", url], { cwd });
  await tail.says(/run\.queued/);
  tail.readNoFurther();
  await run(["run", "report", "-d", "--url", url], { cwd });
  const { code, stderr } = await tail.ended; // it hears of that with the next event
  expect(stderr).toBe("");
  expect(code).toBe(0);
});

test("dev begins anew when an agent is edited", async () => {
  const cwd = await project();
  await inside(["init", join(cwd, "app")]);
  const app = join(cwd, "app");
  const dev = start(["dev", "--port", "0", "--json"], { cwd: app });
  const [first] = await dev.says(/^\{.*\}$/m);
  const agents = join(app, "agents.ts");
  const edited = (await readFile(agents, "utf8")).replace("Hello, ${to}!", "Good day, ${to}!");
  await dev.sees(agents, edited, /^Restarting /m);
  const [, second] = await dev.says(/^\{.*\}\n[^{]*(\{.*\})$/m);
  expect((JSON.parse(second!) as Ready).served).toBe((JSON.parse(first) as Ready).served);
  const hello = await run(["run", "hello", "--input", '{"to":"Ada"}'], { cwd: app });
  expect(hello.stdout).toBe('"Good day, Ada!"\n');
  expect((await dev.stop("SIGINT")).code).toBe(0);
});
