import { mkdtempSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { v7 } from "uuid";
import { WebSocket } from "ws";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { AuditEntry } from "../../src/core/audit.js";
import { SERVER } from "../../src/core/auth.js";
import { listen } from "../../src/node/listen.js";
import { bearer, ownersAuth } from "../support/owners-auth.js";
import { openHttpApp } from "./app.js";
import { as, thread } from "./users.js";

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const closer of closers.splice(0).toReversed()) await closer();
});

/** Nowhere but in payloads, tokens and queries. */
const SECRET = "pa55w0rd-of-the-payload";

async function openAudited(options: Parameters<typeof openHttpApp>[0] = {}) {
  const entries: AuditEntry[] = [];
  const app = await openHttpApp({ auth: ownersAuth(), audit: (entry) => void entries.push(entry), ...options });
  return { app, entries, ann: as(app, "ann"), bob: as(app, "bob") };
}

describe("the audit log", () => {
  test("says who did what to which resource, and what came of it", async () => {
    const { app, entries, ann, bob } = await openAudited();
    const threadId = await thread(ann);
    entries.length = 0;
    await ann("GET", `/threads/${threadId}`);
    expect(entries.splice(0)).toEqual([
      {
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string,
        requestId: expect.stringMatching(/./) as string,
        identity: "ann",
        auth: "authenticated",
        address: null,
        internal: false,
        route: "GET /threads/{thread_id}",
        action: "threads:read",
        resource: { thread_id: threadId },
        result: "allowed",
        code: null,
        status: 200,
      },
    ]);
    await bob("GET", `/threads/${threadId}`);
    expect(entries.splice(0)).toMatchObject([
      { identity: "bob", action: "threads:read", result: "failed", code: "THREAD_NOT_FOUND", status: 404 },
    ]);
    await app.request("GET", `/threads/${threadId}`);
    expect(entries.splice(0)).toMatchObject([
      { identity: null, auth: "anonymous", action: null, result: "denied", code: "UNAUTHENTICATED", status: 401 },
    ]);
    await ann("POST", "/threads/search", { limit: -1 });
    expect(entries.splice(0)).toMatchObject([{ action: null, result: "failed", code: "INVALID_REQUEST", status: 422 }]);
    await ann("PUT", "/store/items", { namespace: ["ann", "notes"], key: "k", value: { a: 1 } });
    expect(entries.splice(0)).toMatchObject([
      { action: "store:put", resource: { namespace: ["ann", "notes"], key: "k" }, result: "allowed" },
    ]);
    await ann("POST", `/threads/${threadId}/runs/wait`, { assistant_id: "echo", input: { messages: [] } });
    expect(entries.splice(0).map(({ action, result }) => [action, result])).toEqual([
      ["assistants:read", "allowed"],
      ["threads:create_run", "allowed"],
    ]);
    for (const path of ["/ok", "/info"]) await app.request("GET", path);
    expect(entries).toEqual([]);
  });

  test("what a handler refuses is denied; what a limit refuses has failed", async () => {
    const auth = ownersAuth().on("threads:delete", () => false);
    const { entries, ann } = await openAudited({ auth, limits: { requestsPerCaller: { perSecond: 0.1, burst: 2 } } });
    const threadId = await thread(ann);
    entries.length = 0;
    expect((await ann("DELETE", `/threads/${threadId}`)).status).toBe(403);
    expect((await ann("DELETE", `/threads/${threadId}`)).status).toBe(429);
    expect(entries).toMatchObject([
      { action: "threads:delete", result: "denied", code: "FORBIDDEN", status: 403 },
      { action: null, result: "failed", code: "RATE_LIMITED", status: 429, identity: "ann" },
    ]);
  });

  test("an authorization handler that crashes has denied nothing: it failed", async () => {
    const auth = ownersAuth().on("threads:delete", () => {
      throw new TypeError("a bug of the handler");
    });
    const { entries, ann } = await openAudited({ auth });
    const threadId = await thread(ann);
    entries.length = 0;
    expect((await ann("DELETE", `/threads/${threadId}`)).status).toBe(500);
    expect(entries).toMatchObject([{ action: "threads:delete", result: "failed", code: "INTERNAL", status: 500 }]);
  });

  test("covers commands and subscriptions of the event protocol, each on its own, with the address", async () => {
    const { app, entries, ann } = await openAudited();
    const threadId = await thread(ann);
    const listener = await listen(app, { port: 0 });
    closers.push(() => listener.close({ graceMs: 0 }));
    entries.length = 0;
    await fetch(`${listener.url}/threads/${threadId}/commands`, {
      method: "POST",
      headers: bearer("ann"),
      body: JSON.stringify({ id: 1, method: "agent.getTree", params: {} }),
    });
    expect(entries.splice(0)).toMatchObject([
      {
        route: "POST /threads/{thread_id}/commands agent.getTree",
        action: "threads:read",
        result: "failed",
        code: "RUN_NOT_FOUND",
        address: expect.stringMatching(/127\.0\.0\.1/) as string,
      },
    ]);
    const url = `${listener.url.replace("http", "ws")}/threads/${threadId}/stream/events`;
    const socket = new WebSocket(url, { headers: bearer("ann") });
    closers.push(() => socket.terminate());
    const answers: string[] = [];
    const heard = Promise.withResolvers<void>();
    socket.on("message", (data: Buffer) => {
      answers.push(data.toString());
      if (answers.length === 3) heard.resolve();
    });
    await new Promise((resolve) => socket.once("open", resolve));
    const send = (id: number, method: string, params: object) => socket.send(JSON.stringify({ id, method, params }));
    send(1, "subscription.subscribe", { channels: ["values"] });
    send(2, "state.get", { namespace: [], note: SECRET });
    send(3, SECRET, {});
    await heard.promise;
    const routes = entries.map(({ route, action, result }) => `${route} · ${action} · ${result}`);
    const at = "GET /threads/{thread_id}/stream/events";
    expect(routes[0]).toBe(`${at} · null · allowed`);
    expect(routes).toContain(`${at} subscription.subscribe · threads:read · allowed`);
    expect(routes.some((route) => route.startsWith(`${at} state.get · threads:read`))).toBe(true);
    expect(routes).toContain(`${at} unknown · null · failed`);
    expect(JSON.stringify(entries)).not.toContain(SECRET);
  });

  test("has each command once, with what it asked for, over HTTP and over a WebSocket", async () => {
    const auth = ownersAuth().on("threads:read", ({ user }) =>
      user.identity === "bob" ? false : { owner: user.identity },
    );
    const { app, entries, ann } = await openAudited({ auth });
    const listener = await listen(app, { port: 0 });
    closers.push(() => listener.close({ graceMs: 0 }));
    const [threadId, other] = [await thread(ann), v7()];
    await ann("POST", `/threads/${threadId}/runs/wait`, { assistant_id: "echo", input: { messages: [] } });
    const start = { id: 1, method: "run.start", params: { assistant_id: "echo", input: { messages: [] } } };
    const state = { id: 2, method: "state.get", params: { namespace: [] } };
    const told = () =>
      entries.splice(0).map(({ identity, route, action, result, code, status }) => ({
        line: `${String(identity)} · ${route.replace(/.*\} ?/, "")} · ${String(action)} · ${result}`,
        rest: [code, status],
      }));
    const line = (text: string, code: string | null = null, status: number | null = null) => ({
      line: text,
      rest: [code, status],
    });
    const over = {
      http: async (name: string, id: string, command: object) => {
        const init = { method: "POST", headers: bearer(name), body: JSON.stringify(command) };
        const answer = await fetch(`${listener.url}/threads/${id}/commands`, init);
        return (await answer.json()) as { type: string; meta?: object };
      },
      socket: async (name: string, id: string, command: object) => {
        const url = `${listener.url.replace("http", "ws")}/threads/${id}/stream/events`;
        const socket = new WebSocket(url, { headers: bearer(name) });
        await new Promise((resolve) => socket.once("open", resolve));
        entries.length = 0;
        const heard = new Promise<string>((resolve) =>
          socket.once("message", (data: Buffer) => resolve(data.toString())),
        );
        socket.send(JSON.stringify(command));
        const answer = await heard;
        socket.terminate();
        return JSON.parse(answer) as { type: string; meta?: object };
      },
    };
    for (const [way, send] of Object.entries(over)) {
      const command = way === "http" ? "/commands" : "/stream/events";
      const at = (name: string) => `${command} ${name}`;
      entries.length = 0;
      const starts = (name: string) => [
        line(`${name} · ${at("run.start")} · assistants:read · allowed`),
        line(`${name} · ${at("run.start")} · threads:create_run · allowed`),
      ];
      expect(await send("ann", threadId, start)).toMatchObject({ type: "success" });
      expect([way, told()]).toEqual([way, starts("ann")]);
      expect(await send("ann", threadId, state)).toMatchObject({ type: "success" });
      expect([way, told()]).toEqual([way, [line(`ann · ${at("state.get")} · threads:read · allowed`)]]);
      // Without reading: the run starts, nothing that was refused is written down, and how far the log goes is not said.
      const begun = await send("bob", way === "http" ? other : v7(), start);
      expect(begun).toMatchObject({ type: "success" });
      expect(begun.meta).not.toHaveProperty("applied_through_seq");
      expect([way, told()]).toEqual([way, starts("bob")]);
      expect(await send("bob", threadId, state)).toMatchObject({ type: "error" });
      expect([way, told()]).toEqual([way, [line(`bob · ${at("state.get")} · threads:read · denied`, "FORBIDDEN")]]);
    }
  });

  test("never holds a payload, a token or a query", async () => {
    const { app, entries, ann } = await openAudited();
    const threadId = await thread(ann, { note: SECRET });
    const run = {
      assistant_id: "echo",
      input: { messages: [{ role: "user", content: SECRET }] },
      config: { configurable: { token: SECRET } },
      context: { note: SECRET },
      metadata: { note: SECRET },
    };
    const place = { namespace: ["ann"], key: "k" };
    const requests: [string, string, unknown?][] = [
      ["PATCH", `/threads/${threadId}`, { metadata: { note: SECRET } }],
      ["POST", `/threads/${threadId}/runs/wait`, run],
      ["POST", `/threads/${threadId}/runs/stream`, run],
      ["POST", "/runs/batch", [run]],
      ["POST", `/threads/${threadId}/state`, { values: { messages: [{ role: "user", content: SECRET }] } }],
      ["POST", "/threads/search", { metadata: { note: SECRET }, values: { a: SECRET } }],
      ["POST", "/assistants", { graph_id: "echo", name: SECRET, config: { configurable: { a: SECRET } } }],
      ["POST", "/assistants/search", { metadata: { note: SECRET } }],
      ["PUT", "/store/items", { ...place, value: { note: SECRET } }],
      ["POST", "/store/items/search", { namespace_prefix: ["ann"], filter: { note: SECRET }, query: SECRET }],
      ["GET", `/threads/${threadId}?token=${SECRET}`],
      ["GET", `/${SECRET}`],
      ["POST", "/threads", `{"broken": "${SECRET}`],
      ["POST", `/threads/${threadId}/commands`, { id: 1, method: "run.start", params: run }],
    ];
    for (const [method, path, body] of requests) {
      const answer = await app.request(method, path, body, { headers: { ...bearer("ann"), "x-note": SECRET } });
      await answer.text();
    }
    await app.request("POST", "/threads/search", {}, { headers: { authorization: `Bearer ${SECRET}` } });
    expect(entries.length).toBeGreaterThan(requests.length);
    expect(JSON.stringify(entries)).not.toContain(SECRET);
  });

  test("the deployer's own code is the server; a client can't name its request into a line", async () => {
    const { app, entries } = await openAudited();
    await app.services.threads.count(SERVER, {});
    expect(entries.splice(0)).toMatchObject([{ auth: "server", route: "services", action: "threads:search" }]);
    await app.request("POST", "/threads/search", {}, { headers: { ...bearer("ann"), "x-request-id": "a b\tc" } });
    expect(entries[0]?.requestId).toMatch(/^[\w-]{36}$/);
  });
});

describe("where it is written", () => {
  function folder(): string {
    const dir = mkdtempSync(join(tmpdir(), "heddle-audit-"));
    closers.push(() => rmSync(dir, { recursive: true, force: true }));
    return dir;
  }
  const linesOf = (path: string) =>
    readFileSync(path, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as AuditEntry);

  test("a line of JSON each, for the owner alone, whole after the server is closed", async () => {
    const file = join(folder(), "audit.jsonl");
    const app = await openHttpApp({ audit: { file } });
    for (let i = 0; i < 50; i += 1) await app.request("GET", `/threads/${v7()}`);
    await app.close();
    expect(linesOf(file)).toHaveLength(50);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const again = await openHttpApp({ env: { HEDDLE_AUDIT_LOG: file } });
    await again.request("GET", `/threads/${v7()}`);
    await again.close();
    expect(linesOf(file)).toHaveLength(51);
  });

  test("a file that is rotated is begun anew", async () => {
    const file = join(folder(), "audit.jsonl");
    const { openAuditFile } = await import("../../src/audit/audit-file.js");
    let now = 0;
    const audit = await openAuditFile(file, () => now);
    const entry = { action: null } as AuditEntry;
    await audit.append([entry]);
    renameSync(file, `${file}.1`);
    now = 2_000;
    await audit.append([entry, entry]);
    await audit.close();
    expect([linesOf(`${file}.1`).length, linesOf(file).length]).toEqual([1, 2]);
  });

  test("a file that can't be opened stops the start", async () => {
    const file = join(folder(), "missing", "audit.jsonl");
    await expect(openHttpApp({ audit: { file } })).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringContaining("audit:") as string,
    });
  });

  test("a failure is logged once and stops nothing; what could not be written is written later", async () => {
    const entries: AuditEntry[] = [];
    let isBroken = true;
    const write = (entry: AuditEntry) => {
      if (isBroken) throw new Error("disk full");
      entries.push(entry);
    };
    const app = await openHttpApp({ audit: { write } });
    for (let i = 0; i < 3; i += 1) expect((await app.request("POST", "/threads/search", {})).status).toBe(200);
    expect(app.log.filter(({ message }) => message === "the audit log could not be written")).toHaveLength(1);
    isBroken = false;
    await app.request("POST", "/threads/search", {});
    await app.close();
    expect(entries).toHaveLength(4);
  });

  test("required: requests are 503 while it can't be written, and nothing is carried out", async () => {
    const entries: AuditEntry[] = [];
    let isBroken = false;
    const write = async (entry: AuditEntry) => {
      await Promise.resolve();
      if (isBroken) throw new Error("disk full");
      entries.push(entry);
    };
    const app = await openHttpApp({ audit: { write, required: true } });
    expect((await app.request("POST", "/threads", {})).status).toBe(200);
    expect(entries).toHaveLength(1);
    isBroken = true;
    // The first one is carried out: that its line can't be written shows afterwards.
    for (let i = 0; i < 3; i += 1) {
      const refused = await app.request("POST", "/threads", {});
      expect(refused.status).toBe(503);
      expect(await refused.text()).not.toContain("disk");
    }
    expect((await app.request("GET", "/ok")).status).toBe(200);
    isBroken = false;
    expect(await app.json("POST", "/threads/count", {})).toMatchObject({ status: 200, body: 2 });
    expect(entries.map(({ action }) => action)).toContain("threads:search");
  });

  test("a function that never settles does not keep the server from closing", async () => {
    const app = await openHttpApp({ audit: { write: () => new Promise<void>(() => {}) } });
    await app.request("POST", "/threads/search", {});
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    closers.push(() => void vi.useRealTimers());
    let isClosed = false;
    const closing = app.close().then(() => (isClosed = true));
    for (let i = 0; i < 50 && !isClosed; i += 1) {
      await vi.advanceTimersByTimeAsync(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(isClosed).toBe(true);
    await closing;
    expect(app.log.map(({ message }) => message)).toContain("closing without the last entries of the audit log");
  });
});
