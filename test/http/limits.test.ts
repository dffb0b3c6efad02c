import { Annotation, START, StateGraph } from "@langchain/langgraph";
import { Client } from "@langchain/langgraph-sdk";
import { v7 } from "uuid";
import { describe, expect, test } from "vitest";
import type { AuditEntry } from "../../src/core/audit.js";
import { bearer, ownersAuth } from "../support/owners-auth.js";
import { closeAtEnd, listening, openImpatientApp } from "./listening.js";
import { as, thread } from "./users.js";
import type { AppOptions } from "../../src/config/options.js";

async function openOwned(options: Partial<AppOptions>) {
  const app = await openImpatientApp({ auth: ownersAuth(), ...options });
  return { app, ann: as(app, "ann"), bob: as(app, "bob") };
}

closeAtEnd();

const slow = (ms: number, steps = 1) => ({ assistant_id: "slow", input: { ms, steps } });

describe("requests per caller", () => {
  const limits = { requestsPerCaller: { perSecond: 0.1, burst: 2 } };

  test("are 429 with Retry-After beyond the burst, for this caller alone", async () => {
    const { app, ann, bob } = await openOwned({ limits });
    for (let i = 0; i < 2; i += 1) expect((await ann("POST", "/threads/search", {})).status).toBe(200);
    const refused = await ann("POST", "/threads/search", {});
    expect(refused.status).toBe(429);
    expect(refused.body).toEqual({ detail: "Too many requests (limits.requestsPerCaller). Try again in 10 s." });
    expect(refused.headers.get("retry-after")).toBe("10");
    expect((await bob("POST", "/threads/search", {})).status).toBe(200);
    // Balancers ask these.
    for (let i = 0; i < 5; i += 1) expect((await app.request("GET", "/ok")).status).toBe(200);
  });

  test("who guesses is slowed down by address, before anything is said of the guess", async () => {
    const { app } = await openOwned({ limits });
    const guess = () => app.request("POST", "/threads/search", {}, { headers: { authorization: "nonsense" } });
    expect((await guess()).status).toBe(401);
    expect((await guess()).status).toBe(401);
    expect((await guess()).status).toBe(429);
    // Without an address nobody can tell them from others.
    expect((await as(app, "ann")("POST", "/threads/search", {})).status).toBe(200);
  });

  test("who guesses learns nothing of the right key, either; public routes and other addresses go on", async () => {
    const entries: AuditEntry[] = [];
    const app = await openImpatientApp({
      auth: ownersAuth(),
      limits,
      http: { trustedProxyHops: 1 },
      audit: (entry) => void entries.push(entry),
    });
    const url = await listening(app);
    const send = (authorization: string, forwarded = "1.1.1.1", path = "/threads/search", method = "POST") =>
      fetch(url + path, {
        method,
        headers: { authorization, "x-forwarded-for": forwarded },
        ...(method === "POST" && { body: "{}" }),
      });
    const statuses: number[] = [];
    for (const key of ["wrong", "wronger", "wrongest", "Bearer ann", "wrong"]) statuses.push((await send(key)).status);
    expect(statuses).toEqual([401, 401, 429, 429, 429]);
    const refused = await send("Bearer ann");
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(5);
    expect(entries.at(-1)).toMatchObject({
      identity: null,
      address: "1.1.1.1",
      result: "denied",
      code: "RATE_LIMITED",
    });
    expect((await send("Bearer ann", "2.2.2.2")).status).toBe(200);
    expect((await send("", "1.1.1.1", "/info", "GET")).status).toBe(200);
  });

  test("without authentication the address counts; X-Forwarded-For only by trusted hops", async () => {
    const at = (forwarded: string) => ({ headers: { "x-forwarded-for": forwarded } });
    const send = async (url: string, forwarded: string) =>
      (await fetch(`${url}/threads/search`, { method: "POST", body: "{}", ...at(forwarded) })).status;
    const direct = await listening(await openImpatientApp({ limits }));
    const statuses = [];
    for (const forwarded of ["1.1.1.1", "2.2.2.2", "3.3.3.3"]) statuses.push(await send(direct, forwarded));
    expect(statuses).toEqual([200, 200, 429]);

    const behind = await listening(await openImpatientApp({ limits, http: { trustedProxyHops: 1 } }));
    const trusted = [];
    // What a client puts in front of the proxy's own entry changes nothing.
    for (const forwarded of ["1.1.1.1", "9.9.9.9, 1.1.1.1", "8.8.8.8, 1.1.1.1", "2.2.2.2"]) {
      trusted.push(await send(behind, forwarded));
    }
    expect(trusted).toEqual([200, 200, 429, 200]);
  });

  test("graphs that ask their own server are not counted as a client", async () => {
    const asking = new StateGraph(Annotation.Root({ found: Annotation<number> }))
      .addNode("ask", async () => {
        for (let i = 0; i < 5; i += 1) await new Client().threads.search();
        return { found: 5 };
      })
      .addEdge(START, "ask")
      .compile();
    const app = await openImpatientApp({
      graphs: { asking },
      limits: { requestsPerCaller: { perSecond: 0.1, burst: 1 }, streamsPerCaller: 1 },
    });
    const done = await app.json("POST", "/runs/wait", { assistant_id: "asking", input: {} });
    expect(done).toMatchObject({ status: 200, body: { found: 5 } });
    expect((await app.request("POST", "/threads/search", {})).status).toBe(429);
  });
});

describe("streams per caller", () => {
  test("the one too many is 429 and makes no run; ended and left ones give their place back", async () => {
    const app = await openImpatientApp({ limits: { streamsPerCaller: 2 } });
    const threadId = await app.newThread();
    const first = await app.request("POST", "/runs/stream", slow(10_000));
    const leave = new AbortController();
    const follow = (init: RequestInit = {}) => app.request("GET", `/threads/${threadId}/stream`, undefined, init);
    const second = await follow({ signal: leave.signal });
    expect([first.status, second.status]).toEqual([200, 200]);
    const refused = await app.json("POST", `/threads/${threadId}/runs/stream`, slow(1));
    expect(refused).toMatchObject({
      status: 429,
      body: { detail: expect.stringContaining("at most 2 per caller (limits.streamsPerCaller)") as string },
    });
    expect(refused.headers.get("retry-after")).toBe("1");
    expect((await app.json("GET", `/threads/${threadId}/runs`)).body).toEqual([]);
    expect((await app.request("POST", "/runs/wait", slow(1))).status).toBe(429);
    // Not a stream.
    expect((await app.request("POST", "/threads/search", {})).status).toBe(200);
    leave.abort();
    const third = await follow();
    expect(third.status).toBe(200);
    await third.body?.cancel();
    expect((await app.json("POST", "/runs/wait", slow(1))).status).toBe(200);
    await first.body?.cancel();
    // Refused before it began: holds nothing.
    for (let i = 0; i < 3; i += 1) expect((await app.request("GET", `/threads/${v7()}/stream`)).status).toBe(404);
    const again = [await follow(), await follow()];
    expect(again.map(({ status }) => status)).toEqual([200, 200]);
    for (const stream of again) await stream.body?.cancel();
  });

  test("a cancel that waits is a stream; one that does not is let in", async () => {
    const app = await openImpatientApp({ limits: { streamsPerCaller: 1 } });
    const threadId = await app.newThread();
    const stream = await app.request("POST", `/threads/${threadId}/runs/stream`, slow(10_000));
    const [run] = (await app.json("GET", `/threads/${threadId}/runs`)).body as [{ run_id: string }];
    const path = `/threads/${threadId}/runs/${run.run_id}`;
    expect((await app.request("POST", `${path}/cancel?wait=1`)).status).toBe(429);
    expect((await app.request("POST", `${path}/cancel`)).status).toBe(202);
    await stream.text();
  });

  test("a stream that ends by itself gives its place back", async () => {
    const app = await openImpatientApp({ limits: { streamsPerCaller: 1 } });
    for (let i = 0; i < 3; i += 1) {
      const stream = await app.request("POST", "/runs/stream", slow(1));
      expect(stream.status).toBe(200);
      await stream.text();
    }
  });
});

describe("runs that wait", () => {
  const enqueue = { ...slow(10_000), multitask_strategy: "enqueue" };

  test.each(["memory:", "sqlite::memory:"])("per thread, on %s", async (storage) => {
    const app = await openImpatientApp({ storage, limits: { queuedRunsPerThread: 2 }, allowEphemeral: true });
    const threadId = await app.newThread();
    const path = `/threads/${threadId}/runs`;
    // The first is executed at once, two wait.
    const all = await Promise.all(Array.from({ length: 8 }, () => app.json("POST", path, enqueue)));
    const accepted = all.filter(({ status }) => status === 200).length;
    expect(accepted).toBeGreaterThan(0);
    expect(accepted).toBeLessThanOrEqual(3);
    for (let i = accepted; i < 3; i += 1) expect((await app.json("POST", path, enqueue)).status).toBe(200);
    expect(await app.json("POST", path, enqueue)).toMatchObject({
      status: 429,
      body: { detail: "Too many runs of this thread are waiting: at most 2 (limits.queuedRunsPerThread)" },
    });
    expect((await app.json("POST", `/threads/${await app.newThread()}/runs`, enqueue)).status).toBe(200);
    // What ends others is no run more.
    const interrupting = { ...slow(1), multitask_strategy: "interrupt" };
    expect((await app.json("POST", path, interrupting)).status).toBe(200);
  });

  test("a hidden thread's queue is not observable: it is missing, full or not", async () => {
    const { app, ann, bob } = await openOwned({ limits: { queuedRunsPerThread: 1 } });
    const threadId = await thread(ann);
    for (const status of [200, 200, 429]) {
      expect((await ann("POST", `/threads/${threadId}/runs`, enqueue)).status).toBe(status);
    }
    const hidden = await bob("POST", `/threads/${threadId}/runs`, enqueue);
    const missing = await bob("POST", `/threads/${v7()}/runs`, enqueue);
    expect([hidden.status, missing.status]).toEqual([404, 404]);
    void app;
  });

  test("per caller: others are not concerned, and a run that is taken up makes room", async () => {
    const app = await openImpatientApp({
      auth: ownersAuth(),
      limits: { queuedRunsPerCaller: 2 },
      worker: { concurrency: 1, pollMs: 20 },
    });
    const [ann, bob] = [as(app, "ann"), as(app, "bob")];
    const started = await ann("POST", "/runs", slow(10_000));
    const start = { thread_id: started.body["thread_id"] as string, run_id: started.body["run_id"] as string };
    const waiting = await Promise.all(Array.from({ length: 6 }, () => ann("POST", "/runs", slow(10_000))));
    expect(waiting.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 200, 429, 429, 429, 429]);
    expect(waiting.find(({ status }) => status === 429)?.body).toEqual({
      detail: "Too many of your runs are waiting: at most 2 (limits.queuedRunsPerCaller)",
    });
    expect((await bob("POST", "/runs", slow(1))).status).toBe(200);
    const cancel = `/threads/${start.thread_id}/runs/${start.run_id}/cancel?wait=1`;
    expect((await app.request("POST", cancel, undefined, { headers: bearer("ann") })).status).toBe(204);
    let status = 429;
    for (let i = 0; i < 200 && status === 429; i += 1) {
      status = (await ann("POST", "/runs", slow(1))).status;
      if (status === 429) await new Promise((resolve) => void setTimeout(resolve, 10));
    }
    expect(status).toBe(200);
  });
});

describe("sizes", () => {
  test("names and metadata are 422 and named", async () => {
    const app = await openImpatientApp({ limits: { maxNameChars: 40, maxMetadataChars: 50 } });
    expect(await app.json("POST", "/assistants", { graph_id: "echo", name: "n".repeat(41) })).toMatchObject({
      status: 422,
      body: { detail: "name: is too long: at most 40 characters (limits.maxNameChars)" },
    });
    expect(await app.json("POST", "/threads", { metadata: { a: "m".repeat(60) } })).toMatchObject({
      status: 422,
      body: { detail: "metadata: is too large: at most 50 characters as JSON (limits.maxMetadataChars)" },
    });
    expect(
      (await app.request("PUT", "/store/items", { namespace: ["n".repeat(41)], key: "k", value: {} })).status,
    ).toBe(422);
  });

  test("a run's time and its event log", async () => {
    const app = await openImpatientApp({ limits: { runTimeoutMs: 50, maxEventLogBytes: 1_000_000 } });
    const done = await app.json("POST", "/runs/wait", slow(5_000));
    expect(JSON.stringify(done.body)).toMatch(/[Tt]imeout|time limit/);
  });
});

describe("headers of requests", () => {
  const who = { assistant_id: "who", input: {} };
  const headers = { "x-user-id": "from-header", "x-other": "no", langgraph_auth_user_id: "root", thread_id: "t" };

  test("reach configurable only where they are named, and replace what a body says", async () => {
    const none = await openImpatientApp();
    const text = await (await none.request("POST", "/runs/wait", who, { headers })).text();
    expect(text).not.toContain("from-header");

    const app = await openImpatientApp({ http: { configurableHeaders: { includes: ["*"], excludes: ["x-other"] } } });
    const threadId = await app.newThread();
    const body = { ...who, config: { configurable: { "x-user-id": "from-body", mine: 1 } } };
    const created = await app.request("POST", `/threads/${threadId}/runs`, body, { headers });
    const run = (await created.json()) as { kwargs: { config: { configurable: Record<string, unknown> } } };
    expect(run.kwargs.config.configurable).toMatchObject({ "x-user-id": "from-header", mine: 1 });
    for (const key of ["x-other", "langgraph_auth_user_id"])
      expect(run.kwargs.config.configurable).not.toHaveProperty(key);
    expect(run.kwargs.config.configurable["thread_id"]).not.toBe("t");
  });

  test("reach log lines only where they are named", async () => {
    const app = await openImpatientApp({ http: { loggingHeaders: { includes: ["x-user-id", "authorization"] } } });
    await app.request("POST", "/threads/search", {}, { headers: { ...headers, authorization: "Bearer secret" } });
    const line = app.log.find(({ fields }) => fields["path"] === "/threads/search");
    expect(line?.fields["headers"]).toEqual({ "x-user-id": "from-header" });
    const plain = await openImpatientApp();
    await plain.request("POST", "/threads/search", {}, { headers });
    expect(plain.log.find(({ fields }) => fields["path"] === "/threads/search")?.fields).not.toHaveProperty("headers");
  });
});
