import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

test("a program that imported JSON before finds the engine all the same", async () => {
  const program = `
    import manifest from "./package.json" with { type: "json" };
    import { openDatabase, surql } from "./src/index.ts";
    await using db = await openDatabase({ url: "mem://" });
    console.log(await db.query(surql\`RETURN \${manifest.name}\`));`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--conditions=@sentient/source", "--input-type=module", "-e", program],
    { cwd: fileURLToPath(new URL("..", import.meta.url)) },
  );
  expect(stdout.trim()).toBe("@sentient/db-pool");
});
