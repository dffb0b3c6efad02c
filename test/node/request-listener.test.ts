import { once } from "node:events";
import { type IncomingMessage, type RequestListener, createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { nodeHandler } from "../../src/node/request-listener.js";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function serve(listener: RequestListener): Promise<string> {
  const http = createServer(listener).listen(0, "127.0.0.1");
  closers.push(() => {
    http.closeAllConnections();
    http.close();
  });
  await once(http, "listening");
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

const echo = { fetch: async (request: Request) => Response.json({ url: request.url, body: await request.text() }) };
const post = { method: "POST", headers: { "content-type": "application/json" }, body: `{"a":1}` };

/** Do to the request what frameworks do, then hand it on. */
function framework(change: (request: IncomingMessage) => Promise<void> | void): RequestListener {
  const handle = nodeHandler(echo);
  return (request, response) => {
    void Promise.resolve(change(request)).then(() => handle(request, response));
  };
}

describe("nodeHandler", () => {
  it("hands method, URL and body to fetch, and the answer back", async () => {
    const url = await serve(framework(() => {}));
    expect(await (await fetch(`${url}/a?b=1`, post)).json()).toEqual({ url: `${url}/a?b=1`, body: `{"a":1}` });
  });

  it("sees the whole URL where a router cut its mount path off", async () => {
    const url = await serve(
      framework((request) => void Object.assign(request, { originalUrl: request.url, url: "/b" })),
    );
    expect(await (await fetch(`${url}/agent/b`)).json()).toMatchObject({ url: `${url}/agent/b` });
  });

  it.each([
    ["an object", (text: string): unknown => JSON.parse(text)],
    ["a string", (text: string): unknown => text],
    ["bytes", (text: string): unknown => Buffer.from(text)],
  ])("writes a body out again that a parser has made %s of", async (_, parse) => {
    const url = await serve(
      framework(async (request) => {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk as Buffer);
        Object.assign(request, { body: parse(Buffer.concat(chunks).toString()) });
      }),
    );
    expect(await (await fetch(url, post)).json()).toMatchObject({ body: `{"a":1}` });
  });

  it("cancels the body stream of a client that leaves", async () => {
    const cancelled = Promise.withResolvers<void>();
    const endless = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode("data: 1\n\n")),
      cancel: () => cancelled.resolve(),
    });
    const handle = nodeHandler({ fetch: () => new Response(endless) });
    const url = await serve((request, response) => void handle(request, response));
    const sent = httpRequest(url).end();
    const [answer] = (await once(sent, "response")) as [IncomingMessage];
    await once(answer, "data");
    sent.destroy();
    await expect(cancelled.promise).resolves.toBeUndefined();
  });
});
