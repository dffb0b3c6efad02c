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
  // A line in parts: one may be a value of many megabytes.
  let parts: string[] = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const text = decoder.decode(value, { stream: true });
      // A CR at the end may be half of a line's end.
      const mayEnd = parts.at(-1)?.endsWith("\r") === true || /[\r\n]/.test(text);
      parts.push(text);
      if (!mayEnd) continue;
      const all = parts.join("");
      const complete = all.endsWith("\r") ? all.slice(0, -1) : all;
      const lines = complete.split(/\r\n|\n|\r/);
      parts = [(lines.pop() ?? "") + all.slice(complete.length)];
      yield* lines;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
