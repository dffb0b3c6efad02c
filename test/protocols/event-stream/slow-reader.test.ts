import { once } from "node:events";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
import { v7 } from "uuid";
import { WebSocket as Ws, type WebSocketServer } from "ws";
import { afterEach, describe, expect, it } from "vitest";
import { createApp } from "../../../src/app.js";
import { acceptWebSockets, nodeHandler } from "../../../src/node/index.js";
import { LOCAL_STORAGES, createStorage } from "../../support/server.js";
import { ALL, type WireEvent, type WireResponse, isTerminal, openSse, succeed } from "./thread-client.js";

const FRAMES = 500;
const FRAME_BYTES = 64 * 1024;
/** Of the log: more than sockets of the operating system hold, less than all frames. */
const MAX_BYTES = 16 * 1024 * 1024;
/** What a connection buffers for a peer that is behind. */
const BUFFERED_BYTES = 1024 * 1024;

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
}, 60_000);

/** A server whose graph floods its listeners. */
async function openFlood(storage: "memory" | "sqlite" | "postgres") {
  const flood = new StateGraph(
    Annotation.Root({ told: Annotation<number>({ reducer: (_, b) => b, default: () => 0 }) }),
  )
    .addNode("tell", async (_, config) => {
      const text = "x".repeat(FRAME_BYTES);
      for (let i = 0; i < FRAMES; i += 1) {
        config.writer?.({ i, text });
        await new Promise((resolve) => setImmediate(resolve));
      }
      return { told: FRAMES };
    })
    .addEdge(START, "tell")
    .addEdge("tell", END)
    .compile();
  const { uri, drop } = await createStorage(storage);
  closers.push(drop);
  const streaming = { maxBytes: MAX_BYTES };
  const app = await createApp({ graphs: { flood }, storage: uri, env: {}, logLevel: "error", streaming });
  closers.push(() => app.close());
  const http: Server = createServer((request, response) => void nodeHandler(app)(request, response));
  const sockets = await acceptWebSockets(http, app);
  http.listen(0, "127.0.0.1");
  closers.push(async () => {
    http.closeAllConnections();
    http.close();
  });
  await once(http, "listening");
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, held: watchHeld(sockets) };
}

/** The most that the server ever held for a peer. */
function watchHeld(sockets: WebSocketServer): { bytes: number } {
  const held = { bytes: 0 };
  const look = setInterval(() => {
    for (const socket of sockets.clients) held.bytes = Math.max(held.bytes, socket.bufferedAmount);
  }, 2);
  closers.push(async () => clearInterval(look));
  return held;
}

/** A WebSocket that has subscribed to everything and then stops to read. */
async function openPaused(url: string, threadId: string) {
  const socket = new Ws(`${url.replace("http", "ws")}/threads/${threadId}/stream/events`);
  closers.push(async () => socket.terminate());
  const events: WireEvent[] = [];
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  const { promise: subscribed, resolve: answered } = Promise.withResolvers<void>();
  socket.on("message", (data: Buffer) => {
    const frame = JSON.parse(data.toString()) as WireEvent | WireResponse;
    if (frame.type === "event") events.push(frame);
    else answered();
    if (frame.type === "event" && isTerminal(frame)) resolve();
  });
  await once(socket, "open");
  socket.send(JSON.stringify({ id: 1, method: "subscription.subscribe", params: ALL }));
  await subscribed;
  socket.pause();
  return { socket, events, ended };
}

describe.each([...LOCAL_STORAGES, "postgres"] as const)("a WebSocket that is not read, on %s", (storage) => {
  it("costs the server a bounded buffer, holds nobody up, and finds a jump where the log has evicted", async () => {
    const { url, held } = await openFlood(storage);
    const threadId = v7();
    const slow = await openPaused(url, threadId);
    const fast = await openSse(url, threadId, { channels: ["lifecycle", "values"] });
    await succeed(url, threadId, "run.start", { assistant_id: "flood", input: {} });
    const last = await fast.events.terminal();
    fast.close();
    await expect.poll(() => held.bytes, { timeout: 20_000, interval: 10 }).toBeGreaterThanOrEqual(BUFFERED_BYTES);
    // The frame that goes beyond is the last one that is read.
    expect(held.bytes).toBeLessThan(BUFFERED_BYTES + 2 * FRAME_BYTES);
    expect(slow.events).toEqual([]);

    slow.socket.resume();
    await slow.ended;
    const seqs = slow.events.flatMap(({ seq }) => seq ?? []);
    expect(seqs.at(-1)).toBe(last.seq);
    expect(seqs).toEqual([...new Set(seqs)].toSorted((a, b) => a - b));
    const jump = seqs.findIndex((seq, index) => seq !== index + 1);
    expect(jump).toBeGreaterThan(0);
    expect(seqs.length).toBeLessThan(FRAMES);
    // Token frames go first: the state is told all the same.
    expect(slow.events.findLast(({ method }) => method === "values")?.params.data).toEqual({ told: FRAMES });
    expect(slow.socket.readyState).toBe(Ws.OPEN);
    expect(held.bytes).toBeLessThan(BUFFERED_BYTES + 2 * FRAME_BYTES);
  }, 60_000);
});
