import type { Server } from "node:http";
import { type WebSocketServerLike, createAdaptorServer } from "@hono/node-server";
import type { WebSocketServer } from "ws";
import type { FetchServer } from "./listen.js";

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
  return sockets;
}
