// A database in a process of its own, for `servedEngine` to start, kill, freeze and start again.

interface Closing {
  close(): Promise<unknown>;
}

/** Serves what the environment says, until it is asked to end or whoever started it is gone. */
export async function serveChild<D extends Closing>(
  openDatabase: (options: { url: string }) => Promise<D>,
  serve: (db: D, options: { token: string; port: number }) => Promise<Closing & { url: string }>,
): Promise<void> {
  const { SERVE_URL: url, SERVE_PORT: port, SERVE_TOKEN: token } = process.env;
  if (!url || !port || !token) throw new Error("SERVE_URL, SERVE_PORT and SERVE_TOKEN say what to serve");
  const db = await openDatabase({ url });
  const served = await serve(db, { token, port: Number(port) });
  // Nothing calls exit: what `close` leaves behind would keep this process alive, and `servedEngine` would report it.
  const end = async () => {
    process.stdin.destroy();
    await served.close();
    await db.close();
  };
  process.once("SIGTERM", () => void end());
  process.stdin.once("end", () => void end()).resume();
  console.log(JSON.stringify({ ready: true, url: served.url }));
}
