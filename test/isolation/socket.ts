import { EventEmitter, once } from "node:events";
import { WebSocket } from "ws";

/** A WebSocket and what came over it. */
export interface Socket {
  /** Response frames and events, as they came. */
  readonly frames: readonly string[];
  /** `null` while it is open. */
  readonly closed: () => { readonly code: number; readonly reason: string } | null;
  /** Send a command. @returns its response frame; `null` when the socket was closed instead */
  command(method: string, params: object): Promise<string | null>;
  close(): void;
}

/** Resolves once it is open, which one that is refused is for a moment, too. */
export async function openSocket(url: string, headers: Readonly<Record<string, string>>): Promise<Socket> {
  const socket = new WebSocket(url.replace(/^http/, "ws"), { headers: { ...headers } });
  const frames: string[] = [];
  let closed: { code: number; reason: string } | null = null;
  // oxlint-disable-next-line unicorn/prefer-event-target -- `once` of node:events
  const changes = new EventEmitter();
  socket.on("message", (data: Buffer) => {
    frames.push(data.toString());
    changes.emit("change");
  });
  socket.on("close", (code: number, reason: Buffer) => {
    closed = { code, reason: reason.toString() };
    changes.emit("change");
  });
  await once(socket, "open");
  let id = 0;
  return {
    frames,
    closed: () => closed,
    async command(method, params) {
      id += 1;
      const mine = `"id":${id},`;
      if (socket.readyState === socket.OPEN) socket.send(JSON.stringify({ id, method, params }));
      for (;;) {
        const frame = frames.find((one) => one.startsWith('{"type":"') && one.slice(0, 40).includes(mine));
        if (frame !== undefined) return frame;
        if (closed !== null) return null;
        await once(changes, "change");
      }
    },
    close: () => socket.terminate(),
  };
}
