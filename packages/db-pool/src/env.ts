import type { DatabaseOptions } from "./options.ts";
import { DbError } from "./errors.ts";

type Read = (value: string, name: string) => unknown;

const text: Read = (value) => value;
const number: Read = (value, name) => {
  if (/^\d+$/.test(value)) return Number(value);
  throw new DbError({
    code: "db.bad_option",
    message: `${name} takes a whole number, not ${JSON.stringify(value)}`,
  });
};
const flag: Read = (value, name) => {
  if (value === "true" || value === "false") return value === "true";
  throw new DbError({
    code: "db.bad_option",
    message: `${name} takes true or false, not ${JSON.stringify(value)}`,
  });
};

const VARIABLES: Record<string, [option: keyof DatabaseOptions, read: Read]> = {
  SENTIENT_URL: ["url", text],
  SENTIENT_NAMESPACE: ["namespace", text],
  SENTIENT_DATABASE: ["database", text],
  SENTIENT_USER: ["user", text],
  SENTIENT_PASSWORD: ["password", text],
  SENTIENT_TOKEN: ["token", text],
  SENTIENT_SIGN_IN_AS: ["signInAs", text],
  SENTIENT_ANONYMOUS: ["anonymous", flag],
  SENTIENT_INSECURE: ["insecure", flag],
  SENTIENT_POOL_SIZE: ["poolSize", number],
  SENTIENT_POOL_MIN: ["poolMin", number],
  SENTIENT_MAX_WAITERS: ["maxWaiters", number],
  SENTIENT_ACQUIRE_TIMEOUT: ["acquireTimeout", number],
  SENTIENT_CONNECT_TIMEOUT: ["connectTimeout", number],
  SENTIENT_TIMEOUT: ["timeout", number],
  SENTIENT_HEARTBEAT: ["heartbeat", number],
};

/**
 * The options that the environment gives: `SENTIENT_URL`, `SENTIENT_NAMESPACE`, `SENTIENT_DATABASE`, `SENTIENT_USER`,
 * `SENTIENT_PASSWORD`, `SENTIENT_TOKEN`, `SENTIENT_POOL_SIZE`, … Empty variables count as absent; times are milliseconds.
 *
 * @throws `db.bad_option` naming the variable
 * @example const db = await openDatabase(optionsFromEnv());
 */
export function optionsFromEnv(env: Record<string, string | undefined> = process.env): DatabaseOptions {
  const options: Record<string, unknown> = {};
  for (const [variable, [option, read]] of Object.entries(VARIABLES)) {
    const value = env[variable];
    if (value) options[option] = read(value, variable);
  }
  return options;
}
