import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";

/** A reverse proxy that hands each request and each WebSocket to the next server in turn. */
export interface Balancer {
  readonly url: string;
  /** Requests that each server got. */
  readonly counts: readonly number[];
  close(): Promise<void>;
}

/** @param targets base URLs; requests are not repeated when one fails: 502 */
export async function startBalancer(targets: readonly string[]): Promise<Balancer> {
  const counts = targets.map(() => 0);
  let turn = 0;
  const toNext = (incoming: IncomingMessage) => {
    const index = turn++ % targets.length;
    counts[index] = (counts[index] ?? 0) + 1;
    return request(new URL(incoming.url ?? "/", targets[index]), {
      method: incoming.method,
      headers: incoming.headers,
      agent: false,
    });
  };
  const server = createServer((incoming, outgoing) => {
    const upstream = toNext(incoming);
    upstream.on("response", (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      outgoing.flushHeaders();
      response.pipe(outgoing);
      response.on("error", () => outgoing.destroy());
    });
    upstream.on("error", () => {
      if (outgoing.headersSent) outgoing.destroy();
      else outgoing.writeHead(502).end();
    });
    // A client that leaves must be seen to leave.
    outgoing.on("close", () => upstream.destroy());
    incoming.pipe(upstream);
  });
  const tunnels = new Set<Duplex>();
  server.on("upgrade", (incoming, client: Socket) => {
    const upstream = toNext(incoming);
    client.on("error", () => upstream.destroy());
    client.on("close", () => upstream.destroy());
    upstream.on("error", () => client.destroy());
    upstream.on("response", (response) => {
      // Not a switch of protocols: the server's answer as it is.
      client.write(head(response));
      response.pipe(client);
    });
    upstream.on("upgrade", (response, socket: Duplex, first: Buffer) => {
      client.write(head(response));
      client.write(first);
      for (const end of [client, socket]) {
        tunnels.add(end);
        end.on("close", () => tunnels.delete(end));
      }
      socket.on("error", () => client.destroy());
      socket.on("close", () => client.destroy());
      client.on("close", () => socket.destroy());
      socket.pipe(client).pipe(socket);
    });
    upstream.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    counts,
    async close() {
      server.closeAllConnections();
      for (const tunnel of tunnels) tunnel.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Status line and headers of an answer, for a connection that Node has handed over. */
function head(response: IncomingMessage): string {
  const headers = Array.from({ length: response.rawHeaders.length / 2 }, (_, index) =>
    response.rawHeaders.slice(index * 2, index * 2 + 2).join(": "),
  );
  return [`HTTP/1.1 ${response.statusCode} ${response.statusMessage}`, ...headers, "", ""].join("\r\n");
}
