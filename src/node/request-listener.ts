import type { IncomingMessage, ServerResponse } from "node:http";
import { getRequestListener } from "@hono/node-server";
import type { FetchServer } from "./listen.js";

/** What Express, Connect and body parsers add to Node's request. */
interface FrameworkRequest extends IncomingMessage {
  /** The URL before a router cut its mount path off. */
  originalUrl?: string;
  /** Set when a body parser has read the request already. */
  body?: unknown;
  /** What @hono/node-server 2.1.8 takes for the body when the stream has been read. */
  rawBody?: Buffer;
}

/**
 * A Heddle app as a Node request handler, to mount in Express, Connect, Fastify (`reply.hijack()`) or `node:http`. Give
 * `createApp` the same `http.basePath` as the mount path. A client that leaves cancels the response's stream. A body that
 * a parser such as `express.json()` has read already is written out again; mounting before the parser saves that work.
 *
 * @example
 * const server = await createApp({ config: "langgraph.json", http: { basePath: "/agent" } });
 * express().use("/agent", nodeHandler(server)).listen(3000);
 */
export function nodeHandler(
  server: FetchServer,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const listener = getRequestListener((request, env) => server.fetch(request, env), { overrideGlobalObjects: false });
  return async (request: FrameworkRequest, response) => {
    if (request.originalUrl !== undefined) request.url = request.originalUrl;
    if (request.readableEnded && request.body !== undefined) request.rawBody = bytesOf(request.body);
    await listener(request, response);
  };
}

function bytesOf(body: unknown): Buffer {
  if (Buffer.isBuffer(body)) return body;
  return Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
}
