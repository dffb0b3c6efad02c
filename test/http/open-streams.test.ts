import { ProtocolWebSocketTransportAdapter } from "@langchain/langgraph-sdk";
import { Auth, HTTPException } from "@langchain/langgraph-sdk/auth";
import { v7 } from "uuid";
import { describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { apiKey } from "../../src/auth/api-key.js";
import { jwt } from "../../src/auth/jwt.js";
import type { AppOptions } from "../../src/config/options.js";
import type { AuditEntry } from "../../src/core/audit.js";
import { secretDigest } from "../../src/core/secret-digest.js";
import { redeemStreamTicket } from "../../src/services/stream-tickets.js";
import { createMemoryStreamTickets } from "../../src/stores/memory/stream-tickets.js";
import { fakeClock } from "../../src/testing/fake-clock.js";
import { TokenIssuer } from "../support/token-issuer.js";
import type { HttpApp } from "./app.js";
import { atEnd, closeAtEnd, listening, openImpatientApp } from "./listening.js";

closeAtEnd();

/** The shortest there may be. */
const limits = { reauthenticateMs: 1_000 };
type Heads = Readonly<Record<string, string>>;

const open = (options: Partial<AppOptions> = {}) =>
  openImpatientApp({ auth: apiKey({ cacheMs: 0 }), limits, ...options });

async function keyOf(app: HttpApp, identity: string, expiresInMs: number | null = null) {
  const { key, secret } = await app.apiKeys.create({ identity, permissions: ["*"], expiresInMs });
  return { revoke: () => app.apiKeys.revoke(key.keyId), headers: { "x-api-key": secret } };
}

/** A thread with a run that takes its time. */
async function busyThread(url: string, headers: Heads) {
  const post = async (path: string, body: object) => {
    const init = { method: "POST", headers: { ...headers, "content-type": "application/json" } };
    const response = await fetch(`${url}${path}`, { ...init, body: JSON.stringify(body) });
    expect(response.status).toBe(200);
    return (await response.json()) as Record<string, string>;
  };
  const { thread_id: threadId = "" } = await post("/threads", {});
  const run = { assistant_id: "slow", input: { ms: 20_000, steps: 1 }, stream_resumable: true };
  const { run_id: runId = "" } = await post(`/threads/${threadId}/runs`, run);
  return { threadId, runId, post };
}

/** A socket, how it was closed, and its response frames. */
async function socketOf(url: string, threadId: string, headers: Heads, search = "") {
  const at = `${url.replace("http", "ws")}/threads/${threadId}/stream/events${search}`;
  const socket = new WebSocket(at, { headers });
  atEnd(async () => socket.terminate());
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.once("close", (code: number, reason: Buffer) => resolve({ code, reason: reason.toString() })),
  );
  const frames: string[] = [];
  socket.on("message", (data: Buffer) => frames.push(data.toString()));
  await Promise.race([new Promise((resolve) => socket.once("open", resolve)), closed]);
  const command = (method: string, params: object = {}) => socket.send(JSON.stringify({ id: 1, method, params }));
  return { socket, closed, frames, command };
}

/** Whether a stream ended by itself or was cut off. */
async function endOf(response: Response): Promise<"ended" | "cut"> {
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  try {
    for await (const _ of response.body ?? []);
    return "ended";
  } catch {
    return "cut";
  }
}

const streamsOf = (url: string, { threadId, runId }: { threadId: string; runId: string }, headers: Heads) => [
  fetch(`${url}/threads/${threadId}/stream`, { headers }),
  fetch(`${url}/threads/${threadId}/runs/${runId}/stream?cancel_on_disconnect=1`, { headers }),
  fetch(`${url}/threads/${threadId}/stream/events`, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json" },
    body: JSON.stringify({ channels: ["lifecycle"] }),
  }),
];

describe("an API key that is revoked", () => {
  it("ends its open streams and sockets, nobody else's, and no run", async () => {
    const entries: AuditEntry[] = [];
    const app = await open({ audit: (entry) => void entries.push(entry) });
    const url = await listening(app);
    const [ann, other] = [await keyOf(app, "ann"), await keyOf(app, "ann")];
    const busy = await busyThread(url, ann.headers);
    const socket = await socketOf(url, busy.threadId, ann.headers);
    const kept = await socketOf(url, busy.threadId, other.headers);
    const streams = await Promise.all(streamsOf(url, busy, ann.headers));
    await ann.revoke();
    expect(await Promise.all(streams.map(endOf))).toEqual(["cut", "cut", "cut"]);
    expect(await socket.closed).toEqual({ code: 4401, reason: "The credentials are no longer valid" });
    expect(kept.socket.readyState).toBe(kept.socket.OPEN);
    const run = await fetch(`${url}/threads/${busy.threadId}/runs/${busy.runId}`, { headers: other.headers });
    expect(["pending", "running"]).toContain(((await run.json()) as { status: string }).status);
    const denied = entries.filter(({ result }) => result === "denied");
    expect(denied.map(({ code, identity, status }) => [code, identity, status])).toEqual(
      Array.from({ length: 4 }, () => ["UNAUTHENTICATED", "ann", null]),
    );
    expect(app.log.filter(({ fields }) => fields["credentials"] === "refused")).toHaveLength(4);
    expect(app.log.filter(({ level }) => level === "error" || level === "warn")).toEqual([]);
    kept.socket.close();
  });

  it("sends no more commands over its sockets", async () => {
    const app = await open({ limits: { reauthenticateMs: 60_000 } });
    const url = await listening(app);
    const ann = await keyOf(app, "ann");
    const { closed, command, frames, socket } = await socketOf(url, v7(), ann.headers);
    command("agent.getTree");
    await expect.poll(() => frames.length, { interval: 10 }).toBe(1);
    await ann.revoke();
    const asking = setInterval(() => {
      if (socket.readyState === socket.OPEN) command("agent.getTree");
    }, 20);
    expect(await closed).toMatchObject({ code: 4401 });
    clearInterval(asking);
    expect(frames.filter((frame) => frame.includes("UNAUTHENTICATED") || frame.includes("unknown_error"))).toEqual([]);
  });

  it("ends streams that its tickets have opened", async () => {
    const app = await open();
    const url = await listening(app);
    const ann = await keyOf(app, "ann");
    const { threadId, post } = await busyThread(url, ann.headers);
    const { ticket: one = "" } = await post("/auth/tickets", { thread_id: threadId });
    const { ticket: two = "" } = await post("/auth/tickets", { thread_id: threadId });
    const socket = await socketOf(url, threadId, {}, `?ticket=${one}`);
    const stream = await fetch(`${url}/threads/${threadId}/stream?ticket=${two}`);
    await ann.revoke();
    expect(await endOf(stream)).toBe("cut");
    expect(await socket.closed).toMatchObject({ code: 4401 });
  });

  it("goes on in what is open where the limit is 0", async () => {
    const app = await open({ limits: { reauthenticateMs: 0 } });
    const url = await listening(app);
    const ann = await keyOf(app, "ann");
    const { command, frames, socket } = await socketOf(url, v7(), ann.headers);
    await ann.revoke();
    command("agent.getTree");
    await expect.poll(() => frames.length, { interval: 10 }).toBe(1);
    socket.close();
  });
});

describe("credentials that expire", () => {
  it("end the streams and sockets of an API key on time", async () => {
    const app = await open({ limits: { reauthenticateMs: 60_000 } });
    const url = await listening(app);
    const ann = await keyOf(app, "ann", 1_500);
    const busy = await busyThread(url, ann.headers);
    const socket = await socketOf(url, busy.threadId, ann.headers);
    const streams = await Promise.all(streamsOf(url, busy, ann.headers));
    expect(await Promise.all(streams.map(endOf))).toEqual(["cut", "cut", "cut"]);
    expect(await socket.closed).toMatchObject({ code: 3000 });
  });

  async function openIssued() {
    const issuer = await new TokenIssuer().open();
    atEnd(() => issuer.close());
    await issuer.addKey("one");
    const auth = jwt({ issuer: issuer.url, audience: "agents", clockToleranceSeconds: 0 });
    const url = await listening(await open({ auth, limits: { reauthenticateMs: 60_000 } }));
    const headers = async (seconds: number) => {
      const exp = Math.floor(Date.now() / 1_000) + seconds;
      return { authorization: `Bearer ${await issuer.token({ exp })}` };
    };
    return { url, headers };
  }

  it("end what a token and its tickets have opened", async () => {
    const { url, headers } = await openIssued();
    const ann = await headers(2);
    const { threadId, runId, post } = await busyThread(url, ann);
    const { ticket = "" } = await post("/auth/tickets", { thread_id: threadId });
    const sockets = [await socketOf(url, threadId, ann), await socketOf(url, threadId, {}, `?ticket=${ticket}`)];
    const streams = await Promise.all(streamsOf(url, { threadId, runId }, ann));
    expect(await Promise.all(streams.map(endOf))).toEqual(["cut", "cut", "cut"]);
    for (const { closed } of sockets) expect(await closed).toMatchObject({ code: 3000 });
    // Who comes again with the same ones is told so, and not asked to try again.
    expect(await (await socketOf(url, threadId, ann)).closed).toMatchObject({ code: 4401 });
  });

  it("are made good by the SDK's client that has fresh ones, and shown by one that has not; neither hammers", async () => {
    const { url, headers } = await openIssued();
    const follow = async (heads: readonly Heads[]) => {
      const { threadId } = await busyThread(url, heads[0] ?? {});
      let connections = 0;
      const transport = new ProtocolWebSocketTransportAdapter({
        apiUrl: url,
        threadId,
        reconnectDelayMs: () => 10,
        webSocketFactory: (at) => {
          const given = heads[Math.min(connections, heads.length - 1)] ?? {};
          connections += 1;
          return new WebSocket(at, { headers: given }) as never;
        },
      });
      atEnd(() => transport.close());
      await transport.open();
      const next = transport.events()[Symbol.asyncIterator]().next();
      return { next, transport, connections: () => connections };
    };
    const stale = await follow([await headers(2)]);
    const fresh = await follow([await headers(2), await headers(60)]);
    await expect(stale.next).rejects.toMatchObject({ status: 401 });
    expect(stale.connections()).toBe(2);
    await expect.poll(() => fresh.connections(), { timeout: 5_000, interval: 10 }).toBe(2);
    const subscribe = { id: 1, method: "subscription.subscribe", params: { channels: ["lifecycle"] } } as const;
    expect(await fresh.transport.send(subscribe as never)).toMatchObject({ type: "success" });
  });
});

describe("a handler's callers", () => {
  it("are asked again by their headers alone, and end when the handler refuses", async () => {
    let isIn = true;
    const asked: (string | null)[] = [];
    const auth = new Auth().authenticate(async (request: Request) => {
      asked.push(request.headers.get("authorization"), await request.clone().text());
      if (!isIn) throw new HTTPException(403, { message: "Gone" });
      return "ann";
    });
    const app = await open({ auth });
    const url = await listening(app);
    const headers = { authorization: "Bearer x" };
    const body = { method: "POST", headers: { ...headers, "content-type": "application/json" } };
    const stream = await fetch(`${url}/threads/${v7()}/stream/events`, { ...body, body: '{"channels":["lifecycle"]}' });
    const socket = await socketOf(url, v7(), headers);
    expect(asked).toEqual(["Bearer x", '{"channels":["lifecycle"]}', "Bearer x", ""]);
    isIn = false;
    expect(await endOf(stream)).toBe("cut");
    expect(await socket.closed).toMatchObject({ code: 4403 });
    expect(asked.slice(4)).toEqual(["Bearer x", "", "Bearer x", ""]);
  });
});

describe("a ticket's caller", () => {
  it("has an hour at most, and never more than who asked for the ticket", async () => {
    const clock = fakeClock();
    const tickets = createMemoryStreamTickets(clock);
    const redeem = async (n: number, validUntil?: number) => {
      const digest = secretDigest(`t${n}`);
      const caller = { identity: "ann", permissions: [], user: {}, ...(validUntil !== undefined && { validUntil }) };
      await tickets.issue({ ticket: { digest, caller, threadId: null }, ttlMs: 1_000 });
      return (await redeemStreamTicket({ tickets, clock }, `t${n}`, null)).validUntil;
    };
    const hour = clock.now() + 3_600_000;
    expect(await redeem(1)).toBe(hour);
    expect(await redeem(2, hour + 1)).toBe(hour);
    expect(await redeem(3, hour - 1)).toBe(hour - 1);
    await expect(redeem(4, clock.now())).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
  });
});
