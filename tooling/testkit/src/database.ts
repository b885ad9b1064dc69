import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

const IMAGE = "surrealdb/surrealdb:v3.2.4";
const PORT = 8000;
const DETECTION_MS = 1_000;
const STARTUP_MS = 60_000;

export type Credentials = { username: string; password: string } | { token: string };

export interface TestDatabase {
  url: string;
  credentials: Credentials | undefined;
  tier: "env" | "container" | "served";
  /** Which database this is and why, without secrets; print it. */
  description: string;
  close(): Promise<void>;
}

/** An embedded engine somebody serves; a `ServedEngine` is one. */
export interface Served {
  url: string;
  token?: string;
  close(): Promise<void>;
}

/**
 * The database to test against: the one `SENTIENT_TEST_URL` names (with `SENTIENT_TEST_USER` and
 * `SENTIENT_TEST_PASSWORD`, or `SENTIENT_TEST_TOKEN`), else a container, else what `serve` starts.
 *
 * @example
 * const database = await chooseDatabase({ serve: () => servedEngine({ entry, folder }) });
 * console.log(database.description);
 */
export async function chooseDatabase({ serve }: { serve: () => Promise<Served> }): Promise<TestDatabase> {
  const url = process.env.SENTIENT_TEST_URL;
  if (url) return fromEnvironment(url);
  if (!(await containerRuntimeAnswers())) return fromServed(await serve(), "no container runtime answers");
  try {
    return await startContainer();
  } catch (error) {
    return fromServed(await serve(), `the container did not start: ${(error as Error).message}`);
  }
}

function fromEnvironment(url: string): TestDatabase {
  const { protocol, host, pathname } = new URL(url); // not the user and password a URL may carry
  return {
    url,
    credentials: credentialsFromEnvironment(),
    tier: "env",
    description: `SENTIENT_TEST_URL, ${protocol}//${host}${pathname}`,
    close: async () => {},
  };
}

function credentialsFromEnvironment(): Credentials | undefined {
  const {
    SENTIENT_TEST_TOKEN: token,
    SENTIENT_TEST_USER: username,
    SENTIENT_TEST_PASSWORD: password,
  } = process.env;
  if (token) return { token };
  if (username && password) return { username, password };
  if (username || password)
    throw new Error("SENTIENT_TEST_USER and SENTIENT_TEST_PASSWORD go together; one is missing");
  return undefined;
}

async function containerRuntimeAnswers(): Promise<boolean> {
  const { getContainerRuntimeClient } = await import("testcontainers");
  const answer = getContainerRuntimeClient().then(
    () => true,
    () => false,
  );
  return Promise.race([answer, sleep(DETECTION_MS, false, { ref: false })]);
}

async function startContainer(): Promise<TestDatabase> {
  const { GenericContainer, Wait } = await import("testcontainers");
  const credentials = { username: "root", password: randomBytes(16).toString("hex") };
  const container = await new GenericContainer(IMAGE)
    .withCommand(["start", "rocksdb:/data/test.db"]) // the memory engine loses updates
    .withEnvironment({
      SURREAL_BIND: `0.0.0.0:${PORT}`,
      SURREAL_USER: credentials.username,
      SURREAL_PASS: credentials.password,
    })
    .withTmpFs({ "/data": "rw,mode=1777" }) // the image runs as nobody who may write to its own /data
    .withExposedPorts(PORT)
    .withHealthCheck({
      test: ["CMD", "/surreal", "isready", "--endpoint", `http://127.0.0.1:${PORT}`], // the image has no shell
      interval: 500,
      timeout: 2_000,
      retries: STARTUP_MS / 500,
    })
    .withWaitStrategy(Wait.forHealthCheck())
    .withStartupTimeout(STARTUP_MS)
    .start();
  const url = `ws://${container.getHost()}:${container.getMappedPort(PORT)}/rpc`;
  return {
    url,
    credentials,
    tier: "container",
    description: `container ${IMAGE} at ${url}`,
    close: async () => void (await container.stop()),
  };
}

function fromServed(served: Served, reason: string): TestDatabase {
  const { url, token } = served;
  return {
    url,
    credentials: token === undefined ? undefined : { token },
    tier: "served",
    description: `served engine at ${url} (${reason})`,
    close: () => served.close(),
  };
}

/**
 * A namespace and a database nobody else uses, safe as SurrealDB identifiers without quoting.
 *
 * @example await db.use(freshNames("lease"));
 */
export function freshNames(prefix = "test"): { namespace: string; database: string } {
  if (!/^[a-z][a-z0-9_]*$/i.test(prefix)) throw new TypeError(`"${prefix}" cannot begin an identifier`);
  const unique = randomBytes(8).toString("hex");
  return { namespace: `${prefix}_ns_${unique}`, database: `${prefix}_db_${unique}` };
}
