// Bodies. Owns: JSON that comes in: bounded before it is read, and before it is looked into.

import { ApiError } from "./errors.ts";

export interface BodyLimits {
  bodyBytes: number;
  depth: number;
}

/**
 * The JSON of a request; undefined if it has no body.
 *
 * @throws `api.too_large`, `api.not_json`, `api.bad_request`
 */
export async function readJson(request: Request, { bodyBytes, depth }: BodyLimits): Promise<unknown> {
  const text = await readText(request, bodyBytes);
  if (text === "") return undefined;
  requireJsonType(request.headers.get("content-type"));
  if (isDeeper(text, depth))
    throw new ApiError({ code: "api.too_large", message: `the body is nested in more than ${depth} levels` });
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new ApiError({ code: "api.bad_request", message: "the body is no JSON" });
  }
}

function requireJsonType(type: string | null): void {
  if (/^application\/json *(?:;|$)/i.test(type ?? "")) return;
  throw new ApiError({
    code: "api.not_json",
    message: `a body is JSON here, and says so: Content-Type: application/json`,
  });
}

async function readText(request: Request, most: number): Promise<string> {
  const said = Number(request.headers.get("content-length") ?? 0);
  if (said > most) throw tooLarge(most);
  if (!request.body) return "";
  if (said > 0) return decoded(new Uint8Array(await request.arrayBuffer()));
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of request.body) {
    size += (part as Uint8Array).byteLength;
    if (size > most) throw tooLarge(most);
    parts.push(part as Uint8Array);
  }
  return decoded(Buffer.concat(parts));
}

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ApiError({ code: "api.bad_request", message: "the body is no UTF-8" });
  }
}

/** By its text, as what is nested too deep must not be built first. */
function isDeeper(text: string, most: number): boolean {
  let level = 0;
  let isText = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (isText) {
      if (code === 92) i++;
      else if (code === 34) isText = false;
    } else if (code === 34) isText = true;
    else if (code === 123 || code === 91) {
      if (++level > most) return true;
    } else if (code === 125 || code === 93) level--;
  }
  return false;
}

function tooLarge(most: number): ApiError {
  return new ApiError({ code: "api.too_large", message: `a body has at most ${most} bytes` });
}

/** A line that is longer was not written by an export. */
const MOST_LINE_BYTES = 64 * 1024 * 1024;
const NEW_LINE = 10;

/**
 * The lines of a request, as they come in.
 *
 * @throws while iterating: `api.too_large`, `api.not_json`, `api.bad_request`
 */
export async function* linesIn(request: Request, most: number): AsyncGenerator<string, void, undefined> {
  if (!/^application\/x-ndjson *(?:;|$)/i.test(request.headers.get("content-type") ?? ""))
    throw new ApiError({
      code: "api.not_json",
      message: "a body is lines of JSON here, and says so: Content-Type: application/x-ndjson",
    });
  if (Number(request.headers.get("content-length") ?? 0) > most) throw tooLarge(most);
  let begun: Uint8Array[] = [];
  let length = 0;
  let size = 0;
  for await (const part of (request.body ?? []) as AsyncIterable<Uint8Array>) {
    size += part.byteLength;
    if (size > most) throw tooLarge(most);
    let from = 0;
    for (let end = part.indexOf(NEW_LINE); end !== -1; end = part.indexOf(NEW_LINE, from)) {
      yield decoded(Buffer.concat([...begun, part.subarray(from, end)]));
      begun = [];
      length = 0;
      from = end + 1;
    }
    begun.push(part.subarray(from));
    length += part.byteLength - from;
    if (length > MOST_LINE_BYTES) throw tooLarge(MOST_LINE_BYTES);
  }
  if (length > 0) yield decoded(Buffer.concat(begun));
}
