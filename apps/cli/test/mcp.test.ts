// The MCP server as clients have it that start it: an unmodified client, and the command.

import { join } from "node:path";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { until } from "@sentient/testkit";
import { expect, onTestFinished, test } from "vitest";
import { jsonOf, MAIN, NODE_FLAGS, project, run, start } from "./support/cli.ts";
import { inside } from "./support/inside.ts";

async function clientOf(transport: ConstructorParameters<typeof Object>[0]): Promise<Client> {
  const client = new Client({ name: "assistant", version: "1" });
  onTestFinished(() => client.close());
  await client.connect(transport as StdioClientTransport);
  return client;
}

const started = (cwd: string, ...args: string[]) =>
  clientOf(
    new StdioClientTransport({ command: process.execPath, args: [...NODE_FLAGS, MAIN, "mcp", ...args], cwd }),
  );

async function call(client: Client, name: string, args: Record<string, unknown> = {}): Promise<object> {
  const { content } = await client.callTool({ name, arguments: args });
  return JSON.parse((content[0] as { text: string }).text) as object;
}

test("an assistant starts it in a project, and has agents run and questions shown", async () => {
  const app = join(await project(), "app");
  await inside(["init", app]);
  const client = await started(app, "--allow", "read,write");
  const { run: id } = (await call(client, "run_start", { name: "hello", input: { to: "Ada" } })) as {
    run: string;
  };
  expect(await call(client, "run_result", { run: id })).toMatchObject({ output: "Hello, Ada!" });
  const party = (await call(client, "run_start", { name: "party", input: { guests: ["Ada"] } })) as {
    run: string;
  };
  const questions = async () => ((await call(client, "questions_list")) as { questions: object[] }).questions;
  await until(async () => (await questions()).length > 0);
  expect(await questions()).toMatchObject([party]);
  expect(await call(client, "run_result", { ...party, timeoutMs: 100 })).toMatchObject({ isOver: false });
  await expect(client.callTool({ name: "question_answer", arguments: {} })).rejects.toThrow(
    /question_answer/,
  );

  // It has the folder, and serves it: other commands of the project find it.
  const answered = await run(["questions", "answer", party.run, "main/begin#1", "true", "--json"], {
    cwd: app,
  });
  expect(answered.code, answered.stderr).toBe(0);
  expect(await call(client, "run_result", party)).toMatchObject({ output: ["Hello, Ada!"] });
  await client.close();
  const listed = await run(["runs", "list", "--json"], { cwd: app });
  expect(jsonOf(listed)).toMatchObject({ runs: expect.arrayContaining([expect.objectContaining({ id })]) });
});

test("beside sentient dev it speaks of the same runs, and may only look unless it is said", async () => {
  const app = join(await project(), "app");
  await inside(["init", app]);
  const dev = start(["dev", "--no-watch", "--port", "0", "--json"], { cwd: app });
  await dev.says(/^\{.*\}$/m);
  const client = await started(app);
  expect((await client.listTools()).tools.filter(({ annotations }) => !annotations?.readOnlyHint)).toEqual(
    [],
  );
  expect(await call(client, "agents_list")).toMatchObject({
    agents: expect.arrayContaining([expect.objectContaining({ name: "party" })]),
  });
});

test("by HTTP it is served to whoever has the token", async () => {
  const app = join(await project(), "app");
  await inside(["init", app]);
  const served = start(["mcp", "--http", "0", "--json"], { cwd: app, env: { SENTIENT_MCP_TOKEN: "sesame" } });
  const [line] = await served.says(/^\{.*\}$/m);
  const { url, token } = JSON.parse(line) as { url: string; token: string };
  expect(token).toBe("sesame");
  expect((await fetch(url, { method: "POST" })).status).toBe(401);
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  const client = await clientOf(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
  expect(await call(client, "runs_list")).toEqual({ runs: [] });
  expect((await served.stop("SIGINT")).code).toBe(0);
});

test("what is not allowed to anybody is refused, and nothing is made to look at", async () => {
  const cwd = await project();
  const wrong = await inside(["mcp", "--allow", "everything", "--json"]);
  expect([wrong.code, jsonOf(wrong)]).toMatchObject([2, { error: { code: "cli.usage" } }]);
  const none = await inside(["mcp", "--url", `rocksdb://${join(cwd, "data")}`, "--json"]);
  expect([none.code, jsonOf(none)]).toMatchObject([3, { error: { code: "cli.not_found" } }]);
});
