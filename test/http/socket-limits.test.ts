import { once } from "node:events";
import { connect } from "node:net";
import { Auth } from "@langchain/langgraph-sdk/auth";
import { Hono } from "hono";
import { WebSocket } from "ws";
import { v7 } from "uuid";
import { describe, expect, test } from "vitest";
import { atEnd, closeAtEnd, listening, openImpatientApp } from "./listening.js";
import { as } from "./users.js";

closeAtEnd();

async function socketOf(url: string, threadId: string) {
  const socket = new WebSocket(`${url.replace("http", "ws")}/threads/${threadId}/stream/events`);
  atEnd(async () => socket.terminate());
  const closed = new Promise<number>((resolve) => socket.once("close", (code: number) => resolve(code)));
  const waiting: ((frame: Record<string, unknown>) => void)[] = [];
  const frames: Record<string, unknown>[] = [];
  socket.on("message", (data: Buffer) => {
    const frame = JSON.parse(data.toString()) as Record<string, unknown>;
    if (frame["type"] === "event") return;
    const next = waiting.shift();
    if (next === undefined) frames.push(frame);
    else next(frame);
  });
  await Promise.race([new Promise((resolve) => socket.once("open", resolve)), closed]);
  let id = 0;
  const send = (method: string, params: object) => {
    id += 1;
    socket.send(JSON.stringify({ id, method, params }));
    return new Promise<Record<string, unknown>>((resolve) => {
      const frame = frames.shift();
      if (frame === undefined) waiting.push(resolve);
      else resolve(frame);
    });
  };
  return { socket, send, closed };
}

const slow = (ms: number, steps = 1) => ({ assistant_id: "slow", input: { ms, steps } });

describe("WebSockets", () => {
  test("each command counts as a request", async () => {
    const app = await openImpatientApp({ limits: { requestsPerCaller: { perSecond: 0.1, burst: 4 } } });
    const url = await listening(app);
    // The thread and the connection are the first two.
    const { send } = await socketOf(url, v7());
    for (let i = 0; i < 3; i += 1) expect(await send("agent.getTree", {})).toMatchObject({ error: "no_such_run" });
    expect(await send("agent.getTree", {})).toMatchObject({
      type: "error",
      error: "permission_denied",
      message: expect.stringContaining("limits.requestsPerCaller") as string,
    });
  });

  test("a connection is one stream with its first subscription; each further one is one more", async () => {
    const app = await openImpatientApp({ limits: { streamsPerCaller: 2 } });
    const threadId = await app.newThread();
    const url = await listening(app);
    const one = await socketOf(url, threadId);
    const subscribe = (channel: string) => one.send("subscription.subscribe", { channels: [channel] });
    const first = await subscribe("lifecycle");
    expect(first["type"]).toBe("success");
    expect(await subscribe("values")).toMatchObject({ type: "success" });
    expect(await subscribe("updates")).toMatchObject({
      type: "error",
      message: expect.stringContaining("limits.streamsPerCaller") as string,
    });
    const refused = await socketOf(url, threadId);
    expect(await refused.closed).toBe(4429);
    const { subscription_id: id } = first["result"] as { subscription_id: string };
    expect(await one.send("subscription.unsubscribe", { subscription_id: id })).toMatchObject({ type: "success" });
    const two = await socketOf(url, threadId);
    expect(two.socket.readyState).toBe(two.socket.OPEN);
    one.socket.close();
    two.socket.close();
    await Promise.all([one.closed, two.closed]);
    const again = [await socketOf(url, threadId), await socketOf(url, threadId)];
    for (const { socket } of again) expect(socket.readyState).toBe(socket.OPEN);
  });

  test("subscriptions that are under way when the connection closes hold nothing", async () => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    let isSlow = false;
    let reads = 0;
    const auth = new Auth()
      .authenticate(() => "ann")
      .on("threads:read", async () => {
        reads += 1;
        if (!isSlow) return true;
        isSlow = false;
        asked.resolve();
        await answer.promise;
        return true;
      });
    const app = await openImpatientApp({ auth, limits: { streamsPerCaller: 3 } });
    const threadId = await app.newThread();
    await app.json("POST", `/threads/${threadId}/runs/wait`, slow(1));
    const [run] = (await app.json("GET", `/threads/${threadId}/runs`)).body as [{ run_id: string }];
    const { send, socket, closed } = await socketOf(await listening(app), threadId);
    const ids: string[] = [];
    for (const channel of ["values", "updates", "lifecycle"]) {
      const made = await send("subscription.subscribe", { channels: [channel] });
      const { subscription_id: id } = made["result"] as { subscription_id: string };
      await send("subscription.unsubscribe", { subscription_id: id });
      ids.push(id);
    }
    isSlow = true;
    void send("subscription.reconnect", { run_id: run.run_id, subscriptions: ids });
    await asked.promise;
    socket.terminate();
    await closed;
    const streams = async () => {
      const left = new AbortController();
      const opened: number[] = [];
      for (let i = 0; i < 3; i += 1) {
        const path = `/threads/${threadId}/stream`;
        opened.push((await app.request("GET", path, undefined, { signal: left.signal })).status);
      }
      left.abort();
      return opened.join();
    };
    // The server has seen it go.
    for (let i = 0; i < 100 && (await streams()) !== "200,200,200"; i += 1)
      await new Promise((resolve) => void setTimeout(resolve, 10));
    reads = 0;
    answer.resolve();
    for (let i = 0; i < 20; i += 1) await new Promise((resolve) => void setTimeout(resolve, 1));
    expect(reads).toBeLessThan(3);
    expect(await streams()).toBe("200,200,200");
  });

  test("a handshake that fails, or whose client has left, gives its stream back", async () => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    const auth = new Auth().authenticate(async (request) => {
      if (request.headers.get("x-slow") !== null) {
        asked.resolve();
        await answer.promise;
      }
      return "ann";
    });
    const app = await openImpatientApp({ auth, limits: { streamsPerCaller: 1 } });
    const ann = as(app, "ann");
    const { port } = new URL(await listening(app));
    const shakeHands = (headers: readonly string[]) => {
      const socket = connect(Number(port), "127.0.0.1");
      atEnd(async () => void socket.destroy());
      const told = once(socket, "data").then(([data]) => String(data).split("\r\n")[0]);
      const lines = ["host: x", "connection: upgrade", "upgrade: websocket"];
      socket.write(`GET /threads/${v7()}/stream/events HTTP/1.1\r\n${[...lines, ...headers].join("\r\n")}\r\n\r\n`);
      return { socket, told, closed: once(socket, "close") };
    };
    const isAdmitted = async () => {
      for (let i = 0; i < 100; i += 1) {
        const { status } = await ann("POST", "/runs/wait", slow(1));
        if (status === 200) return true;
        await new Promise((resolve) => void setTimeout(resolve, 10));
      }
      return false;
    };
    const withoutKey = shakeHands(["sec-websocket-version: 13"]);
    expect(await withoutKey.told).toContain("400");
    await withoutKey.closed;
    expect(await isAdmitted()).toBe(true);

    const left = shakeHands(["sec-websocket-version: 13", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", "x-slow: 1"]);
    left.told.catch(() => undefined);
    await asked.promise;
    left.socket.destroy();
    await left.closed;
    // The server has seen it go when it answers the next one.
    await app.request("GET", "/ok");
    answer.resolve();
    expect(await isAdmitted()).toBe(true);
  });

  test("messages are held to the depth of JSON", async () => {
    const app = await openImpatientApp({ limits: { maxJsonDepth: 10 } });
    const { send } = await socketOf(await listening(app), v7());
    let deep: object = {};
    for (let i = 0; i < 20; i += 1) deep = { deep };
    expect(await send("run.start", { assistant_id: "echo", input: deep })).toMatchObject({
      type: "error",
      message: expect.stringContaining("limits.maxJsonDepth") as string,
    });
  });
});

describe("a WebSocket behind a custom app's middleware", () => {
  test("is opened, answered and closed as without it", async () => {
    const around = new Hono().use(async (context, next) => {
      await next();
      context.header("x-custom", "around");
    });
    const app = await openImpatientApp({ http: { app: around }, limits: { streamsPerCaller: 1 } });
    const url = await listening(app);
    for (let i = 0; i < 2; i += 1) {
      const { send, socket, closed } = await socketOf(url, v7());
      expect(await send("agent.getTree", {})).toMatchObject({ error: "no_such_run" });
      socket.close();
      await closed;
    }
  });
});
