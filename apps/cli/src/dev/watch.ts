// Watching. Owns: beginning anew when a file changes: Node does it, and knows every file that was imported.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { randomBytes, randomInt } from "node:crypto";

/** Who is connected to the database connects again after a restart: it is served where it was. */
export interface Served {
  port: number;
  token: string;
}

const VARIABLE = "SENTIENT_DEV_SERVED";

export function servedBefore(): Served | undefined {
  const text = process.env[VARIABLE];
  return text === undefined ? undefined : (JSON.parse(text) as Served);
}

/** Runs the same command without watching, in a process that is begun anew. */
export async function watch(): Promise<void> {
  const served: Served = { port: await freePort(), token: randomBytes(32).toString("hex") };
  const args = [
    ...process.execArgv,
    "--watch",
    "--watch-preserve-output",
    ...process.argv.slice(1),
    "--no-watch",
  ];
  const child = spawn(process.execPath, args, {
    stdio: "inherit",
    env: { ...process.env, [VARIABLE]: JSON.stringify(served) },
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill("SIGTERM"));
  const [code] = (await once(child, "exit")) as [number | null];
  process.exitCode = code ?? 0;
}

/** Below those that the kernel gives to clients: one that connects again after a restart could be given this very one. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_000);
    const server = createServer().listen(port, "127.0.0.1");
    const isFree = await once(server, "listening").then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}
