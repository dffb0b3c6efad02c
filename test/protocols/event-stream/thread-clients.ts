import { afterAll } from "vitest";
import type { TestServer } from "../../support/server.js";
import { ALL, type Filter, type OpenSocket, type OpenStream, openSocket, openSse, succeed } from "./thread-client.js";

/** Clients of a server's threads, closed when the tests around this call are over. Call it after the server's own `afterAll`. */
export function threadClients(server: () => TestServer) {
  const open: OpenStream[] = [];
  afterAll(() => {
    for (const stream of open) stream.close();
  });
  return {
    async follow(threadId: string, body: Filter & { readonly since?: number } = ALL): Promise<OpenStream> {
      const stream = await openSse(server().url, threadId, body);
      open.push(stream);
      return stream;
    },
    async connect(threadId: string): Promise<OpenSocket> {
      const socket = await openSocket(server().url, threadId);
      open.push(socket);
      return socket;
    },
    start: (threadId: string, assistantId: string, input: unknown, params: object = {}) =>
      succeed<{ run_id: string }>(server().url, threadId, "run.start", { assistant_id: assistantId, input, ...params }),
  };
}
