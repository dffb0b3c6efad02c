import { v7 } from "uuid";
import { WebSocket as Ws } from "ws";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../../src/app.js";
import { ANONYMOUS } from "../../../src/core/auth.js";
import { listen } from "../../../src/node/listen.js";
import * as graphs from "../../fixtures/graphs/index.js";
import { startServer, type TestServer } from "../../support/server.js";
import { command, openSocket, openSse } from "./thread-client.js";

let server: TestServer;
beforeAll(async () => {
  server = await startServer("memory");
});
afterAll(() => server.close());

const post = (path: string, body: string) =>
  fetch(`${server.url}${path}`, { method: "POST", headers: { "content-type": "application/json" }, body });

describe("a command that is none", () => {
  it.each([
    ["{", 400],
    ['{"method":"run.start"}', 400],
    ['{"id":"1","method":"run.start"}', 400],
    ['{"id":-1,"method":"run.start"}', 400],
    ['{"id":1.5,"method":"run.start"}', 400],
    ['{"id":1,"method":2}', 400],
    ['{"id":1,"method":"run.start","params":[]}', 400],
    ["[]", 400],
    ["null", 400],
  ])("%s is answered with %i over HTTP", async (body, status) => {
    const response = await post(`/threads/${v7()}/commands`, body);
    expect(response.status).toBe(status);
    const frame = (await response.json()) as Record<string, unknown>;
    expect(frame).toMatchObject(
      body === "{"
        ? { detail: "Malformed JSON in request body" }
        : { type: "error", id: null, error: "invalid_argument" },
    );
  });

  it("over a WebSocket is an error frame without an id, and the socket lives on", async () => {
    const socket = await openSocket(server.url, v7());
    const bad = socket.nextAnonymous();
    socket.sendText("{");
    expect(await bad).toEqual({
      type: "error",
      id: null,
      error: "invalid_argument",
      message: "Protocol commands must be valid JSON.",
    });
    const worse = socket.nextAnonymous();
    socket.sendText('{"id":"x","method":1}');
    expect(await worse).toMatchObject({
      id: null,
      message: "Protocol commands must include an integer id and string method.",
    });
    expect(await socket.command("state.get", { namespace: [] })).toMatchObject({ type: "error", error: "no_such_run" });
    socket.close();
  });

  it("a thread id that is no UUID is refused", async () => {
    const response = await post("/threads/abc/commands", '{"id":1,"method":"agent.getTree"}');
    expect(response.status).toBe(422);
    expect(JSON.stringify(await response.json())).toMatch(/thread_id/);
  });
});

describe("a command that cannot be carried out", () => {
  it.each([
    ["agent.dance", {}, "unknown_command", "Unknown protocol command: agent.dance"],
    ["__proto__", {}, "unknown_command", "Unknown protocol command: __proto__"],
    ["toString", {}, "unknown_command", "Unknown protocol command: toString"],
    ["run.start", {}, "invalid_argument", "run.start requires an assistant_id."],
    ["run.start", { assistant_id: 7 }, "invalid_argument", "run.start requires an assistant_id."],
    ["run.start", { assistant_id: "nobody", input: {} }, "invalid_argument", /No assistant found for "nobody"/],
    [
      "run.start",
      { assistant_id: "echo", webhook: "https://a.example/" },
      "invalid_argument",
      /run\.start takes no webhook/,
    ],
    ["input.respond", { interrupt_id: "i", webhook: "/a" }, "invalid_argument", /input\.respond takes no webhook/],
    [
      "input.inject",
      { message: { role: "user", content: "x" }, webhook: "/a" },
      "invalid_argument",
      /input\.inject takes no webhook/,
    ],
    ["state.fork", { checkpoint_id: "c", webhook: "/a" }, "invalid_argument", /state\.fork takes no webhook/],
    ["run.start", { assistant_id: "echo", config: 3 }, "invalid_argument", /config/],
    ["run.start", { assistant_id: "echo", multitaskStrategy: "maybe" }, "invalid_argument", /multitaskStrategy/],
    ["input.respond", {}, "invalid_argument", "input.respond requires an interrupt_id."],
    ["input.respond", { responses: [] }, "invalid_argument", "input.respond requires at least one response."],
    [
      "input.respond",
      { responses: [{ response: 1 }] },
      "invalid_argument",
      "input.respond responses entries require an interrupt_id.",
    ],
    [
      "input.respond",
      {
        responses: [
          { interrupt_id: "a", response: 1 },
          { interrupt_id: "a", response: 2 },
        ],
      },
      "invalid_argument",
      /twice/,
    ],
    ["input.respond", { interrupt_id: "a", response: 1, goto: 5 }, "invalid_argument", /goto/],
    ["input.respond", { interrupt_id: "a", response: 1 }, "no_such_run", /not found/],
    ["input.inject", { namespace: [] }, "invalid_argument", /message/],
    ["input.inject", { namespace: [], message: { role: "ai", content: "x" } }, "invalid_argument", /message.role/],
    ["input.inject", { namespace: [], message: { role: "user", content: "x" } }, "no_such_run", /not found/],
    ["state.get", { namespace: [] }, "no_such_run", /not found/],
    ["state.get", { namespace: "a" }, "invalid_argument", /namespace/],
    ["state.fork", {}, "invalid_argument", /checkpoint_id/],
    ["state.fork", { checkpoint_id: v7() }, "no_such_run", /not found/],
    ["state.listCheckpoints", { limit: 0 }, "invalid_argument", /limit/],
    ["agent.getTree", {}, "no_such_run", "No active run is bound to this thread."],
    ["agent.getTree", { run_id: "x" }, "no_such_run", /x/],
    ["agent.getTree", { run_id: v7() }, "no_such_run", /not found/],
    ["subscription.subscribe", { channels: ["values"] }, "not_supported", /WebSocket/],
  ])("%s %j is %s", async (method, params, error, message) => {
    const response = await command(server.url, v7(), method, params);
    expect(response).toMatchObject({ type: "error", error });
    expect(response["message"]).toMatch(message);
  });

  it("says on a WebSocket what is wrong with a subscription", async () => {
    const socket = await openSocket(server.url, v7());
    expect(await socket.command("subscription.subscribe", {})).toMatchObject({
      error: "invalid_argument",
      message: "subscription.subscribe requires a non-empty channels array.",
    });
    expect(await socket.command("subscription.subscribe", { channels: ["dreams"] })).toMatchObject({
      error: "invalid_argument",
      message: expect.stringMatching(/channels\[0\]/) as string,
    });
    expect(await socket.command("subscription.unsubscribe", {})).toMatchObject({ error: "invalid_argument" });
    expect(await socket.command("subscription.unsubscribe", { subscription_id: "s" })).toMatchObject({
      error: "no_such_subscription",
      message: "Unknown subscription: s",
    });
    expect(await socket.command("subscription.dance")).toMatchObject({ error: "unknown_command" });
    socket.close();
  });
});

describe("an event stream", () => {
  it.each([
    [{}, "channels"],
    [{ channels: [] }, "channels"],
    [{ channels: ["dreams"] }, "channels[0]"],
    [{ channels: ["values"], depth: -1 }, "depth"],
    [{ channels: ["values"], since: 1.5 }, "since"],
    [{ channels: ["values"], namespaces: ["a"] }, "namespaces[0]"],
  ])("refuses %j and names %s", async (body, field) => {
    const response = await post(`/threads/${v7()}/stream/events`, JSON.stringify(body));
    expect(response.status).toBe(422);
    expect(((await response.json()) as { detail: string }).detail).toContain(field);
  });

  it("is opened on a thread that is not there, and tells that it lives", async () => {
    const quick = await startServer("memory", { streaming: { heartbeatMs: 10 } });
    const response = await fetch(`${quick.url}/threads/${v7()}/stream/events`, {
      method: "POST",
      body: '{"channels":["values"],"extra":1}',
    });
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    for (let i = 0; i < 3; i += 1) expect((await reader?.read())?.value).toBe(": heartbeat\n\n");
    await reader?.cancel();
    await quick.close();
  });

  it.each([
    ["POST", "stream/events", '{"channels":["values"]}'],
    ["GET", "stream", undefined],
  ])("ends at once for a client that has left before it was opened: %s …/%s", async (method, path, body) => {
    const app = await createApp({ graphs: { ...graphs }, storage: "memory:", env: {}, logLevel: "error" });
    const { threadId } = await app.services.threads.create(ANONYMOUS, { ifExists: "raise" });
    const leaving = new AbortController();
    const request = new Request(`http://heddle/threads/${threadId}/${path}`, {
      method,
      ...(body !== undefined && { body }),
      signal: leaving.signal,
    });
    // Read before it leaves, as a server has it.
    const answering = app.fetch(request);
    leaving.abort();
    const response = await answering;
    expect(await response.text()).toBe("");
    await app.close();
  });

  it("without an upgrade is not found, and says what to do", async () => {
    const response = await fetch(`${server.url}/threads/${v7()}/stream/events`);
    expect(response.status).toBe(404);
    expect(((await response.json()) as { detail: string }).detail).toMatch(/Upgrade: websocket/);
  });

  it("over a WebSocket of a wrong thread id is closed with the status of HTTP", async () => {
    const socket = new WebSocket(`${server.url.replace("http", "ws")}/threads/abc/stream/events`);
    const closed = await new Promise<CloseEvent>((resolve) => socket.addEventListener("close", resolve));
    expect([closed.code, closed.reason]).toEqual([4422, expect.stringMatching(/thread_id/)]);
  });

  it("of a server that stops ends: SSE by its end, WebSockets with a code that clients retry", async () => {
    const app = await createApp({ graphs: { ...graphs }, storage: "memory:", env: {}, logLevel: "error" });
    const { url, close } = await listen(app, { port: 0 });
    const socket = await openSocket(url, v7());
    await socket.succeed("subscription.subscribe", { channels: ["values"] });
    const idle = await openSocket(url, v7());
    const stream = await openSse(url, v7(), { channels: ["values"] });
    await app.close();
    expect((await socket.closed).code).toBe(1012);
    expect((await idle.closed).code).toBe(1012);
    await expect(stream.events.until(() => false, "more")).rejects.toThrow("the stream ended before more");
    const before = performance.now();
    await close();
    expect(performance.now() - before).toBeLessThan(2_000);
  });

  it("is refused to pages of other origins, where origins are restricted", async () => {
    const closeCode = async (cors: object | false, origin: string | null) => {
      const strict = await startServer("memory", { http: { cors } });
      const url = `${strict.url.replace("http", "ws")}/threads/${v7()}/stream/events`;
      const own = strict.url;
      const socket = new Ws(url, origin === null ? {} : { origin: origin === "own" ? own : origin });
      const code = await new Promise<number>((resolve) => {
        socket.once("close", (closed) => resolve(closed));
        socket.once("open", () => setTimeout(() => socket.close(1000), 20));
      });
      await strict.close();
      return code;
    };
    const rules = { allowOrigins: ["https://good.example"] };
    expect(await closeCode(rules, "https://good.example")).toBe(1000);
    expect(await closeCode(rules, "https://evil.example")).toBe(4403);
    expect(await closeCode(rules, "own")).toBe(1000);
    expect(await closeCode(rules, null)).toBe(1000);
    expect(await closeCode(false, "https://good.example")).toBe(4403);
    expect(await closeCode(false, "own")).toBe(1000);
  });

  it("closes a socket that sends more than a request may hold", async () => {
    const socket = await openSocket(server.url, v7());
    socket.sendText(JSON.stringify({ id: 1, method: "x".repeat(21 * 1024 * 1024) }));
    expect((await socket.closed).code).toBe(1009);
  });
});
