import { connect, type Socket } from "node:net";
import { once } from "node:events";
import { afterEach, expect, test } from "vitest";
import type { AppOptions } from "../../src/config/options.js";
import { createApp } from "../../src/app.js";
import { listen, type ListenOptions } from "../../src/node/listen.js";
import * as graphs from "../fixtures/graphs/index.js";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const closer of closers.splice(0).toReversed()) await closer();
});

async function start(options: Partial<AppOptions> = {}, listening: ListenOptions = {}) {
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  const server = await createApp({ graphs: { ...graphs }, storage: "memory:", env: {}, logger, ...options });
  closers.push(() => server.close());
  const listener = await listen(server, { port: 0, ...listening });
  closers.push(() => listener.close({ graceMs: 0 }));
  return listener;
}

/** A client that says what it wants, and what it was told in the end. */
function open(port: number): { socket: Socket; told: Promise<string> } {
  const socket = connect(port, "127.0.0.1");
  closers.push(async () => void socket.destroy());
  let text = "";
  socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
  socket.on("error", () => undefined);
  const told = new Promise<string>((resolve) => socket.once("close", () => resolve(text)));
  return { socket, told };
}

test("headers that are too large are 431 and named, and the next request is served", async () => {
  const { port, url } = await start({}, { maxHeaderBytes: 2_048 });
  const { socket, told } = open(port);
  socket.write(`GET /ok HTTP/1.1\r\nhost: x\r\nx-large: ${"a".repeat(4_000)}\r\n\r\n`);
  const answer = await told;
  expect(answer).toMatch(/^HTTP\/1\.1 431 /);
  expect(answer).toContain('{"detail":"Request headers too large: at most 2048 bytes');
  expect((await fetch(`${url}/ok`)).status).toBe(200);
});

test("a limit of the app holds below that of the server", async () => {
  const { url } = await start({ limits: { maxHeaderBytes: 512, maxUrlBytes: 200 } });
  const large = await fetch(`${url}/ok`, { headers: { "x-large": "a".repeat(1_000) } });
  expect(large.status).toBe(431);
  expect(await large.json()).toEqual({ detail: expect.stringContaining("limits.maxHeaderBytes") as string });
  const long = await fetch(`${url}/ok?${"q".repeat(300)}`);
  expect(long.status).toBe(414);
  expect(await long.json()).toEqual({ detail: expect.stringContaining("limits.maxUrlBytes") as string });
  expect((await fetch(`${url}/ok?${"q".repeat(190)}`)).status).toBe(200);
});

test.each(["h2c", "chunked", "websocket, h2c"])(
  "a request that would rather speak %s is an ordinary one, and holds no server open",
  async (protocol) => {
    const { port } = await start();
    const upgrade = `host: x\r\nconnection: Upgrade, close\r\nupgrade: ${protocol}\r\n`;
    const get = open(port);
    get.socket.write(`GET /ok HTTP/1.1\r\n${upgrade}\r\n`);
    expect(await get.told).toMatch(/^HTTP\/1\.1 200 [^]*\{"ok":true\}/);
    const post = open(port);
    post.socket.write(
      `POST /threads HTTP/1.1\r\n${upgrade}content-type: application/json\r\ncontent-length: 2\r\n\r\n{}`,
    );
    expect(await post.told).toMatch(/^HTTP\/1\.1 200 [^]*"thread_id"/);
  },
);

test("headers and bodies that drip in are cut off in time", async () => {
  const { port, url } = await start({}, { headersTimeoutMs: 150, requestTimeoutMs: 300 });
  const slowHeaders = open(port);
  slowHeaders.socket.write("GET /ok HTTP/1.1\r\nhost: x\r\nx-a: ");
  const slowBody = open(port);
  slowBody.socket.write("POST /threads HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{");
  const drips = setInterval(() => {
    slowHeaders.socket.write("a");
    slowBody.socket.write(" ");
  }, 20);
  closers.push(async () => clearInterval(drips));
  const since = performance.now();
  for (const { told } of [slowHeaders, slowBody]) {
    const answer = await told;
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(answer).toContain("limits.requestTimeoutMs");
  }
  expect(performance.now() - since).toBeLessThan(3_000);
  expect((await fetch(`${url}/ok`)).status).toBe(200);
});

test("what is no HTTP is 400 with a detail", async () => {
  const { port } = await start();
  const { socket, told } = open(port);
  socket.write("HELLO\r\n\r\n");
  expect(await told).toMatch(/^HTTP\/1\.1 400 [^]*"detail":"The request is not valid HTTP"/);
});

test("a body of 100 MB is refused without being kept, announced or not", async () => {
  const { port, url } = await start({ limits: { maxBodyBytes: 1_000_000 } });
  const announced = open(port);
  announced.socket.write("POST /threads HTTP/1.1\r\nhost: x\r\ncontent-length: 104857600\r\n\r\n");
  const [first] = (await once(announced.socket, "data")) as [Buffer];
  expect(first.toString()).toMatch(/^HTTP\/1\.1 413 /);
  announced.socket.destroy();

  const before = process.memoryUsage().rss;
  const chunk = Buffer.alloc(1_048_576, 32);
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      sent += 1;
      if (sent > 100) controller.close();
      else controller.enqueue(chunk);
    },
  });
  const status = await fetch(`${url}/threads`, { method: "POST", body, duplex: "half" } as RequestInit).then(
    (response) => response.status,
    // The server may close the connection before the client has read its answer.
    () => 413,
  );
  expect(status).toBe(413);
  expect(sent).toBeLessThan(60);
  expect(process.memoryUsage().rss - before).toBeLessThan(80 * 1_048_576);
  expect((await fetch(`${url}/ok`)).status).toBe(200);
});

test("a client that stops taking its stream is cut off; one that takes it slowly is not", async () => {
  const { port, url } = await start(
    { limits: { stalledMs: 400 }, streaming: { heartbeatMs: 100 } },
    { stalledMs: 400 },
  );
  const stuck = open(port);
  stuck.socket.pause();
  const large = JSON.stringify({
    assistant_id: "echo",
    input: { messages: [{ role: "user", content: "x".repeat(12_000_000) }] },
    stream_mode: ["values", "updates"],
  });
  stuck.socket.write(
    `POST /runs/stream HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${large.length}\r\n\r\n${large}`,
  );
  const since = performance.now();
  while (performance.now() - since < 3_000) await new Promise((resolve) => void setTimeout(resolve, 20));
  // What the kernel has kept for it is all that it ever gets.
  stuck.socket.resume();
  expect((await stuck.told).length).toBeLessThan(12_000_000);

  const idle = await fetch(`${url}/threads`, { method: "POST", body: "{}" });
  const { thread_id: threadId } = (await idle.json()) as { thread_id: string };
  const stream = await fetch(`${url}/threads/${threadId}/stream`);
  const reader = stream.body?.getReader();
  const until = performance.now() + 1_000;
  let beats = 0;
  while (performance.now() < until) {
    const read = await reader?.read();
    expect(read?.done).toBe(false);
    beats += 1;
  }
  expect(beats).toBeGreaterThan(4);
  await reader?.cancel();
});

test("an answer that nobody takes ends without an app's help", async () => {
  const total = 40_000_000;
  const chunk = Buffer.alloc(65_536, 97);
  const listener = await listen(
    {
      fetch: () => {
        let sent = 0;
        return new Response(
          new ReadableStream<Uint8Array>({
            pull(controller) {
              sent += chunk.length;
              controller.enqueue(chunk);
              if (sent >= total) controller.close();
            },
          }),
        );
      },
    },
    { port: 0, stalledMs: 200 },
  );
  closers.push(() => listener.close({ graceMs: 0 }));
  const { socket, told } = open(listener.port);
  socket.pause();
  socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  const since = performance.now();
  while (performance.now() - since < 1_000) await new Promise((resolve) => void setTimeout(resolve, 20));
  socket.resume();
  expect((await told).length).toBeLessThan(total / 2);
});
