// Lines. Owns: an answer of many lines, as they are made. What goes wrong before the first is an answer of its own; what goes
// wrong later cuts the connection, and the end that it lacks tells.

export async function linesOf(
  lines: AsyncGenerator<string, void, undefined>,
  isHead: boolean,
): Promise<Response> {
  const headers = { "content-type": "application/x-ndjson; charset=utf-8" };
  const first = await lines.next();
  if (isHead) {
    await lines.return();
    return new Response(null, { headers });
  }
  const encoder = new TextEncoder();
  let next: IteratorResult<string, void> | undefined = first;
  const body = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const { done, value } = next ?? (await lines.next());
        next = undefined;
        if (done) controller.close();
        else controller.enqueue(encoder.encode(`${value}\n`));
      },
      cancel: async () => void (await lines.return()),
    },
    { highWaterMark: 16 },
  );
  return new Response(body, { headers });
}
