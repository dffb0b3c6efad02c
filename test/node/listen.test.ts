import { request } from "node:http";
import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { HeddleError } from "../../src/core/errors.js";
import { type FetchServer, isLoopbackHost, type Listener, listen } from "../../src/node/listen.js";

const open: Listener[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((listener) => listener.close({ graceMs: 0 })));
});

async function start(fetch: FetchServer["fetch"]): Promise<Listener> {
  const listener = await listen({ fetch }, { port: 0 });
  open.push(listener);
  return listener;
}

/** A promise with its handles. */
function gate<T = void>() {
  return Promise.withResolvers<T>();
}

const text = new TextEncoder();

describe("listen", () => {
  it("takes a free port for port 0 and says how to reach it", async () => {
    const listener = await start(() => Response.json({ ok: true }));
    expect(listener.port).toBeGreaterThan(0);
    expect(listener.url).toBe(`http://127.0.0.1:${listener.port}`);
    const response = await fetch(`${listener.url}/ok`);
    expect(await response.json()).toEqual({ ok: true });
  });

  it("says that a port is in use, and the way out", async () => {
    const first = await start(() => new Response());
    const error = await listen({ fetch: () => new Response() }, { port: first.port }).catch(
      (caught: unknown) => caught,
    );
    expect(error).toBeInstanceOf(HeddleError);
    expect((error as HeddleError).code).toBe("CONFIG_INVALID");
    expect((error as HeddleError).message).toMatch(`Port ${first.port} on 127.0.0.1 is in use`);
    expect((error as HeddleError).message).toMatch("--port");
  });

  it("says that a host is not one of this machine", async () => {
    const attempt = listen({ fetch: () => new Response() }, { port: 0, host: "192.0.2.1" });
    await expect(attempt).rejects.toThrow(/192\.0\.2\.1 is not an address of this machine/);
  });

  it("cancels the body stream and aborts the request when a client leaves in the middle of a stream", async () => {
    const cancelled = gate();
    const aborted = gate();
    const { url } = await start((incoming) => {
      incoming.signal.addEventListener("abort", () => aborted.resolve());
      let sent = false;
      const body = new ReadableStream<Uint8Array>(
        {
          pull(controller) {
            if (sent) return new Promise<void>(() => {});
            sent = true;
            controller.enqueue(text.encode("event: values\n\n"));
            return undefined;
          },
          cancel: () => cancelled.resolve(),
        },
        { highWaterMark: 0 },
      );
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    });
    const client = new AbortController();
    const response = await fetch(url, { signal: client.signal });
    await response.body?.getReader().read();
    const left = performance.now();
    client.abort();
    await Promise.all([cancelled.promise, aborted.promise]);
    expect(performance.now() - left).toBeLessThan(500);
  });

  it("aborts the request when a client leaves before the answer", async () => {
    const arrived = gate();
    const aborted = gate();
    const { url } = await start(async (incoming) => {
      await incoming.json();
      incoming.signal.addEventListener("abort", () => aborted.resolve());
      arrived.resolve();
      await aborted.promise;
      return new Response();
    });
    const client = new AbortController();
    const call = fetch(url, { method: "POST", body: "{}", signal: client.signal }).catch(() => "aborted");
    await arrived.promise;
    client.abort();
    await aborted.promise;
    expect(await call).toBe("aborted");
  });

  it("sends the head of a stream before its first event", async () => {
    const first = gate();
    const { url } = await start(() => {
      const body = new ReadableStream<Uint8Array>(
        {
          async pull(controller) {
            await first.promise;
            controller.enqueue(text.encode("x"));
            controller.close();
          },
        },
        { highWaterMark: 0 },
      );
      return new Response(body, { headers: { "content-location": "/runs/1" } });
    });
    const response = await fetch(url);
    expect(response.headers.get("content-location")).toBe("/runs/1");
    first.resolve();
    expect(await response.text()).toBe("x");
  });

  it("delivers a 413 to a client that goes on sending, and stays usable", async () => {
    const { url, port } = await start((incoming) =>
      Number(incoming.headers.get("content-length")) > 1_000
        ? new Response('{"detail":"Request body too large"}', { status: 413 })
        : new Response("small"),
    );
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const upload = request({ port, host: "127.0.0.1", method: "POST", headers: { "content-length": 8_000_000 } });
      upload.on("response", (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      upload.on("error", reject);
      upload.end(Buffer.alloc(8_000_000));
    });
    expect(status).toBe(413);
    expect(await (await fetch(url, { method: "POST", body: "x" })).text()).toBe("small");
  });

  it("answers a broken request with 400 and lives on", async () => {
    const { url, port } = await start(() => new Response("fine"));
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(port, "127.0.0.1", () => socket.write("GET / HTTP/1.1\r\nHost: a b c\r\n\r\n"));
      socket.once("data", (data) => {
        resolve(data.toString());
        socket.destroy();
      });
      socket.once("error", reject);
    });
    expect(answer).toMatch(/^HTTP\/1\.1 400/);
    expect(await (await fetch(url)).text()).toBe("fine");
  });
});

describe("close", () => {
  it("lets an answer under way finish, takes no new connections, and does not wait for idle ones", async () => {
    const arrived = gate();
    const go = gate();
    const listener = await start(async (incoming) => {
      if (!incoming.url.endsWith("/slow")) return new Response("idle");
      arrived.resolve();
      await go.promise;
      return new Response("finished");
    });
    await (await fetch(`${listener.url}/idle`)).text();
    const slow = fetch(`${listener.url}/slow`);
    await arrived.promise;
    const closing = listener.close({ graceMs: 10_000 });
    await expect(fetch(`${listener.url}/new`)).rejects.toThrow("fetch failed");
    go.resolve();
    expect(await (await slow).text()).toBe("finished");
    await closing;
  });

  it("cuts off what outlasts the grace, and tells the stream", async () => {
    const cancelled = gate();
    const listener = await start(
      () =>
        new Response(
          new ReadableStream({ pull: () => new Promise<void>(() => {}), cancel: () => cancelled.resolve() }),
        ),
    );
    const response = await fetch(listener.url);
    const body = response.text();
    body.catch(() => {});
    await listener.close({ graceMs: 1 });
    await expect(body).rejects.toThrow("terminated");
    await cancelled.promise;
  });

  it("may be called twice", async () => {
    const listener = await start(() => new Response());
    await Promise.all([listener.close(), listener.close()]);
    await expect(listener.close()).resolves.toBeUndefined();
  });
});

describe("fast responses", () => {
  it("leave instanceof true for what fetch returns and for subclasses of the user's", async () => {
    const { url } = await start(() => new Response("x"));
    const response = await fetch(url);
    expect(response instanceof Response).toBe(true);
    expect(new Response("x") instanceof Response).toBe(true);
    expect(new Request(url) instanceof Request).toBe(true);
    class Mine extends Response {}
    expect(response instanceof Mine).toBe(false);
    expect(new Mine("x") instanceof Mine).toBe(true);
    expect(await new Mine("mine").text()).toBe("mine");
  });
});

describe("isLoopbackHost", () => {
  it.each(["127.0.0.1", "127.8.9.1", "localhost", "::1", "[::1]"])("%s is", (host) => {
    expect(isLoopbackHost(host)).toBe(true);
  });
  it.each(["0.0.0.0", "::", "192.168.1.4", "example.com", "127.example.com", ""])("%s is not", (host) => {
    expect(isLoopbackHost(host)).toBe(false);
  });
});
