import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Hono } from "hono";
import { afterEach, describe, expect, it } from "vitest";
import { apiKey } from "../../src/auth/api-key.js";
import type { AppOptions } from "../../src/config/options.js";
import { listen } from "../../src/node/listen.js";
import { framesOf, type HttpApp, openHttpApp } from "./app.js";
import type { Row } from "./users.js";

const closers: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const open = (options: Partial<AppOptions> = {}) => openHttpApp({ auth: apiKey({ cacheMs: 0 }), ...options });

async function user(app: HttpApp, identity: string, permissions: readonly string[] = ["*"]) {
  const { secret, key } = await app.apiKeys.create({ identity, permissions });
  const headers = { "x-api-key": secret };
  const send = async (method: string, path: string, body?: unknown) => {
    const response = await app.request(method, path, body, { headers });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: (text === "" ? null : JSON.parse(text)) as Row };
  };
  /** A ticket's text. */
  const ticket = async (threadId?: string) =>
    String((await send("POST", "/auth/tickets", threadId === undefined ? {} : { thread_id: threadId })).body["ticket"]);
  /** A thread with a run that has ended. */
  const ran = async () => {
    const threadId = String((await send("POST", "/threads", {})).body["thread_id"]);
    const body = { assistant_id: "counter", input: { n: 1 }, stream_resumable: true };
    const run = await send("POST", `/threads/${threadId}/runs`, body);
    const runId = String(run.body["run_id"]);
    await send("GET", `/threads/${threadId}/runs/${runId}/join`);
    return { threadId, runId, stream: `/threads/${threadId}/runs/${runId}/stream?last_event_id=-1` };
  };
  return { send, ticket, ran, key };
}

/** As an EventSource: a GET without headers. */
async function read(app: HttpApp, path: string) {
  const response = await app.request("GET", path);
  return { status: response.status, text: await response.text() };
}

describe("a stream ticket", () => {
  it("opens one stream as the caller, once, and is in no log", async () => {
    const app = await open();
    const ada = await user(app, "ada");
    const { threadId, stream } = await ada.ran();
    const before = Date.now();
    const issued = await ada.send("POST", "/auth/tickets", { thread_id: threadId });
    expect(issued.status).toBe(200);
    expect(issued.headers.get("cache-control")).toBe("no-store");
    expect(issued.body).toEqual({
      ticket: expect.stringMatching(/^hdt_[\w-]{43}$/) as string,
      expires_at: expect.any(String) as string,
      thread_id: threadId,
    });
    const ttlMs = Date.parse(String(issued.body["expires_at"])) - before;
    expect(ttlMs).toBeGreaterThan(0);
    expect(ttlMs).toBeLessThanOrEqual(60_000);
    const ticket = String(issued.body["ticket"]);
    expect((await read(app, stream)).status).toBe(401);
    const first = await read(app, `${stream}&ticket=${ticket}`);
    expect(first.status).toBe(200);
    expect(framesOf(first.text).map(({ event }) => event)).toContain("values");
    const replayed = await read(app, `${stream}&ticket=${ticket}`);
    expect(replayed.status).toBe(401);
    expect(replayed.text).toMatch(/used before/);
    expect(JSON.stringify(app.log)).not.toContain("hdt_");
    expect(first.text).not.toContain("hdt_");
  });

  it("goes on where another one broke off", async () => {
    const app = await open();
    const ada = await user(app, "ada");
    const { threadId, stream } = await ada.ran();
    const runs = async (after: string) =>
      framesOf((await read(app, `${stream.replace("=-1", `=${after}`)}&ticket=${await ada.ticket()}`)).text);
    const all = await runs("-1");
    const middle = all.findIndex(({ id }) => id !== undefined);
    expect(await runs(all[middle]?.id ?? "")).toEqual(all.slice(middle + 1));
    // A thread's stream takes its position from the query, too, and the header wins.
    const ofThread = `/threads/${threadId}/stream?last_event_id=x`;
    expect((await read(app, `${ofThread}&ticket=${await ada.ticket()}`)).status).toBe(422);
    const url = `${ofThread}&ticket=${await ada.ticket()}`;
    const response = await app.request("GET", url, undefined, { headers: { "last-event-id": "-" } });
    expect(response.status).toBe(200);
    await response.body?.cancel();
  });

  it("is given to one of many who use it at the same time", async () => {
    const app = await open();
    const ada = await user(app, "ada");
    const { stream } = await ada.ran();
    const ticket = await ada.ticket();
    const answers = await Promise.all(Array.from({ length: 10 }, () => read(app, `${stream}&ticket=${ticket}`)));
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([
      200,
      ...Array.from({ length: 9 }, () => 401),
    ]);
  });

  it("opens no other thread's streams than it was asked for, and nothing that its caller may not see", async () => {
    const app = await open();
    const [ada, bob] = [await user(app, "ada"), await user(app, "bob")];
    const [one, two] = [await ada.ran(), await ada.ran()];
    expect((await read(app, `${two.stream}&ticket=${await ada.ticket(one.threadId)}`)).status).toBe(401);
    expect((await read(app, `/runs/${one.runId}/stream?ticket=${await ada.ticket(one.threadId)}`)).status).toBe(401);
    expect((await read(app, `${one.stream}&ticket=${await ada.ticket()}`)).status).toBe(200);
    // §7.5: a hidden thread's stream is one that is missing.
    const others = await read(app, `${one.stream}&ticket=${await bob.ticket()}`);
    expect(others.text).not.toContain("values");
    expect((await bob.send("POST", "/auth/tickets", { thread_id: one.threadId })).status).toBe(404);
    const none = await user(app, "ada", []);
    expect((await none.send("POST", "/auth/tickets", { thread_id: one.threadId })).status).toBe(403);
    expect((await read(app, `${one.stream}&ticket=${await none.ticket()}`)).text).not.toContain("values");
  });

  it("opens streams and nothing else", async () => {
    const app = await open();
    const ada = await user(app, "ada");
    const { threadId, runId } = await ada.ran();
    const ticket = await ada.ticket();
    const others: readonly (readonly [string, string])[] = [
      ["GET", `/threads/${threadId}`],
      ["GET", `/threads/${threadId}/state`],
      ["GET", `/threads/${threadId}/runs/${runId}`],
      ["GET", `/threads/${threadId}/runs/${runId}/join`],
      ["GET", "/store/items?namespace=ada&key=k"],
      ["POST", `/threads/${threadId}/runs/stream`],
      ["POST", `/threads/${threadId}/stream/events`],
      ["DELETE", `/threads/${threadId}`],
      ["POST", "/auth/tickets"],
    ];
    for (const [method, path] of others) {
      const url = `${path}${path.includes("?") ? "&" : "?"}ticket=${ticket}`;
      expect([method, path, (await app.request(method, url, method === "GET" ? undefined : {})).status]).toEqual([
        method,
        path,
        401,
      ]);
    }
    expect((await app.request("POST", "/auth/tickets", {})).status).toBe(401);
    // It has not been used up by them.
    expect((await read(app, `/threads/${threadId}/runs/${runId}/stream?ticket=${ticket}`)).status).toBe(200);
  });

  it("is left to authenticate when it is none of ours", async () => {
    const app = await open();
    const { stream } = await (await user(app, "ada")).ran();
    for (const ticket of ["", "abc", "hdt_", `hdt_${"a".repeat(44)}`, "hdt_' OR 1=1", "%00", "__proto__"]) {
      const { status, text } = await read(app, `${stream}&ticket=${encodeURIComponent(ticket)}`);
      expect([ticket, status]).toEqual([ticket, 401]);
      expect(text).toMatch(/Send an API key/);
    }
    expect((await read(app, `${stream}&ticket=hdt_${"a".repeat(43)}`)).text).toMatch(/ticket is unknown/);
  });

  it("holds for the process that it is shown to, whichever issued it", async () => {
    const dir = mkdtempSync(join(tmpdir(), "heddle-tickets-"));
    closers.push(() => rmSync(dir, { recursive: true, force: true }));
    const storage = `sqlite:${join(dir, "heddle.db")}`;
    const [a, b] = [await open({ storage }), await open({ storage })];
    const ada = await user(a, "ada");
    const { stream } = await ada.ran();
    const ticket = await ada.ticket();
    expect((await read(b, `${stream}&ticket=${ticket}`)).status).toBe(200);
    for (const app of [a, b]) expect((await read(app, `${stream}&ticket=${ticket}`)).status).toBe(401);
  });

  it("works under a base path, and mounted in another app", async () => {
    const app = await open({ http: { basePath: "/agent" } });
    const parent = new Hono().route("/outer", app.app);
    const { secret } = await app.apiKeys.create({ identity: "ada", permissions: ["*"] });
    const at = "/outer/agent";
    const post = async (path: string, body: object) => {
      const init = { method: "POST", headers: { "x-api-key": secret }, body: JSON.stringify(body) };
      return (await (await parent.request(`${at}${path}`, init)).json()) as Row;
    };
    const { thread_id: threadId } = await post("/threads", {});
    await post(`/threads/${String(threadId)}/runs/wait`, { assistant_id: "counter", input: {} });
    const [run] = (await (
      await parent.request(`${at}/threads/${String(threadId)}/runs`, { headers: { "x-api-key": secret } })
    ).json()) as [Row];
    const { ticket } = await post("/auth/tickets", { thread_id: threadId });
    const url = `${at}/threads/${String(threadId)}/runs/${String(run["run_id"])}/stream?ticket=${String(ticket)}`;
    expect((await parent.request(url)).status).toBe(200);
    expect((await parent.request(url)).status).toBe(401);
  });

  it("is given and taken as well where nobody is asked who they are", async () => {
    const app = await openHttpApp();
    const threadId = await app.newThread();
    const run = await app.json("POST", `/threads/${threadId}/runs`, { assistant_id: "counter", input: {} });
    const { ticket } = (await app.json("POST", "/auth/tickets", {})).body as { ticket: string };
    const runId = String((run.body as Row)["run_id"]);
    expect((await read(app, `/threads/${threadId}/runs/${runId}/stream?ticket=${ticket}`)).status).toBe(200);
  });

  it("refuses a body that names no thread, and is described", async () => {
    const app = await open();
    const ada = await user(app, "ada");
    for (const body of [{ thread_id: "x" }, { thread_id: 1 }, []]) {
      expect((await ada.send("POST", "/auth/tickets", body)).status).toBe(422);
    }
    const document = (await app.json("GET", "/openapi.json")).body as { paths: Row };
    expect(document.paths).toHaveProperty(["/auth/tickets", "post"]);
  });
});

describe("a WebSocket", () => {
  async function connect(url: string): Promise<{ readonly code: number; readonly reason: string } | "open"> {
    const socket = new WebSocket(url);
    closers.push(() => socket.close());
    return new Promise((resolve) => {
      socket.addEventListener("close", ({ code, reason }) => resolve({ code, reason }));
      socket.addEventListener("message", () => resolve("open"));
      socket.addEventListener("open", () => socket.send("not JSON: it is answered with an error frame"));
    });
  }

  it("is opened by a ticket, once, for the thread that it names", async () => {
    const app = await open();
    const listener = await listen(app, { port: 0 });
    closers.push(() => listener.close({ graceMs: 0 }));
    const ada = await user(app, "ada");
    const { threadId } = await ada.ran();
    const { threadId: other } = await ada.ran();
    const at = (id: string) => `${listener.url.replace(/^http/, "ws")}/threads/${id}/stream/events`;
    expect(await connect(at(threadId))).toMatchObject({ code: 4401 });
    const ticket = await ada.ticket(threadId);
    expect(await connect(`${at(threadId)}?ticket=${ticket}`)).toBe("open");
    expect(await connect(`${at(threadId)}?ticket=${ticket}`)).toMatchObject({ code: 4401 });
    expect(await connect(`${at(other)}?ticket=${await ada.ticket(threadId)}`)).toMatchObject({ code: 4401 });
    expect(JSON.stringify(app.log)).not.toContain("hdt_");
  });
});
