/**
 * The data of server-sent events (WHATWG HTML §9.2.6), unnamed or not; comments are skipped. Ends with the body.
 * @param body cancelled when the loop is left
 */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  let data: string[] = [];
  for await (const line of readLines(body)) {
    if (line.startsWith("data:")) data.push(line.slice(line.startsWith("data: ") ? 6 : 5));
    if (line !== "") continue;
    if (data.length > 0) yield data.join("\n");
    data = [];
  }
}

async function* readLines(body: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      // A CR at the end may be half of a line's end.
      const complete = rest.endsWith("\r") ? rest.slice(0, -1) : rest;
      const lines = complete.split(/\r\n|\n|\r/);
      rest = (lines.pop() ?? "") + rest.slice(complete.length);
      yield* lines;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
