import { once } from "node:events";
import { type RequestListener, type Server, createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { text } from "node:stream/consumers";
import { Hono } from "hono";
import { v7 } from "uuid";
import { afterEach, describe, expect, it } from "vitest";
import { createApp } from "../../src/app.js";
import { acceptWebSockets, type FetchServer, listen, nodeHandler } from "../../src/node/index.js";
import * as graphs from "../fixtures/graphs/index.js";
import { ALL, openSocket } from "../protocols/event-stream/thread-client.js";

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** Heddle at `/agent` of a Hono app that has a page of its own. */
async function openParent(): Promise<Hono> {
  const server = await createApp({ graphs: { ...graphs }, storage: "memory:", env: {}, logLevel: "error" });
  closers.push(() => server.close());
  const parent = new Hono();
  parent.get("/mine", (context) => context.text("mine"));
  return parent.route("/agent", server.app);
}

async function serve(listener: RequestListener, sockets: FetchServer, servers: Server[] = []): Promise<string> {
  const http = createServer(listener);
  servers.push(http);
  const open = await acceptWebSockets(http, sockets);
  http.listen(0, "127.0.0.1");
  closers.push(async () => {
    for (const socket of open.clients) socket.terminate();
    http.closeAllConnections();
    http.close();
  });
  await once(http, "listening");
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

/** A run by command, and its events, over one WebSocket. */
async function runOverSocket(url: string): Promise<unknown> {
  const socket = await openSocket(url, v7());
  await socket.succeed("subscription.subscribe", ALL);
  await socket.succeed("run.start", { assistant_id: "counter", input: { n: 1 } });
  await socket.events.terminal();
  socket.close();
  return socket.events.all.findLast(({ method }) => method === "values")?.params.data;
}

/** The code that a WebSocket of some path is closed with. */
async function closeCodeOf(url: string): Promise<number> {
  const socket = new WebSocket(url.replace("http", "ws"));
  const closed = await new Promise<CloseEvent>((resolve) => socket.addEventListener("close", resolve));
  return closed.code;
}

describe("WebSockets of an app that is mounted in another one", () => {
  it("on a Node server of one's own: acceptWebSockets takes the app that Heddle is mounted in", async () => {
    const parent = await openParent();
    const url = await serve((request, response) => void nodeHandler(parent)(request, response), parent);
    expect(await runOverSocket(`${url}/agent`)).toMatchObject({ n: 4 });
    expect(await (await fetch(`${url}/mine`)).text()).toBe("mine");
    // What is no WebSocket of Heddle's is refused, and the server lives on.
    for (const path of ["/mine", "/agent/ok", "/nothing"]) expect(await closeCodeOf(`${url}${path}`)).toBe(1006);
    expect(await closeCodeOf(`${url}/agent/threads/nonsense/stream/events`)).toBe(4422);
    expect(await runOverSocket(`${url}/agent`)).toMatchObject({ n: 4 });
  });

  it("on a Node server of one's own: another upgrade is refused, unless somebody else takes it", async () => {
    const parent = await openParent();
    const servers: Server[] = [];
    const url = await serve((_, response) => void response.end("framework"), parent, servers);
    const ask = async (): Promise<string> => {
      const socket = connect(Number(new URL(url).port), "127.0.0.1");
      socket.write("GET /agent/ok HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n");
      return text(socket);
    };
    expect(await ask()).toMatch(/^HTTP\/1\.1 400 [^]*"detail":"This server upgrades connections to WebSockets alone"/);
    servers[0]?.on("upgrade", (_, socket) => socket.end("mine"));
    expect(await ask()).toBe("mine");
  });

  it("beside a framework that answers requests itself", async () => {
    const parent = await openParent();
    const url = await serve((_, response) => void response.end("framework"), parent);
    expect(await runOverSocket(`${url}/agent`)).toMatchObject({ n: 4 });
    expect(await (await fetch(`${url}/agent/ok`)).text()).toBe("framework");
  });

  it("by listen(), with nothing else to do", async () => {
    const listener = await listen(await openParent(), { port: 0 });
    closers.push(() => listener.close({ graceMs: 0 }));
    expect(await runOverSocket(`${listener.url}/agent`)).toMatchObject({ n: 4 });
  });
});
