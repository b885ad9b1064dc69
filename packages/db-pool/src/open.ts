import { connect, connectPatiently } from "./connection.ts";
import { Database } from "./db.ts";
import { Deadline } from "./deadline.ts";
import { DoorbellBoard, type Ear } from "./doorbell.ts";
import { openEngine, type EmbeddedLocation, type Engine } from "./engine.ts";
import { DbError } from "./errors.ts";
import {
  isEmbedded,
  settingsFrom,
  type DatabaseOptions,
  type RemoteLocation,
  type Settings,
} from "./options.ts";
import { Pool } from "./pool.ts";
import { EmbeddedSource, PooledSource } from "./source.ts";
import { Telemetry } from "./telemetry.ts";

const engines = new WeakMap<Database, Engine>();

/**
 * Opens a database: embedded in a folder unless `url` says otherwise.
 *
 * @throws `db.bad_option`, `db.bad_url`, `db.locked`, `db.open_failed`, `db.corrupt`, `db.unreachable`,
 * `db.auth_failed`, `db.unsupported_server`
 * @example await using db = await openDatabase({ url: "rocksdb://./data" });
 */
export async function openDatabase(options: DatabaseOptions = {}): Promise<Database> {
  const caller = callerOf(openDatabase);
  try {
    const settings = settingsFrom(options);
    const telemetry = new Telemetry(settings.namespace, settings.database);
    return isEmbedded(settings.location)
      ? await openEmbedded(settings.location, settings, telemetry)
      : await openRemote(settings.location, settings, telemetry);
  } catch (error) {
    throw seenFrom(caller, error);
  }
}

/** The engine of an embedded database. @internal */
export function engineOf(database: Database): Engine | undefined {
  return database.closed ? undefined : engines.get(database);
}

async function openEmbedded(
  location: EmbeddedLocation,
  settings: Settings,
  telemetry: Telemetry,
): Promise<Database> {
  using deadline = new Deadline(settings.clock, settings.connectTimeout);
  const opening = openEngine(location);
  const engine = await deadline
    .guard(opening, "opening the database", () => "not_applied")
    .catch((error: DbError) => {
      void opening.then(
        (late) => late.release(),
        () => {},
      );
      throw error;
    });
  const source = new EmbeddedSource(engine, settings);
  try {
    await source.start(deadline);
  } catch (error) {
    await engine.release();
    throw error;
  }
  const ear: Ear = { wire: engine, session: source.session, hangUp: async () => {} };
  const database = new Database(
    source,
    new DoorbellBoard(settings.clock, async () => ear),
    settings,
    telemetry,
  );
  engines.set(database, engine);
  return database;
}

async function openRemote(
  location: RemoteLocation,
  settings: Settings,
  telemetry: Telemetry,
): Promise<Database> {
  const first = await connectPatiently(location, settings); // waits for a server that is only just starting
  const pool = new Pool(settings, () => connect(location, settings), telemetry);
  await pool.start(first);
  const listen = async (): Promise<Ear> => {
    const wire = await connect(location, settings);
    return { wire, session: undefined, hangUp: async () => wire.destroy() };
  };
  const board = new DoorbellBoard(settings.clock, location.kind === "ws" ? listen : undefined);
  return new Database(new PooledSource(pool, settings), board, settings, telemetry);
}

/** The stack above a function of ours. */
function callerOf(ours: (...args: never[]) => unknown): string {
  const here = { stack: "" };
  Error.captureStackTrace(here, ours);
  return here.stack.slice(here.stack.indexOf("\n"));
}

/** What was opened wrongly is the caller's line: that is what the error points to, not the insides of this package. */
function seenFrom(caller: string, thrown: unknown): unknown {
  if (!(thrown instanceof DbError)) return thrown;
  const error = thrown.with({ outcome: "not_applied" }); // to open writes nothing of the caller's
  error.stack = `${error.name}: ${error.message}${caller}`;
  if (error.cause instanceof Error) error.cause.stack = `${error.cause.name}: ${error.cause.message}`;
  return error;
}
