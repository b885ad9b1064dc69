// A fetch for whose answers there is a limit.

import type { FetchLike } from "@modelcontextprotocol/client";

/** The body of each answer fails once it is larger. An answer that goes on for hours, as to a GET may, is not counted. */
export function boundedFetch(most: number): FetchLike {
  return async (url, init) => {
    const response = await fetch(url, init);
    if (!response.body || (init?.method ?? "GET") === "GET") return response;
    let bytes = 0;
    const counted = new TransformStream<Uint8Array, Uint8Array>({
      transform: (piece, controller) => {
        bytes += piece.byteLength;
        if (bytes > most) controller.error(new Error(`the answer is larger than ${most} bytes`));
        else controller.enqueue(piece);
      },
    });
    const { status, statusText, headers } = response;
    const same = new Response(response.body.pipeThrough(counted), { status, statusText, headers });
    Object.defineProperty(same, "url", { value: response.url });
    return same;
  };
}
