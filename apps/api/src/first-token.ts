// The first token. Owns: how whoever starts a server is let in at all.

import type { Sentient } from "@sentient/agent-core";
import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { ApiError } from "./errors.ts";

/**
 * Makes a token for everything if there is none that counts, and writes it to a file that only its owner can read.
 *
 * @returns whether it was made
 * @throws `api.bad_config` if the file is there already: it is not overwritten
 * @example if (await ensureFirstToken(sentient, ".sentient/api-token")) console.error("see .sentient/api-token");
 */
export async function ensureFirstToken({ state }: Sentient, path: string): Promise<boolean> {
  const tokens = await state.accessTokens.list();
  const now = Date.now();
  if (tokens.some(({ revokedAt, expiresAt }) => !revokedAt && (!expiresAt || expiresAt.getTime() > now)))
    return false;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const file = await open(path, "wx", 0o600).catch((cause: unknown) => {
    throw new ApiError({
      code: "api.bad_config",
      message: `no token of this database counts, and another one cannot be written to ${path}: ${(cause as Error).message}. Remove the file, or name another with SENTIENT_API_TOKEN_FILE`,
      cause,
    });
  });
  try {
    const { secret } = await state.accessTokens.create({
      name: "admin",
      scopes: ["admin"],
      by: "sentient-api",
    });
    await file.writeFile(`${secret}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  return true;
}
