import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A proxy before a server that loses answers: the server has done what it was asked, and the client does not learn of it. */
export interface LossyProxy {
  /** The given URI, through this proxy. */
  readonly uri: string;
  /**
   * An answer on each open connection is lost, with the connection. Connections that are opened later work.
   * @param after so many others
   */
  loseAnswer(after?: number): void;
  /** Connections that are open now are half-open from now on: nothing arrives any more, and nobody is told. */
  halfOpen(): void;
  /** What connections that are opened later ask is not sent on before. */
  holdConnections(until: Promise<unknown>): void;
  /** How many answers were lost. */
  readonly lost: number;
  close(): Promise<void>;
}

export async function startLossyProxy(uri: string): Promise<LossyProxy> {
  const target = new URL(uri);
  const answersLeft = new Map<Socket, number>();
  const open = new Set<Socket>();
  const deaf = new WeakSet<Socket>();
  let lost = 0;
  let held: Promise<unknown> | null = null;
  const server = createServer((incoming) => {
    const outgoing = connect(Number(target.port), target.hostname);
    const end = (): void => {
      open.delete(incoming);
      answersLeft.delete(incoming);
      incoming.destroy();
      outgoing.destroy();
    };
    open.add(incoming);
    incoming.on("data", (chunk) => {
      if (!deaf.has(incoming)) outgoing.write(chunk);
    });
    if (held !== null) {
      incoming.pause();
      const resume = (): void => void incoming.resume();
      held.then(resume, resume);
    }
    outgoing.on("data", (chunk) => {
      if (deaf.has(incoming)) return;
      const left = answersLeft.get(incoming) ?? Number.POSITIVE_INFINITY;
      if (left > 0) {
        answersLeft.set(incoming, left - 1);
        incoming.write(chunk);
      } else {
        lost += 1;
        end();
      }
    });
    for (const socket of [incoming, outgoing]) socket.on("error", end).on("close", end);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const proxied = new URL(uri);
  proxied.port = String((server.address() as AddressInfo).port);
  return {
    uri: proxied.href,
    loseAnswer(after = 0) {
      for (const socket of open) answersLeft.set(socket, after);
    },
    halfOpen() {
      for (const socket of open) deaf.add(socket);
    },
    holdConnections(until) {
      held = until;
    },
    get lost() {
      return lost;
    },
    async close() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
