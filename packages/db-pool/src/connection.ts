// A connection. Owns: getting a wire to a server signed in, into its database, and watched until it dies.
// K1. Signed in before `use`; a server that has not been told who we are is asked for nothing else.
// K2. A server that falls silent is noticed within three heartbeats, even if its socket never closes.

import type { Uuid } from "surrealdb";
import { backoff } from "./backoff.ts";
import { afterReading, sleep, type Clock } from "./clock.ts";
import { DbError } from "./errors.ts";
import { HttpWire } from "./http.ts";
import type { RemoteLocation, Settings } from "./options.ts";
import { retryConflicts } from "./retry.ts";
import { lostConnection, Socket } from "./socket.ts";
import { ask, isObject, protocolError, type Wire } from "./wire.ts";

const SUPPORTED = 3;
/** A token is renewed this long before it ends, or halfway if it is shorter-lived than twice this. */
const RENEW_BEFORE_MS = 60_000;

/**
 * A wire that is ready for queries, within `settings.connectTimeout`.
 *
 * @throws `db.unreachable`, `db.auth_failed`, `db.denied`, `db.unsupported_server`; leaves nothing open when it does
 */
export function connect(location: RemoteLocation, settings: Settings): Promise<Wire> {
  return inTime(settings, (end) => dial(location, settings, end));
}

/**
 * The same, tried again with jitter for as long as `settings.connectTimeout` leaves, while the server is merely not
 * there yet.
 */
export function connectPatiently(location: RemoteLocation, settings: Settings): Promise<Wire> {
  return inTime(settings, async (end) => {
    for (let attempt = 0; ; attempt++) {
      try {
        return await dial(location, settings, end);
      } catch (error) {
        if (end.aborted || !(error instanceof DbError && error.retryable)) throw error;
        await sleep(settings.clock, backoff(attempt, { first: 50, max: 1_000 }), end);
        if (end.aborted) throw error;
      }
    }
  });
}

async function dial(location: RemoteLocation, settings: Settings, signal: AbortSignal): Promise<Wire> {
  const wire =
    location.kind === "ws"
      ? await Socket.connect(location.url, signal)
      : new HttpWire(location.url, settings.namespace, settings.database);
  const giveUp = () => wire.destroy();
  signal.addEventListener("abort", giveUp, { once: true });
  try {
    await requireSupported(wire);
    await signIn(wire, settings);
    await choose(wire, settings);
    await ask(wire, "RETURN true");
  } catch (error) {
    wire.destroy();
    throw signal.aborted ? tooLate(location.url, error) : notMade(error);
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
  if (wire.stateful) void watchOver(wire, settings.clock, settings.heartbeat);
  return wire;
}

async function inTime<T>(
  { clock, connectTimeout }: Settings,
  work: (end: AbortSignal) => Promise<T>,
): Promise<T> {
  const end = new AbortController();
  const cancel = clock.after(connectTimeout, () => end.abort());
  return work(end.signal).finally(cancel);
}

/** A root user has them made, where it may: since 3.1 a server no longer makes what is chosen. */
async function choose(wire: Wire, { credentials, namespace, database, clock }: Settings): Promise<void> {
  const use = (...names: (string | undefined)[]) =>
    retryConflicts(clock, async () => {
      if (wire.stateful) await wire.call({ method: "use", params: names });
    });
  if (credentials?.kind === "password" && credentials.level === "root") {
    const make = (text: string) => retryConflicts(clock, () => ask(wire, text)).catch(unlessDenied);
    await make(`DEFINE NAMESPACE IF NOT EXISTS \`${namespace}\``);
    await use(namespace, undefined);
    await make(`DEFINE DATABASE IF NOT EXISTS \`${database}\``);
  }
  await use(namespace, database);
}

/** Who may not make them can still use them. */
function unlessDenied(error: unknown): void {
  if (!(error instanceof DbError && error.code === "db.denied")) throw error;
}

async function requireSupported(wire: Wire): Promise<void> {
  const version = await wire.call({ method: "version" });
  const [, major] = /^surrealdb-(\d+)\./.exec(String(version)) ?? [];
  if (major === undefined) throw protocolError("a version nobody knows");
  if (Number(major) === SUPPORTED) return;
  throw new DbError({
    code: "db.unsupported_server",
    message: `the server is ${String(version)}; this package speaks to SurrealDB ${SUPPORTED}.x`,
  });
}

/** Signs in, and again in time before what was granted ends. */
async function signIn(wire: Wire, settings: Settings): Promise<void> {
  const token = await authenticate(wire, settings);
  if (!token) return;
  if (wire instanceof HttpWire) wire.authorize(token);
  const lifetime = lifetimeOf(token, settings.clock);
  if (lifetime === undefined) return;
  const renewIn = Math.max(lifetime - RENEW_BEFORE_MS, lifetime / 2);
  const cancel = settings.clock.after(Math.min(renewIn, 2 ** 31 - 1), () => {
    signIn(wire, settings).catch((error: DbError) => wire.destroy(error));
  });
  void wire.lost.then(cancel);
}

/** Tells a session of the server who we are. @returns the token it granted, if it did */
export async function authenticate(
  wire: Wire,
  settings: Settings,
  session?: Uuid,
): Promise<string | undefined> {
  const { credentials, namespace, database } = settings;
  if (!credentials) return undefined;
  if (credentials.kind === "token") {
    const token = (await credentials.fetch()).reveal();
    if (wire.stateful) await wire.call({ method: "authenticate", params: [token], session }).catch(refused);
    return token;
  }
  const { user, password, level } = credentials;
  const where =
    level === "root" ? {} : level === "namespace" ? { ns: namespace } : { ns: namespace, db: database };
  const granted = await wire
    .call({ method: "signin", params: [{ ...where, user, pass: password.reveal() }], session })
    .catch(refused);
  return typeof granted === "string" ? granted : isObject(granted) ? String(granted.access) : undefined;
}

/** Whatever words a server has for it, a sign-in that it answers with "no" has failed. */
function refused(error: DbError): never {
  if (error.code === "db.connection_lost") throw error;
  throw new DbError({
    code: "db.auth_failed",
    message: `the server refused the sign-in (${error.message}); check the user, the password or the token, and where the user is defined (signInAs)`,
  });
}

function lifetimeOf(token: string, clock: Clock): number | undefined {
  try {
    const { exp } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as {
      exp?: number;
    };
    return typeof exp === "number" ? Math.max(exp * 1000 - clock.now(), 0) : undefined;
  } catch {
    return undefined; // not a JWT: it lives as long as the server lets it
  }
}

/** K2: asks every `interval`; no answer within twice that ends the wire. */
async function watchOver(wire: Wire, clock: Clock, interval: number): Promise<void> {
  const lost = new AbortController();
  void wire.lost.then(() => lost.abort());
  while (!lost.signal.aborted) {
    await sleep(clock, interval, lost.signal);
    const cancel = afterReading(clock, 2 * interval, () => {
      wire.destroy(lostConnection(`the server was silent for ${2 * interval} ms`));
    });
    await wire.call({ method: "ping" }).catch(() => {}); // if it is lost, that ends the loop
    cancel();
  }
}

/** What breaks while a connection is made has not carried anything of a caller's, and may go well the next time. */
function notMade(error: unknown): unknown {
  if (!(error instanceof DbError) || error.code !== "db.connection_lost") return error;
  return error.with({ code: "db.unreachable", outcome: "not_applied", retryable: true });
}

function tooLate(url: string, cause: unknown): DbError {
  return new DbError({
    code: "db.unreachable",
    message: `${url} did not become ready in time (connectTimeout); is it a SurrealDB, and is it well?`,
    retryable: true,
    cause,
  });
}
