import type { IncomingMessage, Server } from "node:http";
import { type WebSocketServerLike, createAdaptorServer } from "@hono/node-server";
import type { WebSocketServer } from "ws";
import type { FetchServer } from "./listen.js";
import { refuse } from "./refused-requests.js";

/** As `http.maxBodyBytes` has it by default. */
const MAX_MESSAGE_BYTES = 20 * 1024 * 1024;

/**
 * What @hono/node-server 2 upgrades connections with. Frames are not compressed: a deflate context per connection costs some
 * 300 kB, and SSE has none either.
 * @param maxMessageBytes a larger message closes its socket with 1009
 */
export async function createWebSocketServer(maxMessageBytes = MAX_MESSAGE_BYTES): Promise<WebSocketServer> {
  const { WebSocketServer } = await import("ws");
  return new WebSocketServer({ noServer: true, maxPayload: maxMessageBytes, perMessageDeflate: false });
}

/** @types/ws 8.18.2 and @hono/node-server 2.1.8 disagree about optional properties under `exactOptionalPropertyTypes`. */
export function forUpgrades(sockets: WebSocketServer): WebSocketServerLike {
  return sockets as WebSocketServerLike;
}

/** Whether a request that names an `Upgrade` is for us; others are ordinary requests that may ignore it (RFC 9110 §7.8). */
export function isWebSocketRequest({ method, headers }: IncomingMessage): boolean {
  return method === "GET" && headers.upgrade?.toLowerCase() === "websocket";
}

/**
 * @hono/node-server 2.1.8 answers no other upgrade than a WebSocket's (`curl --http2` asks for `h2c`) and leaves its connection open.
 * From 24.9 on Node treats those as ordinary requests where it is told to (`shouldUpgradeCallback`); before, they are refused.
 */
export function refuseOtherUpgrades(http: Server): void {
  const hooked = http.listeners("upgrade").at(-1) as ((...args: unknown[]) => void) | undefined;
  if (hooked === undefined) return;
  http.removeListener("upgrade", hooked);
  http.on("upgrade", (request, socket, head) => {
    if (isWebSocketRequest(request)) hooked.call(http, request, socket, head);
    // Somebody else's may be for it.
    else if (http.listenerCount("upgrade") === 1) {
      socket.on("error", () => undefined);
      refuse(socket, "400 Bad Request", "This server upgrades connections to WebSockets alone");
    }
  });
}

/**
 * Take WebSockets of a Heddle app on a Node server of your own, beside {@link nodeHandler}.
 * @returns the WebSocket server: `clients` are the open ones, to be closed before the HTTP server ends
 * @example
 * const http = express().use("/agent", nodeHandler(server)).listen(3000);
 * await acceptWebSockets(http, server);
 */
export async function acceptWebSockets(
  http: Server,
  server: FetchServer,
  options: { readonly maxMessageBytes?: number } = {},
): Promise<WebSocketServer> {
  const sockets = await createWebSocketServer(options.maxMessageBytes);
  // @hono/node-server 2.1.8 hooks upgrades into the server that it makes: it is given one, whose requests stay with others.
  createAdaptorServer({
    fetch: (request, env) => server.fetch(request, env),
    overrideGlobalObjects: false,
    createServer: (() => http) as never,
    websocket: { server: forUpgrades(sockets) },
  });
  refuseOtherUpgrades(http);
  return sockets;
}
