import { describe, expect, it } from "vitest";
import { type JsonText, asJsonText, toJsonText } from "../../../src/core/json.js";
import { type WaitOptions, waitBody, waitResponse } from "../../../src/streaming/wait-response.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

type Reader = ReadableStreamDefaultReader<Uint8Array>;

function readerOf(response: Response): Reader {
  if (response.body === null) throw new Error("The response has no body");
  return response.body.getReader();
}

const text = (chunk: { readonly value?: Uint8Array | undefined }): string => Buffer.from(chunk.value ?? []).toString();

async function leave(by: { signal: boolean; body: boolean; request: AbortController; reader: Reader }): Promise<void> {
  if (by.signal) by.request.abort();
  if (by.body) await by.reader.cancel();
}

function pending() {
  const clock = fakeClock();
  const { promise, resolve, reject } = Promise.withResolvers<JsonText>();
  const options: WaitOptions = { clock, onError: (error) => toJsonText({ __error__: String(error) }) };
  return { clock, document: promise, resolve, reject, options };
}

describe("waitResponse", () => {
  it("answers in one piece when the document comes within graceMs", async () => {
    const { clock, document, resolve, options } = pending();
    const response = waitResponse(document, { ...options, headers: { "content-location": "/threads/t/runs/r" } });
    await turn();
    clock.advance(49);
    resolve(asJsonText('{"a":1}'));
    const answer = await response;
    expect(Object.fromEntries(answer.headers)).toEqual({
      "content-type": "application/json",
      "content-location": "/threads/t/runs/r",
    });
    expect(await answer.text()).toBe('{"a":1}');
    expect(clock.pendingTimers).toBe(0);
  });

  it("throws a failure within graceMs, so that it gets its own status", async () => {
    const { document, reject, options } = pending();
    const response = waitResponse(document, options);
    reject(new Error("no such run"));
    await expect(response).rejects.toThrow("no such run");
  });

  it("sends a newline per keepAliveMs, then the document", async () => {
    const { clock, document, resolve, options } = pending();
    const response = waitResponse(document, { ...options, keepAliveMs: 1_000 });
    await turn();
    clock.advance(50);
    const reader = readerOf(await response);
    for (let i = 0; i < 3; i += 1) {
      const read = reader.read();
      await turn();
      clock.advance(1_000);
      expect(text(await read)).toBe("\n");
    }
    const last = reader.read();
    resolve(asJsonText('{"ü":1}'));
    expect(text(await last)).toBe('{"ü":1}');
    expect((await reader.read()).done).toBe(true);
    expect(clock.pendingTimers).toBe(0);
  });

  it("a failure after the head was sent is a document", async () => {
    const { clock, document, reject, options } = pending();
    const response = waitResponse(document, options);
    await turn();
    clock.advance(50);
    const answer = await response;
    reject(new Error("Boo!"));
    expect(await answer.json()).toEqual({ __error__: "Error: Boo!" });
  });

  it.each([
    { by: "signal", signal: true, body: false },
    { by: "body", signal: false, body: true },
    { by: "both", signal: true, body: true },
  ])("reports a client that leaves once: by $by", async ({ signal, body }) => {
    const { clock, document, resolve, options } = pending();
    const request = new AbortController();
    let cancels = 0;
    const response = waitResponse(document, { ...options, signal: request.signal, onCancel: () => (cancels += 1) });
    await turn();
    clock.advance(50);
    const reader = readerOf(await response);
    await leave({ signal, body, request, reader });
    resolve(asJsonText("1"));
    await turn();
    expect(cancels).toBe(1);
  });

  it("a client that left before is reported, one that leaves after the document is not", async () => {
    const { document, resolve, options } = pending();
    let cancels = 0;
    const onCancel = (): void => void (cancels += 1);
    const gone = waitResponse(document, { ...options, signal: AbortSignal.abort(), onCancel });
    expect(cancels).toBe(1);
    const request = new AbortController();
    const answered = waitResponse(document, { ...options, signal: request.signal, onCancel });
    resolve(asJsonText("1"));
    await Promise.all([gone, answered]);
    request.abort();
    expect(cancels).toBe(1);
  });
});

describe("waitBody", () => {
  it("is the document alone when it is there", async () => {
    const { document, resolve, options } = pending();
    resolve(asJsonText("null"));
    expect(await new Response(waitBody(document, options)).text()).toBe("null");
  });

  it("lets go of its timer when the client leaves and the document comes", async () => {
    const { clock, document, resolve, options } = pending();
    const reader = waitBody(document, options).getReader();
    const read = reader.read();
    await turn();
    await reader.cancel();
    expect((await read).done).toBe(true);
    resolve(asJsonText("1"));
    await turn();
    expect(clock.pendingTimers).toBe(0);
  });
});
