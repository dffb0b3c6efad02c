import type { Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

/** What a server lets a connection do before an app sees its request, and while it takes the answer. */
export interface ConnectionLimits {
  /** All headers of a request, its line included; 431. */
  readonly maxHeaderBytes: number;
  /** The headers must be there within this time; 408. */
  readonly headersTimeoutMs: number;
  /** The whole request must be there within this time; 408. */
  readonly requestTimeoutMs: number;
  /** A client that has taken nothing of its answer for so long is cut off. */
  readonly stalledMs: number;
}

/** Node looks for requests that take too long this often, unless their time is shorter. */
const CHECK_EVERY_MS = 5_000;

/** The same in Node's words. */
export function serverOptionsOf(limits: ConnectionLimits) {
  const { headersTimeoutMs, requestTimeoutMs } = limits;
  return {
    maxHeaderSize: limits.maxHeaderBytes,
    // Node refuses a request that may take less time than its headers.
    headersTimeout: Math.min(headersTimeoutMs, requestTimeoutMs),
    requestTimeout: requestTimeoutMs,
    connectionsCheckingInterval: Math.max(10, Math.min(CHECK_EVERY_MS, Math.floor(headersTimeoutMs / 2))),
  };
}

/**
 * Answer what Node's parser refuses as the app would, with a `detail`, and cut off clients that stop taking their answer: a body
 * is only pulled as the socket takes it, so nothing else would notice them.
 * @param open answers under way
 */
export function refuseBadRequests(http: Server, open: ReadonlySet<ServerResponse>, limits: ConnectionLimits): void {
  http.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    if (isAnswering(socket, open) || !socket.writable || error.code === "ECONNRESET") socket.destroy();
    else refuse(socket, ...refusalOf(error.code, limits));
  });
  http.timeout = limits.stalledMs;
  http.prependListener("request", (_request, response: ServerResponse) => {
    // With a listener Node leaves the socket to it.
    response.on("timeout", () => {
      const { socket } = response;
      if (socket === null) return;
      if (socket.writableLength > 0) socket.destroy();
      else socket.setTimeout(limits.stalledMs);
    });
  });
}

function isAnswering(socket: Duplex, open: ReadonlySet<ServerResponse>): boolean {
  for (const response of open) if (response.socket === socket && response.headersSent) return true;
  return false;
}

type Refusal = readonly [status: string, detail: string];

function refusalOf(code: string | undefined, limits: ConnectionLimits): Refusal {
  if (code === "HPE_HEADER_OVERFLOW") {
    const detail = `Request headers too large: at most ${limits.maxHeaderBytes} bytes with the request line (limits.maxHeaderBytes)`;
    return ["431 Request Header Fields Too Large", detail];
  }
  if (code === "HPE_CHUNK_EXTENSIONS_OVERFLOW") return ["413 Payload Too Large", "Chunk extensions too large"];
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") {
    const { headersTimeoutMs, requestTimeoutMs } = limits;
    const detail = `The request took too long: its headers may take ${headersTimeoutMs} ms, all of it ${requestTimeoutMs} ms (limits.headersTimeoutMs, limits.requestTimeoutMs)`;
    return ["408 Request Timeout", detail];
  }
  return ["400 Bad Request", "The request is not valid HTTP"];
}

/** Answer a connection that no app answers, and end it. @param status with its reason: `400 Bad Request` */
export function refuse(socket: Duplex, status: string, detail: string): void {
  const body = JSON.stringify({ detail });
  const head = `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
  socket.end(head + body, () => socket.destroy());
}
