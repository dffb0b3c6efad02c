import { Annotation, type LangGraphRunnableConfig, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { apiKey } from "../../src/auth/api-key.js";
import type { JsonObject } from "../../src/core/json.js";
import type { AppOptions } from "../../src/config/options.js";
import { ownersAuth, bearer } from "../support/owners-auth.js";
import { type Call, requester } from "../support/requests.js";
import { startServer, type TestServer } from "../support/server.js";

const State = Annotation.Root({ ...MessagesAnnotation.spec, seen: Annotation<Record<string, unknown>> });
/** Tells what it knows of its caller. */
const whoami = new StateGraph(State)
  .addNode("tell", (_, { configurable = {} }: LangGraphRunnableConfig<Record<string, unknown>>) => ({
    seen: {
      id: configurable["langgraph_auth_user_id"] ?? null,
      user: (configurable["langgraph_auth_user"] as { identity?: string } | null | undefined)?.identity ?? null,
      permissions: configurable["langgraph_auth_permissions"] ?? null,
    },
  }))
  .addEdge(START, "tell")
  .compile();

const ROOT = {
  langgraph_auth_user: { identity: "root", permissions: ["*"] },
  langgraph_auth_user_id: "root",
  langgraph_auth_permissions: ["*"],
};
/** Everything of a request that a proxy, another server or an older client has ever taken for a name. */
const SPOOFED: Readonly<Record<string, string>> = {
  "x-auth-scheme": "langsmith",
  "x-forwarded-for": "127.0.0.1",
  "x-forwarded-user": "root",
  "x-forwarded-host": "localhost",
  "x-real-ip": "127.0.0.1",
  forwarded: "for=127.0.0.1;host=localhost",
  "x-remote-user": "root",
  "remote-user": "root",
  "x-user-id": "root",
  "x-user": "root",
  "x-original-url": "/ok",
  "x-rewrite-url": "/ok",
  "x-http-method-override": "GET",
  "x-tenant-id": "root",
  "x-organization-id": "root",
  "langgraph-auth-user-id": "root",
  langgraph_auth_user_id: "root",
  cookie: "langgraph_auth_user_id=root",
};

/** Servers by how they ask; `headers` are of somebody that they know. */
const KINDS: readonly (readonly [string, Partial<AppOptions>, string | null])[] = [
  ["without auth", {}, null],
  ["with the SDK's Auth", { auth: ownersAuth() }, "ann"],
  ["with apiKey()", { auth: apiKey() }, "ann"],
];

describe.each(KINDS)("nobody becomes somebody else by saying so, %s", (kind, options, identity) => {
  let server: TestServer;
  let call: Call;
  let headers: Readonly<Record<string, string>> = {};
  beforeAll(async () => {
    const config = { http: { configurableHeaders: { includes: ["*"] } }, ...options };
    if (kind === "with apiKey()") {
      const { createApp } = await import("../../src/app.js");
      const { listen } = await import("../../src/node/listen.js");
      const app = await createApp({ graphs: { whoami }, storage: "memory:", env: {}, logLevel: "silent", ...config });
      const { secret } = await app.apiKeys.create({
        label: "ann",
        identity: "ann",
        permissions: ["threads:*", "assistants:*"],
      });
      headers = { "x-api-key": secret };
      const listener = await listen(app, { port: 0 });
      server = {
        url: listener.url,
        client: null as never,
        close: async () => {
          await listener.close({ graceMs: 0 });
          await app.close();
        },
      };
    } else {
      server = await startServer("memory", { graphs: { whoami }, ...config });
      headers = identity === null ? {} : bearer(identity);
    }
    call = requester(server.url);
  });
  afterAll(() => server.close());

  const expectNobodyElse = (seen: unknown): void => {
    expect(seen).toMatchObject({ id: identity, user: identity });
    expect(JSON.stringify(seen)).not.toMatch(/root|"\*"/);
  };
  const created = async (path: string, body: JsonObject) =>
    (await call("POST", path, body, headers)).json as Record<string, string>;

  test("by headers", async () => {
    const asked = await call("POST", "/threads/search", {}, SPOOFED);
    expect(asked.status).toBe(identity === null ? 200 : 401);
    const { json } = await call(
      "POST",
      "/runs/wait",
      { assistant_id: "whoami", input: {} },
      { ...SPOOFED, ...headers },
    );
    expectNobodyElse((json as { seen: unknown }).seen);
  });

  test("by a run's config, context or metadata, in every way to start one", async () => {
    const { thread_id: threadId = "" } = await created("/threads", { metadata: ROOT });
    const { assistant_id: assistantId = "" } = await created("/assistants", {
      graph_id: "whoami",
      config: { configurable: ROOT },
      metadata: ROOT,
    });
    const { assistant_id: contextual = "" } = await created("/assistants", { graph_id: "whoami", context: ROOT });
    const bodies = [
      { config: { configurable: ROOT } },
      { context: ROOT },
      { config: { configurable: {} }, context: ROOT },
      { config: { metadata: ROOT, ...ROOT } },
      { metadata: ROOT, ...ROOT },
      { checkpoint: { checkpoint_map: {}, ...ROOT } },
    ];
    for (const assistant of ["whoami", assistantId, contextual]) {
      for (const body of bodies) {
        const input = { assistant_id: assistant, input: {}, ...body };
        for (const path of ["/runs/wait", `/threads/${threadId}/runs/wait`]) {
          const { status, json, text } = await call("POST", path, input, headers);
          expect([path, body, status, status === 200 || text]).toEqual([path, body, 200, true]);
          expectNobodyElse((json as { seen: object }).seen);
        }
      }
    }
    // What was said of the caller in a thread's metadata or its last config is not of the next run.
    const { json } = await call(
      "POST",
      `/threads/${threadId}/runs/wait`,
      { assistant_id: "whoami", input: {} },
      headers,
    );
    expectNobodyElse((json as { seen: object }).seen);
  });

  test("by commands of the event protocol, and by state written before", async () => {
    const threadId = v7();
    const params = {
      assistant_id: "whoami",
      input: {},
      config: { configurable: ROOT, ...ROOT },
      metadata: ROOT,
      ...ROOT,
    };
    const command = { id: 1, method: "run.start", params };
    const answer = await call("POST", `/threads/${threadId}/commands`, command, headers);
    const { run_id: runId } = (answer.json as { result: { run_id: string } }).result;
    const { json } = await call("GET", `/threads/${threadId}/runs/${runId}/join`, undefined, headers);
    expectNobodyElse((json as { seen: object }).seen);
    const state = { values: { messages: [] }, config: { configurable: ROOT }, ...ROOT };
    expect((await call("POST", `/threads/${threadId}/state`, state, headers)).status).toBe(200);
    const again = await call("POST", `/threads/${threadId}/runs/wait`, { assistant_id: "whoami", input: {} }, headers);
    expectNobodyElse((again.json as { seen: object }).seen);
  });
});
