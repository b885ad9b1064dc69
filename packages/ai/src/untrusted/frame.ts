// What goes between a process and the one that it has started: pieces of JSON, each behind its length in four bytes.

/** Of the length that stands before each piece. */
export const HEAD_BYTES = 4;

export type Answer =
  | { ok: true; value: unknown }
  | { ok: false; kind: "failed" | "too large"; message: string };

export function framed(value: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(value) ?? "null");
  const frame = Buffer.alloc(HEAD_BYTES + body.length);
  frame.writeUInt32BE(body.length);
  body.copy(frame, HEAD_BYTES);
  return frame;
}
