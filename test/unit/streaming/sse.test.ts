import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { CursorRead, EventCursor } from "../../../src/core/event-log.js";
import { asJsonText, toJsonText } from "../../../src/core/json.js";
import type { NewRunEvent, RunEvent } from "../../../src/core/run-event.js";
import { MemoryEventLog } from "../../../src/streaming/memory-event-log.js";
import { SSE_HEADERS, type SseOptions, positionFromLastEventId, sseStream } from "../../../src/streaming/sse.js";
import { fakeClock } from "../../../src/testing/fake-clock.js";

const run = { runId: "r", threadId: "t" };

/** Microtasks and one turn of the event loop. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function stream(options: Partial<SseOptions> = {}, maxBytes = 1_000_000) {
  const clock = fakeClock();
  const log = new MemoryEventLog({ clock, maxBytes });
  await log.begin(run);
  const cursor = await log.open(run, "start");
  if (cursor === null) throw new Error("The log was just begun");
  const append = (...events: NewRunEvent[]): number => log.append(run, events);
  const body = sseStream(cursor, { clock, withIds: true, ...options });
  return { clock, log, cursor, append, body };
}

const text = (chunk: { value?: Uint8Array | undefined }): string => Buffer.from(chunk.value ?? []).toString();
const event = (name: string, data: unknown, kind: NewRunEvent["kind"] = "state"): NewRunEvent => ({
  event: name,
  data: asJsonText(JSON.stringify(data)),
  kind,
});

describe("frames of sseStream", () => {
  it("are byte-exact: event, data, id, blank line; all that waits is one chunk", async () => {
    const { append, log, body } = await stream();
    append(event("metadata", { run_id: "r", attempt: 1 }, "control"), event("values", { text: "ä€😀\u2028\n" }));
    append(event("updates|sub:37387f01|p:1", null));
    await log.seal(run);
    const reader = body.getReader();
    expect(text(await reader.read())).toBe(
      'event: metadata\ndata: {"run_id":"r","attempt":1}\nid: 0\n\n' +
        'event: values\ndata: {"text":"ä€😀\u2028\\n"}\nid: 1\n\n' +
        "event: updates|sub:37387f01|p:1\ndata: null\nid: 2\n\n",
    );
    expect((await reader.read()).done).toBe(true);
  });

  it("have no id line for stateless runs", async () => {
    const { append, log, body } = await stream({ withIds: false });
    append(event("values", 1));
    await log.seal(run);
    expect(await new Response(body).text()).toBe("event: values\ndata: 1\n\n");
  });

  it("cannot be split by a name with line breaks", async () => {
    const { append, log, body } = await stream();
    append(event("values|a\r\ndata: 2\n\nid:\0x", 1));
    await log.seal(run);
    expect(await new Response(body).text()).toBe("event: values|adata: 2id:x\ndata: 1\nid: 0\n\n");
  });

  it("leave out what the filter refuses, and keep the numbers", async () => {
    const { append, log, body } = await stream({ filter: (e) => e.event === "values" });
    append(event("values", 1), event("updates", 2), event("values", 3), event("updates", 4));
    await log.seal(run);
    expect(await new Response(body).text()).toBe("event: values\ndata: 1\nid: 0\n\nevent: values\ndata: 3\nid: 2\n\n");
  });

  it("come in chunks of some 64 kB", async () => {
    const { append, log, body } = await stream();
    for (let i = 0; i < 300; i += 1) append(event("values", "x".repeat(1_000)));
    await log.seal(run);
    const sizes: number[] = [];
    for await (const chunk of body) sizes.push(chunk.length);
    expect(sizes.length).toBeGreaterThan(3);
    expect(Math.max(...sizes)).toBeLessThan(67_000);
    expect(sizes.reduce((a, b) => a + b)).toBe(
      Array.from({ length: 300 }, (_, i) => 1_002 + "event: values\ndata: \nid: \n\n".length + String(i).length).reduce(
        (a, b) => a + b,
      ),
    );
  });
});

describe("heartbeats of sseStream", () => {
  const BEAT = ": heartbeat\n\n";

  it("one at the start when nothing waits, then one per interval without frames", async () => {
    const { clock, append, body } = await stream({ heartbeatMs: 5_000 });
    const reader = body.getReader();
    expect(text(await reader.read())).toBe(BEAT);
    let next = reader.read();
    clock.advance(4_999);
    append(event("values", 1));
    expect(text(await next)).toBe("event: values\ndata: 1\nid: 0\n\n");
    next = reader.read();
    let beaten = false;
    void next.then(() => {
      beaten = true;
    });
    clock.advance(4_999);
    await turn();
    expect(beaten).toBe(false);
    clock.advance(1);
    expect(text(await next)).toBe(BEAT);
    for (let i = 0; i < 3; i += 1) {
      next = reader.read();
      await turn();
      clock.advance(5_000);
      expect(text(await next)).toBe(BEAT);
    }
    next = reader.read();
    append(event("values", 2));
    expect(text(await next)).toBe("event: values\ndata: 2\nid: 1\n\n");
    await reader.cancel();
    expect(clock.pendingTimers).toBe(0);
  });

  it("none at the start when an event waits, or comes in the same turn", async () => {
    const { append, body } = await stream();
    const first = body.getReader().read();
    await Promise.resolve();
    append(event("metadata", {}, "control"));
    expect(text(await first)).toBe("event: metadata\ndata: {}\nid: 0\n\n");
  });
});

describe("back-pressure and ends of sseStream", () => {
  it("reads nothing from the log while the client does not read", async () => {
    const { append, cursor, body } = await stream();
    let reads = 0;
    const next = cursor.next.bind(cursor);
    cursor.next = (signal) => {
      reads += 1;
      return next(signal);
    };
    for (let i = 0; i < 100; i += 1) append(event("values", "x".repeat(10_000)));
    await turn();
    expect(reads).toBe(0);
    const reader = body.getReader();
    await reader.read();
    await turn();
    expect(reads).toBe(1);
  });

  it("a client that leaves closes the cursor at once and is reported once", async () => {
    let cancels = 0;
    const { clock, log, cursor, body } = await stream({ onCancel: () => (cancels += 1) });
    const reader = body.getReader();
    await reader.read();
    const waiting = reader.read();
    await reader.cancel();
    expect((await waiting).done).toBe(true);
    expect(await cursor.next()).toEqual({ kind: "end" });
    expect(cancels).toBe(1);
    expect(clock.pendingTimers).toBe(0);
    await log.close();
  });

  it("is no leaving when the stream is over", async () => {
    let cancels = 0;
    const { clock, log, body } = await stream({ onCancel: () => (cancels += 1) });
    await log.seal(run);
    const reader = body.getReader();
    expect((await reader.read()).done).toBe(true);
    await reader.cancel();
    expect(cancels).toBe(0);
    await log.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it("ends without a frame when the server closes", async () => {
    const shutdown = new AbortController();
    const { body, clock } = await stream({ signal: shutdown.signal });
    const reader = body.getReader();
    await reader.read();
    const waiting = reader.read();
    shutdown.abort();
    expect((await waiting).done).toBe(true);
    expect(clock.pendingTimers).toBe(0);
    const late = await stream({ signal: shutdown.signal });
    expect((await late.body.getReader().read()).done).toBe(true);
  });

  it("fails, and says so, when the cursor fails", async () => {
    const error = new Error("disk");
    const errors: unknown[] = [];
    let closed = false;
    const cursor: EventCursor = { next: () => Promise.reject(error), close: () => (closed = true) };
    const body = sseStream(cursor, { clock: fakeClock(), withIds: true, onError: (e) => errors.push(e) });
    await expect(body.getReader().read()).rejects.toBe(error);
    expect(errors).toEqual([error]);
    expect(closed).toBe(true);
  });
});

describe("gaps in sseStream", () => {
  const gapThen = (lost: "token" | "state"): EventCursor => {
    const last: RunEvent = { seq: 7, event: "values", data: toJsonText(1), kind: "state" };
    const reads: CursorRead[] = [
      { kind: "gap", resumeAtSeq: 7, lost },
      { kind: "events", events: [last] },
    ];
    return { next: async () => reads.shift() ?? { kind: "end" }, close: () => undefined };
  };
  const bodyOf = (lost: "token" | "state", tokenGap?: "error"): Promise<string> =>
    new Response(
      sseStream(gapThen(lost), { clock: fakeClock(), withIds: true, ...(tokenGap === undefined ? {} : { tokenGap }) }),
    ).text();
  const failure = 'event: error\ndata: {"error":"EventsGone","message":"Events before 7 are no longer kept."}\n\n';

  it("lost tokens are a comment, and the stream goes on", async () => {
    expect(await bodyOf("token")).toBe(": Events before 7 are no longer kept.\n\nevent: values\ndata: 1\nid: 7\n\n");
  });

  it("lost state frames are an error without an id, and the end", async () => {
    expect(await bodyOf("state")).toBe(failure);
  });

  it("lost tokens are an error for a client that gets nothing else", async () => {
    expect(await bodyOf("token", "error")).toBe(failure);
  });
});

interface Decoded {
  readonly event: string;
  readonly data: unknown;
  readonly id?: string;
}

describe("what the SDK decodes", () => {
  it("is what was appended, however the bytes are cut", async () => {
    // The package exports no path to its decoder, so it is imported by file.
    const sdk = dirname(fileURLToPath(import.meta.resolve("@langchain/langgraph-sdk/package.json")));
    expect(JSON.parse(readFileSync(join(sdk, "package.json"), "utf8"))).toMatchObject({ version: "1.15.0" });
    const { BytesLineDecoder, SSEDecoder } = (await import(pathToFileURL(join(sdk, "dist/utils/sse.js")).href)) as {
      BytesLineDecoder: () => TransformStream<Uint8Array, Uint8Array>;
      SSEDecoder: () => TransformStream<Uint8Array, Decoded>;
    };
    const name = fc.constantFrom("values", "messages|tools:1|x:2", "metadata", "custom", "ü|ö");
    const appended = fc.array(fc.record({ event: name, data: fc.jsonValue() }), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(appended, fc.integer({ min: 1, max: 50 }), async (frames, cut) => {
        const { append, log, body } = await stream();
        append(...frames.map((frame) => event(frame.event, frame.data)));
        await log.seal(run);
        const bytes = new Uint8Array(await new Response(body).arrayBuffer());
        const cuts = new ReadableStream<Uint8Array>({
          start(controller) {
            for (let i = 0; i < bytes.length; i += cut) controller.enqueue(bytes.slice(i, i + cut));
            controller.close();
          },
        });
        const decoded: Decoded[] = [];
        for await (const frame of cuts.pipeThrough(BytesLineDecoder()).pipeThrough(SSEDecoder())) decoded.push(frame);
        expect(decoded).toEqual(
          frames.map((frame, seq) => ({
            event: frame.event,
            data: JSON.parse(JSON.stringify(frame.data)) as unknown,
            id: String(seq),
          })),
        );
      }),
      { numRuns: 100 },
    );
  });
});

describe("around sseStream", () => {
  it("has headers that keep proxies from buffering", () => {
    expect(SSE_HEADERS).toEqual({
      "content-type": "text/event-stream",
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no",
    });
  });

  it("reads Last-Event-ID as the wire says", () => {
    expect(
      ["-1", undefined, null, "", "0", "41", "-2", "1e3", "abc", "9".repeat(16), " 3"].map(positionFromLastEventId),
    ).toEqual(["start", "now", "now", "now", { afterSeq: 0 }, { afterSeq: 41 }, "now", "now", "now", "now", "now"]);
  });
});

describe("a client that takes nothing any more", () => {
  it("gives its cursor up after stalledMs, and counts as gone; one that waits for events does not", async () => {
    let left = 0;
    const { clock, append, body, cursor } = await stream({
      heartbeatMs: 1_000,
      stalledMs: 3_000,
      onCancel: () => void (left += 1),
    });
    let closed = 0;
    const close = cursor.close.bind(cursor);
    cursor.close = () => {
      closed += 1;
      close();
    };
    const reader = body.getReader();
    append(event("values", 1));
    expect(text(await reader.read())).toContain("data: 1");
    // It asks for more, and there is nothing for long: heartbeats.
    for (let i = 0; i < 5; i += 1) {
      const beat = reader.read();
      await turn();
      clock.advance(1_000);
      expect(text(await beat)).toMatch(/^:/);
    }
    expect([left, closed]).toEqual([0, 0]);
    // It asks for no more.
    for (let i = 0; i < 4; i += 1) {
      clock.advance(1_000);
      await turn();
    }
    expect([left, closed]).toEqual([1, 1]);
    await expect(reader.read()).rejects.toThrow("takes nothing any more");
  });
});
