import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP proxy that can play a broken network. */
export interface TcpProxy {
  readonly port: number;
  /** Bytes stop in both directions, connections stay open, new ones are accepted: a half-open network. */
  freeze(): void;
  /** All connections are reset and new ones refused at once: a partition that is noticed. */
  cut(): void;
  /** Forward again. What was frozen is reset, as a network that comes back does not remember it. */
  heal(): void;
  close(): Promise<void>;
}

/** @param target where to forward to, on 127.0.0.1 */
export async function startTcpProxy(target: { readonly port: number }): Promise<TcpProxy> {
  let mode: "forward" | "frozen" | "cut" = "forward";
  const pairs = new Set<readonly Socket[]>();
  const reset = (): void => {
    for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
    pairs.clear();
  };
  const server = createServer((incoming) => {
    incoming.on("error", () => undefined);
    if (mode === "cut") {
      incoming.resetAndDestroy();
      return;
    }
    const outgoing = connect(target.port, "127.0.0.1");
    const pair = [incoming, outgoing] as const;
    pairs.add(pair);
    const end = (): void => {
      pairs.delete(pair);
      incoming.destroy();
      outgoing.destroy();
    };
    const pass = (from: Socket, to: Socket): void => {
      from.on("error", end);
      from.on("close", end);
      from.on("data", (chunk) => {
        if (mode === "forward") to.write(chunk);
      });
    };
    pass(incoming, outgoing);
    pass(outgoing, incoming);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    freeze() {
      mode = "frozen";
    },
    cut() {
      mode = "cut";
      reset();
    },
    heal() {
      if (mode === "frozen") reset();
      mode = "forward";
    },
    async close() {
      reset();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
