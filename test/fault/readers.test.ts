import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Annotation, START, StateGraph } from "@langchain/langgraph";
import { expect, it } from "vitest";
import { listen } from "../../src/node/listen.js";
import { type StorageName, until } from "../support/server.js";
import { openWrappedApp, FAST_STORAGES } from "./wrapped-app.js";

const FRAMES = 20_000;
const FRAME_BYTES = 1_000;
const SILENT = 20;

/** Streams 20,000 frames of 1 kB, and lets the event loop turn in between. */
const flood = new StateGraph(Annotation.Root({ frames: Annotation<number> }))
  .addNode("flood", async (state, config) => {
    for (let i = 0; i < state.frames; i += 1) {
      config.writer?.({ i, text: "x".repeat(FRAME_BYTES) });
      if (i % 50 === 49) await new Promise((resolve) => setImmediate(resolve));
    }
    return {};
  })
  .addEdge(START, "flood")
  .compile();

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;
const heldBytes = (): number => {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

/** A client that sends its request and reads nothing until it is told. */
async function silentClient(port: number, path: string, body: unknown): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.pause();
  const text = JSON.stringify(body);
  socket.write(
    `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${String(text.length)}\r\n\r\n${text}`,
  );
  return socket;
}

async function serve(storage: StorageName) {
  const app = await openWrappedApp(storage, { options: { graphs: { flood } } });
  const listening = await listen(app, { port: 0, host: "127.0.0.1" });
  return { app, listening, port: Number(new URL(listening.url).port) };
}

it.each(FAST_STORAGES)(
  "a reader that does not read costs no memory and disturbs nobody (%s)",
  async (storage) => {
    const { app, listening, port } = await serve(storage);
    const body = { assistant_id: "flood", input: { frames: FRAMES }, stream_mode: ["custom"], stream_resumable: true };
    const thread = (await (await fetch(`${listening.url}/threads`, { method: "POST", body: "{}" })).json()) as {
      thread_id: string;
    };
    const before = heldBytes();
    const response = await fetch(`${listening.url}/threads/${thread.thread_id}/runs/stream`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    const join = response.headers.get("location")!;
    const silent: Socket[] = [];
    for (let i = 0; i < SILENT; i += 1) {
      const socket = connect(port, "127.0.0.1");
      await once(socket, "connect");
      socket.pause();
      socket.write(`GET ${join} HTTP/1.1\r\nhost: x\r\nlast-event-id: -1\r\n\r\n`);
      silent.push(socket);
    }
    let frames = 0;
    let rest = "";
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + chunk).split("\n\n");
      rest = parts.pop() ?? "";
      frames += parts.filter((part) => part.startsWith("event: custom")).length;
    }
    expect(frames).toBe(FRAMES);
    // The log itself holds all of it in memory, or about a megabyte with SQLite; twenty copies would be 400 MB.
    const logBytes = storage === "memory" ? FRAMES * (FRAME_BYTES + 600) : 4_000_000;
    const held = heldBytes() - before;
    expect(held).toBeLessThan(logBytes + SILENT * 2_500_000);
    // Whoever starts to read late still gets everything.
    const late = silent.pop()!;
    let received = "";
    late.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    late.resume();
    await until(async () => received.includes("event: end"), "the late reader's end");
    expect(received.split("event: custom").length - 1).toBe(FRAMES);
    for (const socket of silent) socket.destroy();
    await listening.close();
    expect(app.log.filter(({ level }) => level === "error")).toEqual([]);
  },
  60_000,
);

it.each(FAST_STORAGES)(
  "200 clients that leave in the middle leave nothing behind (%s)",
  async (storage) => {
    const { app, listening, port } = await serve(storage);
    const warm = await silentClient(port, "/runs/stream", { assistant_id: "flood", input: { frames: 1 } });
    warm.destroy();
    const resources = (): Record<string, number> => {
      const count: Record<string, number> = {};
      for (const kind of process.getActiveResourcesInfo()) count[kind] = (count[kind] ?? 0) + 1;
      return { sockets: count["TCPSocketWrap"] ?? 0, timers: count["Timeout"] ?? 0 };
    };
    // Only what the test process itself has open, such as kept-alive connections of an earlier test.
    await until(async () => app.eventLog.size <= 1, "a quiet server");
    const quiet = resources();
    const clients: Socket[] = [];
    for (let i = 0; i < 200; i += 1) {
      // Half of them stay until the first bytes, half leave at once.
      const path = i % 3 === 0 ? "/runs/wait" : "/runs/stream";
      const body = {
        assistant_id: "flood",
        input: { frames: 400 },
        stream_mode: ["custom"],
        on_disconnect: i % 4 === 0 ? "cancel" : "continue",
      };
      const socket = await silentClient(port, path, body);
      clients.push(socket);
      if (i % 2 === 0) socket.once("data", () => socket.destroy()).resume();
      else socket.destroy();
    }
    await until(async () => {
      const { rows } = await app.services.threads.search(
        { identity: null, permissions: [], user: null },
        { status: "busy", limit: 1, offset: 0, sortBy: "created_at", sortOrder: "asc", withState: false },
      );
      return rows.length === 0;
    }, "the end of all runs");
    for (const socket of clients) socket.destroy();
    await until(async () => resources()["sockets"]! <= quiet["sockets"]!, "closed sockets");
    // Timers of the runs are gone; the log's own stays.
    await until(async () => resources()["timers"]! <= quiet["timers"]! + 3, "cancelled timers");
    await listening.close();
    await app.close();
    expect(app.eventLog.size).toBe(0);
    expect(app.log.filter(({ level }) => level === "error")).toEqual([]);
  },
  60_000,
);
