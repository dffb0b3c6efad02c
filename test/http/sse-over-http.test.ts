import { getRequestListener } from "@hono/node-server";
import { once } from "node:events";
import { type IncomingMessage, type Server, createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { toJsonText } from "../../src/core/json.js";
import type { EventCursor } from "../../src/core/event-log.js";
import { systemClock } from "../../src/runtime/system-clock.js";
import { MemoryEventLog } from "../../src/streaming/memory-event-log.js";
import { SSE_HEADERS, type SseOptions, sseStream } from "../../src/streaming/sse.js";

const run = { runId: "r", threadId: "t" };
const servers: Server[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  }
});

/** A server that answers everything with the stream of one run. */
async function serve(options: Partial<SseOptions> = {}) {
  const log = new MemoryEventLog({ clock: systemClock });
  await log.begin(run);
  const cursor = (await log.open(run, "start")) as EventCursor;
  const reads = { count: 0 };
  const next = cursor.next.bind(cursor);
  cursor.next = (signal) => {
    reads.count += 1;
    return next(signal);
  };
  const listener = getRequestListener(
    () => new Response(sseStream(cursor, { clock: systemClock, withIds: true, ...options }), { headers: SSE_HEADERS }),
    { overrideGlobalObjects: false },
  );
  const server = createServer((request, response) => void listener(request, response)).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  return { log, cursor, reads, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` };
}

/** The next chunk as text; `null` at the end. */
function readChunks(response: Response): () => Promise<string | null> {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  return async () => {
    const { done, value } = await reader.read();
    return done ? null : Buffer.from(value).toString();
  };
}

/** Let the loop turn until `count` stands still: socket buffers are then full. */
async function settled(count: () => number): Promise<number> {
  let before = -1;
  for (let round = 0; round < 500 && before !== count(); round += 1) {
    before = count();
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }
  return count();
}

describe("sseStream behind @hono/node-server", () => {
  it("sends head and opening comment at once, and keeps the connection", async () => {
    const { log, url } = await serve();
    const response = await fetch(url);
    expect(response.headers.get("connection")).toBe("keep-alive");
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const chunks = readChunks(response);
    expect(await chunks()).toBe(": heartbeat\n\n");
    log.append(run, [{ event: "values", data: toJsonText(1), kind: "state" }]);
    expect(await chunks()).toBe("event: values\ndata: 1\nid: 0\n\n");
    await log.seal(run);
    expect(await chunks()).toBeNull();
  });

  it("a client that vanishes closes the cursor and is reported", async () => {
    const { promise: left, resolve } = Promise.withResolvers<void>();
    const { cursor, url } = await serve({ onCancel: resolve });
    const request = get(url);
    await once(request, "response");
    request.on("error", () => undefined);
    request.destroy();
    await left;
    expect(await cursor.next()).toEqual({ kind: "end" });
  });

  it("a client that does not read stops the reads from the log; nothing is lost when it goes on", async () => {
    const { log, reads, url } = await serve();
    const chunk = "x".repeat(64 * 1024);
    for (let i = 0; i < 800; i += 1) log.append(run, [{ event: "values", data: toJsonText(chunk), kind: "state" }]);
    await log.seal(run);
    const request = get(url);
    const [response] = (await once(request, "response")) as [IncomingMessage];
    response.pause();
    expect(await settled(() => reads.count)).toBeLessThan(150);
    let bytes = 0;
    response.on("data", (data: Buffer) => (bytes += data.length));
    response.resume();
    await once(response, "end");
    expect(bytes).toBeGreaterThan(800 * 64 * 1024);
    expect(reads.count).toBeGreaterThan(200);
  });
});
