import type { Socket } from "node:net";
import type { Context } from "hono";
import type { WebSocket } from "ws";
import { HeddleError } from "../core/errors.js";

/** A WebSocket that a client has opened. */
export interface UpgradedSocket {
  /** Bytes that were sent and that the peer has not taken yet. */
  readonly bufferedBytes: number;
  /** @param onSent called when the operating system has taken the frame, or the socket is closed */
  send(text: string, onSent?: () => void): void;
  ping(): void;
  /** @param code 1000 to 4999; @param reason cut to what a close frame holds */
  close(code: number, reason: string): void;
  /** Drop the connection without a word. */
  terminate(): void;
  /** Stop and go on taking what the peer sends. */
  pause(): void;
  resume(): void;
}

/** What happens on a WebSocket. */
export interface SocketHandler {
  onOpen(socket: UpgradedSocket): void;
  /** One message; bytes are read as UTF-8 (docs/wire/langgraph-api.md §4.7). */
  onMessage(text: string): void;
  /** The peer has answered a ping. */
  onPong(): void;
  /** Called once, whoever closed it, also when it never opened. */
  onClose(): void;
}

/** The reason in a close frame has at most this many bytes (RFC 6455 §5.5). */
const MAX_REASON_BYTES = 123;

export function isUpgrade(request: Request): boolean {
  return request.headers.get("upgrade")?.toLowerCase() === "websocket";
}

/**
 * Turn a request into a WebSocket. Works where @hono/node-server 2 serves the app with a `websocket.server`: `listen`, and
 * apps that Heddle is mounted in and that are served that way.
 * @throws HeddleError `UNSUPPORTED_OPTION` where it is served otherwise
 */
export async function upgrade(context: Context, handler: SocketHandler): Promise<Response> {
  // Only here: who serves on another runtime does not have it.
  const { upgradeWebSocket } = await import("@hono/node-server");
  let opened = false;
  const response = await upgradeWebSocket(context, {
    onOpen(_, { raw }) {
      opened = true;
      const socket = raw as WebSocket;
      socket.on("pong", () => handler.onPong());
      handler.onOpen(wrap(socket));
    },
    onMessage({ data }) {
      handler.onMessage(typeof data === "string" ? data : new TextDecoder().decode(data as ArrayBuffer));
    },
    onClose: () => handler.onClose(),
    // `close` follows.
    onError: () => undefined,
  });
  // @hono/node-server 2.1.8: 500 when the server has no WebSocketServer.
  if (response.status === 500) {
    throw new HeddleError("UNSUPPORTED_OPTION", {
      message: "This server takes no WebSockets. Serve Heddle with listen(), or use POST …/stream/events.",
    });
  }
  // Of a handshake that fails afterwards, or whose client has left, @hono/node-server 2.1.8 says nothing.
  const socket = socketOf(context);
  const over = (): void => {
    if (!opened) handler.onClose();
  };
  if (socket?.destroyed === true) over();
  else socket?.once("close", over);
  return response;
}

/** A request's connection, where @hono/node-server serves it. */
export function socketOf(context: Context): Socket | undefined {
  const { incoming } = (context.env ?? {}) as { readonly incoming?: { readonly socket?: Socket } };
  return incoming?.socket;
}

function wrap(socket: WebSocket): UpgradedSocket {
  return {
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
    send(text, onSent) {
      if (onSent === undefined) socket.send(text);
      else socket.send(text, () => onSent());
    },
    ping() {
      if (socket.readyState === socket.OPEN) socket.ping();
    },
    close: (code, reason) => socket.close(code, shortReason(reason)),
    terminate: () => socket.terminate(),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
  };
}

function shortReason(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.byteLength <= MAX_REASON_BYTES) return reason;
  // A character that was cut in two would make the frame invalid.
  return new TextDecoder().decode(bytes.subarray(0, MAX_REASON_BYTES - 3)).replace(/\ufffd+$/, "");
}

/**
 * Refuse a WebSocket so that a client can read why: accepted, then closed with 4000 + the HTTP status, which the SDK takes as
 * it takes the status (docs/wire/langgraph-api.md §4.7).
 * @param refusal whose body's `detail` becomes the reason; it is the answer where no WebSockets are served
 */
export async function refuseUpgrade(context: Context, refusal: Response): Promise<Response> {
  try {
    const { detail = "" } = (await refusal.clone().json()) as { readonly detail?: string };
    return await upgrade(context, {
      onOpen: (socket) => socket.close(4000 + refusal.status, detail),
      onMessage: () => undefined,
      onPong: () => undefined,
      onClose: () => undefined,
    });
  } catch {
    return refusal;
  }
}
