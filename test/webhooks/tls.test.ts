import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type SendOptions, sendRequest } from "../../src/webhooks/send-request.js";

const pem = (name: string): string => readFileSync(new URL(`../fixtures/tls/${name}.pem`, import.meta.url), "utf8");
const CA = pem("cert");
const LOOPBACK = { loopback: true, privateNetworks: false };

let server: Server;
let port: number;
let received: {
  readonly servername: string | false | null;
  readonly host: string | undefined;
  readonly text: string;
}[];
beforeAll(async () => {
  server = createServer({ key: pem("key"), cert: CA }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => void chunks.push(chunk));
    request.on("end", () => {
      const { servername } = request.socket as TLSSocket;
      received.push({ servername, host: request.headers.host, text: Buffer.concat(chunks).toString("utf8") });
      response.writeHead(204).end();
    });
  });
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ({ port } = server.address() as AddressInfo);
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});
beforeEach(() => void (received = []));

function send(hostname: string, options: Partial<SendOptions> = {}) {
  const request = { url: `https://${hostname}:${port}/in?token=s3cret`, headers: { "x-a": "b" }, body: '{"a":"ä"}' };
  const resolve = async () => [{ address: "127.0.0.1", family: 4 }];
  return sendRequest(request, { addresses: LOOPBACK, timeoutMs: 5_000, resolve, ...options });
}

describe("a receiver behind TLS", () => {
  it("is reached at the address that was checked, under its own name", async () => {
    expect(await send("receiver.example", { ca: CA })).toEqual({
      kind: "answered",
      statusCode: 204,
      retryAfter: null,
    });
    expect(received).toEqual([{ servername: "receiver.example", host: `receiver.example:${port}`, text: '{"a":"ä"}' }]);
  });

  it.each([
    ["whose certificate nobody vouches for", "receiver.example", {}, "DEPTH_ZERO_SELF_SIGNED_CERT"],
    ["whose certificate is of another name", "another.example", { ca: CA }, "ERR_TLS_CERT_ALTNAME_INVALID"],
    ["whose certificate is of no address", "127.0.0.1", { ca: CA }, "ERR_TLS_CERT_ALTNAME_INVALID"],
  ])("%s hears nothing", async (_, hostname, options, code) => {
    const answer = await send(hostname, options);
    expect(answer).toEqual({ kind: "failed", error: expect.stringContaining(code) as string });
    expect(JSON.stringify(answer)).not.toContain("s3cret");
    expect(received).toEqual([]);
  });

  it("is not even greeted where its address is not allowed", async () => {
    let connections = 0;
    const count = (): void => void (connections += 1);
    server.on("connection", count);
    const answer = await send("receiver.example", { ca: CA, addresses: { loopback: false, privateNetworks: false } });
    server.off("connection", count);
    expect(answer).toMatchObject({ kind: "failed", error: expect.stringContaining("public internet") as string });
    expect(connections).toBe(0);
  });
});
