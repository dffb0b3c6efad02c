import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";

/** A reverse proxy that hands each request to the next server in turn. */
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
  const server = createServer((incoming, outgoing) => {
    const index = turn++ % targets.length;
    counts[index] = (counts[index] ?? 0) + 1;
    const upstream = request(
      new URL(incoming.url ?? "/", targets[index]),
      { method: incoming.method, headers: incoming.headers, agent: false },
      (response) => {
        outgoing.writeHead(response.statusCode ?? 502, response.headers);
        outgoing.flushHeaders();
        response.pipe(outgoing);
        response.on("error", () => outgoing.destroy());
      },
    );
    upstream.on("error", () => {
      if (outgoing.headersSent) outgoing.destroy();
      else outgoing.writeHead(502).end();
    });
    // A client that leaves must be seen to leave.
    outgoing.on("close", () => upstream.destroy());
    incoming.pipe(upstream);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    counts,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
