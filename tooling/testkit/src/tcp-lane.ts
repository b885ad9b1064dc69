import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** `up` is client to server, `down` server to client. */
export type Direction = "up" | "down";

/** What the proxy does to its traffic right now; every lane looks here before it acts. */
export interface Line {
  readonly bytes: Record<Direction, number>;
  swallowed: ReadonlySet<Direction>;
  /** Milliseconds. */
  latency: number;
  bytesPerSecond: number;
  cut: { left: number; direction: Direction | undefined } | undefined;
}

export interface Lane {
  /** Hands on the end of the stream that was kept back while its direction was swallowed. */
  heal(): void;
}

/** Bytes a lane holds before it stops reading, so that the sender feels a slow line. */
const WINDOW = 256 * 1024;
/** A limited line sends this often: a steady trickle, not a burst a second. */
const SLICES_PER_SECOND = 20;

/** Carries one direction of one connection, in order, through whatever `line` says at the time. */
export function lane(direction: Direction, source: Socket, sink: Socket, line: Line): Lane {
  let last: Promise<void> = Promise.resolve();
  let held = 0;
  let keptBack: (() => void) | undefined;

  const inTurn = (act: () => void | Promise<void>) => {
    const due = performance.now() + line.latency;
    last = last.then(() => waitUntil(due)).then(act);
  };
  const finish = (end: () => void) =>
    inTurn(() => {
      if (line.swallowed.has(direction)) keptBack = end;
      else end();
    });

  source.on("data", (chunk: Buffer) => {
    held += chunk.length;
    if (held > WINDOW) source.pause();
    inTurn(async () => {
      await carry(direction, chunk, source, sink, line);
      held -= chunk.length;
      if (held <= WINDOW) source.resume();
    });
  });
  source.on("end", () => finish(() => sink.end()));
  source.on("error", () => finish(() => sink.resetAndDestroy()));

  return {
    heal() {
      keptBack?.();
      keptBack = undefined;
    },
  };
}

async function carry(
  direction: Direction,
  chunk: Buffer,
  source: Socket,
  sink: Socket,
  line: Line,
): Promise<void> {
  for (let sent = 0; sent < chunk.length;) {
    const size = Math.min(chunk.length - sent, Math.ceil(line.bytesPerSecond / SLICES_PER_SECOND));
    await pause((size / line.bytesPerSecond) * 1_000);
    if (!sink.writable || line.swallowed.has(direction)) return;
    const cut = line.cut && (line.cut.direction ?? direction) === direction ? line.cut : undefined;
    const slice = chunk.subarray(sent, sent + Math.min(size, cut?.left ?? Infinity));
    sent += slice.length;
    line.bytes[direction] += slice.length;
    if (cut && (cut.left -= slice.length) === 0) {
      line.cut = undefined;
      sink.end(slice, () => sink.destroy());
      source.destroy();
      return;
    }
    await write(sink, slice);
  }
}

/** Settles when the bytes are with the kernel, or the socket is gone. */
function write(sink: Socket, slice: Buffer): Promise<void> {
  return new Promise((resolve) => {
    sink.write(slice, () => resolve());
  });
}

async function waitUntil(due: number): Promise<void> {
  await pause(due - performance.now());
}

async function pause(ms: number): Promise<void> {
  if (ms > 0) await sleep(Math.ceil(ms), undefined, { ref: false });
}
