import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import type { WebSocket, WebSocketServer } from "ws";
import { HeddleError } from "../core/errors.js";
import { useFastResponses } from "./fast-responses.js";
import { refuseBadRequests, serverOptionsOf } from "./refused-requests.js";
import { createWebSocketServer, forUpgrades, isWebSocketRequest, refuseOtherUpgrades } from "./web-sockets.js";

/** What {@link listen} serves: what `createApp` returns, or any Hono app. */
export interface FetchServer {
  fetch(request: Request, env?: object): Response | Promise<Response>;
  /** Protocols by name; those with a port get a listener of their own. */
  readonly protocols?: Readonly<Record<string, FetchServer & { readonly port: number | null; readonly path: string }>>;
}

export interface ListenOptions {
  /** 0 = any free port. Default 2024. */
  readonly port?: number;
  /** Default `127.0.0.1`: this machine only. */
  readonly host?: string;
  /**
   * Replace the global `Request` and `Response` by faster ones that behave the same. Default true; `false` leaves globals
   * alone and costs some 45 µs per request.
   */
  readonly fastResponses?: boolean;
  /** A larger message closes its WebSocket with 1009. Default 20 MiB, the default of `http.maxBodyBytes`. */
  readonly maxMessageBytes?: number;
  /** Larger request headers are refused with 431. Default 16,384. */
  readonly maxHeaderBytes?: number;
  /** A request's headers must be there within this time, or it is refused with 408. Default 30,000. */
  readonly headersTimeoutMs?: number;
  /** The same for a whole request. Default 300,000. */
  readonly requestTimeoutMs?: number;
  /** A client that has taken nothing of its answer for so long is cut off. Default 120,000. */
  readonly stalledMs?: number;
}

export interface Listener {
  /** How clients on this machine reach it: `http://127.0.0.1:2024`. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Where protocols with a port of their own are, by name: `{url, port}`, the URL with their path. Closed with this one. */
  readonly protocols: Readonly<Record<string, { readonly url: string; readonly port: number }>>;
  /** Take no new connections; those that exist finish what they are at. */
  stopAccepting(): void;
  /**
   * Stop accepting, wait for answers under way, then cut off what is left.
   * @param options.graceMs how long answers may still take. Default 5,000; 0 cuts at once
   */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

/** Longer than the idle time of common proxies (60 s), which would otherwise reuse a connection that is just closing. */
const KEEP_ALIVE_MS = 75_000;
/** Defaults of `limits` (docs/guides/limits.md); the first is Node's own. */
const MAX_HEADER_BYTES = 16_384;
const HEADERS_TIMEOUT_MS = 30_000;
const REQUEST_TIMEOUT_MS = 300_000;
const STALLED_MS = 120_000;
/** A peer that is gone without a word is noticed by TCP even on a stream that has nothing to send. */
const TCP_KEEP_ALIVE_MS = 30_000;

/**
 * Serve an app over HTTP/1.1, with WebSockets. A client that leaves cancels the response's body stream and aborts the request's signal.
 * @throws HeddleError `CONFIG_INVALID` when the address is taken, not ours or not allowed
 */
export async function listen(server: FetchServer, options: ListenOptions = {}): Promise<Listener> {
  const first = await listenOne(server, options);
  const others = await listenProtocols(server, options).catch(async (error: unknown) => {
    await first.close({ graceMs: 0 });
    throw error;
  });
  return {
    ...first,
    protocols: others.protocols,
    stopAccepting() {
      first.stopAccepting();
      others.stopAccepting();
    },
    async close(closing) {
      await Promise.all([first.close(closing), others.close(closing)]);
    },
  };
}

/**
 * Serve those protocols of an app that have a port of their own, for who listens for the app itself otherwise.
 * @throws HeddleError `CONFIG_INVALID` when an address is taken, not ours or not allowed; then none is served
 */
export async function listenProtocols(
  { protocols = {} }: Pick<FetchServer, "protocols">,
  options: Omit<ListenOptions, "port"> = {},
): Promise<Pick<Listener, "protocols" | "stopAccepting" | "close">> {
  const listeners: Listener[] = [];
  const places: [string, { readonly url: string; readonly port: number }][] = [];
  const close: Listener["close"] = async (closing) => {
    await Promise.all(listeners.map((listener) => listener.close(closing)));
  };
  try {
    for (const [name, { fetch, port, path }] of Object.entries(protocols)) {
      if (port === null) continue;
      const listener = await listenOne({ fetch }, { ...options, port });
      listeners.push(listener);
      places.push([name, { url: listener.url + path, port: listener.port }]);
    }
  } catch (error) {
    await close({ graceMs: 0 });
    throw error;
  }
  return {
    protocols: Object.fromEntries(places),
    stopAccepting: () => listeners.forEach((listener) => listener.stopAccepting()),
    close,
  };
}

async function listenOne(server: FetchServer, options: ListenOptions): Promise<Listener> {
  const { port = 2024, host = "127.0.0.1", fastResponses = true, maxMessageBytes } = options;
  if (fastResponses) useFastResponses();
  const sockets = await createWebSocketServer(maxMessageBytes);
  const limits = {
    maxHeaderBytes: options.maxHeaderBytes ?? MAX_HEADER_BYTES,
    headersTimeoutMs: options.headersTimeoutMs ?? HEADERS_TIMEOUT_MS,
    requestTimeoutMs: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    stalledMs: options.stalledMs ?? STALLED_MS,
  };
  const http = createAdaptorServer({
    fetch: (request, env) => server.fetch(request, env),
    hostname: host,
    overrideGlobalObjects: false,
    websocket: { server: forUpgrades(sockets) },
    serverOptions: {
      ...serverOptionsOf(limits),
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAlive: true,
      shouldUpgradeCallback: isWebSocketRequest,
      keepAliveInitialDelay: TCP_KEEP_ALIVE_MS,
    },
  }) as Server;
  const connections = trackAnswers(http);
  refuseOtherUpgrades(http);
  refuseBadRequests(http, connections.open, limits);
  await bind(http, port, host);
  const address = http.address() as AddressInfo;
  let closed: Promise<void> | undefined;
  const stopped = new Promise<void>((resolve) => http.once("close", resolve));
  const stopAccepting = () => {
    if (!http.listening) return;
    connections.refuseReuse();
    http.close();
  };
  return {
    url: urlOf(host, address),
    host,
    port: address.port,
    protocols: {},
    stopAccepting,
    close({ graceMs = 5_000 } = {}) {
      closed ??= (async () => {
        stopAccepting();
        // The app has closed its own with a code; these are of other apps, or came late.
        closeSockets(sockets, (socket) => socket.close(SERVICE_RESTART));
        const cut = setTimeout(() => {
          http.closeAllConnections();
          closeSockets(sockets, (socket) => socket.terminate());
        }, graceMs);
        await stopped;
        clearTimeout(cut);
      })();
      return closed;
    },
  };
}

/** RFC 6455's registry: clients may connect again. */
const SERVICE_RESTART = 1012;

/** Upgraded connections are no longer the HTTP server's: it neither closes them nor ends before they do. */
function closeSockets(sockets: WebSocketServer, close: (socket: WebSocket) => void): void {
  for (const socket of sockets.clients) close(socket);
}

function bind(http: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException) => reject(addressError(error, port, host));
    http.once("error", fail);
    http.listen({ port, host }, () => {
      http.off("error", fail);
      resolve();
    });
  });
}

/** Keep-alive connections would hold a closing server open until their idle time is over: end each after its answer. */
function trackAnswers(http: Server): { readonly open: ReadonlySet<ServerResponse>; refuseReuse(): void } {
  const open = new Set<ServerResponse>();
  let closing = false;
  http.prependListener("request", (_request: IncomingMessage, response: ServerResponse) => {
    if (closing) response.shouldKeepAlive = false;
    open.add(response);
    response.once("close", () => {
      open.delete(response);
      // The connection counts as idle only after this event.
      if (closing) setImmediate(() => http.closeIdleConnections());
    });
  });
  return {
    open,
    refuseReuse() {
      closing = true;
      for (const response of open) response.shouldKeepAlive = false;
    },
  };
}

function addressError(error: NodeJS.ErrnoException, port: number, host: string): HeddleError {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: `Port ${port} on ${host} is in use. Stop the program that has it, or choose another with --port.`,
    EACCES: `Port ${port} on ${host} needs more rights. Choose one above 1023 with --port.`,
    EADDRNOTAVAIL: `${host} is not an address of this machine. Choose another with --host.`,
    ENOTFOUND: `The host ${host} is not known. Choose another with --host.`,
  };
  const message = reasons[error.code ?? ""] ?? `Can't listen on ${host}, port ${port}: ${error.message}`;
  return new HeddleError("CONFIG_INVALID", { message, details: { host, port, code: error.code }, cause: error });
}

function urlOf(host: string, address: AddressInfo): string {
  // A wildcard is no address to connect to.
  const name = host === "0.0.0.0" ? "127.0.0.1" : host === "::" || host === "" ? "[::1]" : host;
  return `http://${name.includes(":") && !name.startsWith("[") ? `[${name}]` : name}:${address.port}`;
}

/** True for an address that only this machine can reach. */
export function isLoopbackHost(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(host);
}
