import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly body: Record<string, unknown>;
}

/** A receiver of webhooks on 127.0.0.1. */
export interface Receiver {
  readonly url: string;
  readonly port: number;
  readonly received: readonly Received[];
  /** How it answers from now on. */
  answers(answer: (response: ServerResponse, count: number) => void): void;
  /** Waits for so many, at most 10 s. */
  got(count: number): Promise<readonly Received[]>;
  close(): Promise<void>;
}

/** @param at the port of one that was closed; default a free one */
export async function openReceiver(at = 0): Promise<Receiver> {
  const received: Received[] = [];
  let answer = (response: ServerResponse, _count: number): void => void response.writeHead(204).end();
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => void chunks.push(chunk));
    request.on("end", () => {
      const text = Buffer.concat(chunks).toString("utf8");
      const body = JSON.parse(text) as Record<string, unknown>;
      received.push({ path: request.url ?? "", headers: request.headers, text, body });
      answer(response, received.length);
    });
  });
  server.listen(at, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    received,
    answers: (next) => (answer = next),
    async got(count) {
      await until(() => received.length >= count);
      return received;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** Bounded: 25 s. What a process was sending that died is sent again when its lease is over. */
export async function until(isDone: () => boolean | Promise<boolean>): Promise<void> {
  for (let looks = 0; looks < 1_250; looks += 1) {
    if (await isDone()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("it did not happen within 25 s");
}
