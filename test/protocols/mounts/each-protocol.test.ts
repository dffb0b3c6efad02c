import { Auth } from "@langchain/langgraph-sdk/auth";
import { Hono } from "hono";
import { describe, expect, it } from "vitest";
import type { AppOptions } from "../../../src/config/options.js";
import { PROTOCOLS, type ProtocolFactory } from "../../../src/protocols/registry.js";
import { listen } from "../../../src/node/listen.js";
import { apiKey } from "../../../src/auth/api-key.js";
import { type HttpApp, openHttpApp } from "../../http/app.js";
import { atEnd, closeAtEnd } from "../../http/listening.js";
import { createStorage } from "../../support/server.js";

closeAtEnd();

interface Operation {
  readonly method: string;
  /** Below the mount, with `x` for each parameter. */
  readonly path: string;
  readonly hasBody: boolean;
}

interface Document {
  readonly paths: Record<string, Record<string, { tags: string[]; requestBody?: object }>>;
}

/** What tells an error of ours from one of each protocol: the envelope's shape. */
const ENVELOPES: Readonly<Record<string, (body: unknown, status: number) => boolean>> = {
  "state-store": (body) => typeof at(body, "error", "code") === "string" && typeof at(body, "message") === "string",
  // Its authentication answers as FastAPI does (docs/wire/agentex-states.md §2.1).
  "agentex-states": (body, status) => typeof at(body, status === 401 ? "detail" : "message") === "string",
  snapstate: (body) => typeof at(body, "error", "code") === "string" && at(body, "message") === undefined,
  openwop: (body) => typeof at(body, "error") === "string" && typeof at(body, "message") === "string",
};

const at = (value: unknown, ...path: readonly string[]): unknown =>
  path.reduce<unknown>((inner, name) => (inner as Record<string, unknown> | null | undefined)?.[name], value);

/** Headers that each says it exposes, beyond those of the server (rule 8). */
const EXPOSED: Readonly<Record<string, readonly string[]>> = {
  "state-store": ["retry-after", "x-state-version"],
  "agentex-states": ["retry-after", "x-should-retry"],
  snapstate: ["etag", "retry-after"],
  openwop: ["etag", "traceparent", "openwop-idempotent-replay", "retry-after"],
};

/**
 * A request that makes something, which times its answer has (rule 7), and the request that finds what it has made (rule 5). OpenWOP's
 * times are in its events: assertion 16.
 */
const MADE: Readonly<
  Record<
    string,
    {
      readonly path: string;
      readonly body: object;
      readonly times: readonly string[];
      readonly found: (answer: Readonly<Record<string, unknown>>) => readonly [method: string, path: string];
    }
  >
> = {
  "state-store": {
    path: "/v1/state/w/k",
    body: { value: 1 },
    times: [],
    found: () => ["GET", "/v1/state/w/k"],
  },
  "agentex-states": {
    path: "/states",
    body: { task_id: "t", agent_id: "a", state: {} },
    times: ["created_at", "updated_at"],
    found: ({ id }) => ["GET", `/states/${String(id)}`],
  },
  snapstate: {
    path: "/checkpoints",
    body: { workflow_id: "w", step: 1, state: {} },
    times: ["created_at"],
    found: ({ checkpoint_id: id }) => ["GET", `/checkpoints/${String(id)}`],
  },
  openwop: {
    path: "/v1/webhooks",
    body: { url: "https://a.example/", events: ["run.completed"] },
    times: [],
    found: ({ subscriptionId: id }) => ["DELETE", `/v1/webhooks/${String(id)}`],
  },
};

const STORAGES = ["memory", "sqlite", "postgres"] as const;

function raise(message: string): never {
  throw new Error(message);
}

async function operationsOf(app: HttpApp, name: string, base: string): Promise<readonly Operation[]> {
  const { paths } = (await app.json("GET", "/openapi.json")).body as Document;
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, { tags, requestBody }]) =>
      tags[0] === name
        ? [
            {
              method: method.toUpperCase(),
              path: path.slice(base.length).replaceAll(/\{\w+\}/g, "x"),
              hasBody: requestBody !== undefined,
            },
          ]
        : [],
    ),
  );
}

describe.each(Object.entries(PROTOCOLS))("%s", (name, factory: ProtocolFactory) => {
  const isEnveloped = ENVELOPES[name] ?? (() => false);
  const base = factory().path;
  const open = (options: Partial<AppOptions> = {}) => openHttpApp({ protocols: [factory()], ...options });
  const openOn = async (storage: (typeof STORAGES)[number], options: Partial<AppOptions> = {}): Promise<HttpApp> => {
    const { uri, drop } = await createStorage(storage);
    const app = await open({ storage: uri, ...options });
    atEnd(async () => {
      await app.close();
      await drop();
    });
    return app;
  };
  const { path: makes, body: made, times, found } = MADE[name] ?? raise(`${name} has no row in MADE`);
  /** What a client of OpenWOP's second major says; others don't look. */
  const headers = { "openwop-version": "2.0" };

  async function expectEnvelope(response: Response, status: number): Promise<void> {
    const text = await response.text();
    expect([response.status, response.headers.get("content-type"), text]).toEqual([
      status,
      expect.stringMatching(/^application\/json/),
      expect.any(String),
    ]);
    expect({ text, isEnveloped: isEnveloped(JSON.parse(text), status) }).toEqual({ text, isEnveloped: true });
  }

  it("mount rule 1: under a prefix, in an app around, and on a port of its own", async () => {
    const app = await open({ http: { basePath: "/based" } });
    const parent = new Hono().route("/outer", app.app);
    const { paths } = (await (await app.request("GET", "/based/openapi.json")).json()) as Document;
    const open200 = Object.keys(paths).find((path) => /\/(?:health|healthz|\.well-known\/\w+)$/.test(path)) ?? "";
    expect((await parent.request(`/outer/based${open200}`)).status).toBe(200);
    const alone = await openHttpApp({ protocols: [factory({ port: 0 })] });
    const listener = await listen(alone, { port: 0 });
    atEnd(() => listener.close({ graceMs: 0 }));
    const own = open200.slice(open200.indexOf(base) + base.length);
    expect((await fetch(`${listener.protocols[name]?.url}${own}`)).status).toBe(200);
    await expectEnvelope(await fetch(`${listener.protocols[name]?.url}/threads`), 404);
  });

  it("mount rule 2: at the root only where nobody else is there", async () => {
    const atRoot = openHttpApp({ protocols: [factory({ path: "/" })] });
    const outcome = await atRoot.then(
      (app) => app.request("GET", "/threads/x").then(({ status }) => status),
      (error: { readonly code: string }) => error.code,
    );
    expect(outcome).toBe(name === "state-store" || name === "openwop" ? 422 : "CONFIG_INVALID");
  });

  it("mount rule 3: no route is moved, whatever slash is too much", async () => {
    const app = await open();
    for (const { method, path } of await operationsOf(app, name, base)) {
      const response = await app.request(method, `${base}${path}/`, undefined, { headers });
      expect({ path, isMoved: response.status >= 300 && response.status < 400 }).toEqual({ path, isMoved: false });
    }
  });

  it("mount rule 4: unknown paths, wrong methods, no JSON, too large a body, no credentials, too many requests", async () => {
    const app = await open({ limits: { maxBodyBytes: 1_000 } });
    const operations = await operationsOf(app, name, base);
    await expectEnvelope(await app.request("GET", `${base}/no/such/route/here`), 404);
    for (const { path } of operations) {
      const response = await app.request("PROPFIND", base + path, undefined, { headers });
      await expectEnvelope(response, 405);
    }
    const keyed = await open({ auth: apiKey() });
    for (const { method, path } of operations) {
      const response = await keyed.request(method, base + path, undefined, { headers });
      // Some are for everybody.
      if (response.status === 401) await expectEnvelope(response, 401);
    }
    const limited = await open({ limits: { requestsPerCaller: { perSecond: 0.001, burst: 1 } } });
    const guarded = operations.find(({ hasBody }) => hasBody);
    await limited.request("POST", base + (guarded?.path ?? ""), "{}", { headers });
    const second = await limited.request(guarded?.method ?? "POST", base + (guarded?.path ?? ""), "{}", { headers });
    expect(second.headers.get("retry-after")).toMatch(/^\d+$/);
    await expectEnvelope(second, 429);
  });

  it("mount rule 4: what fails inside, which is not told", async () => {
    const fails = () => {
      throw new Error("the password is hunter2");
    };
    const auth = new Auth().authenticate(() => ({ identity: "ada", permissions: [] })).on("*", fails);
    const app = await open({ auth });
    const response = await app.request("POST", base + makes, made);
    const copy = response.clone();
    await expectEnvelope(response, 500);
    expect(await copy.text()).not.toContain("hunter2");
  });

  it.each(STORAGES)("mount rule 5: what is one's is another's 404, on %s", async (storage) => {
    const app = await openOn(storage, { auth: apiKey() });
    const as = async (identity: string) => {
      const { secret } = await app.apiKeys.create({ identity, permissions: ["*"] });
      return (method: string, path: string, body?: object) =>
        app.request(method, base + path, body, { headers: { authorization: `Bearer ${secret}` } });
    };
    const [ada, bob] = [await as("ada"), await as("bob")];
    const answer = await ada("POST", makes, made);
    expect(answer.status).toBeLessThan(300);
    const asked = found((await answer.json()) as Record<string, unknown>);
    await expectEnvelope(await bob(...asked), 404);
    expect((await ada(...asked)).status).toBeLessThan(300);
  });

  it("mount rule 5: a scheme in whichever case, and nothing without a key", async () => {
    const app = await open({ auth: apiKey() });
    const { secret } = await app.apiKeys.create({ identity: "ada", permissions: ["*"] });
    let refused = 0;
    for (const { method, path } of await operationsOf(app, name, base)) {
      const nobody = await app.request(method, base + path, undefined, { headers });
      const bearer = { ...headers, authorization: `bEaReR ${secret}` };
      const ada = await app.request(method, base + path, undefined, { headers: bearer });
      await ada.body?.cancel();
      refused += nobody.status === 401 ? 1 : 0;
      expect({ path, status: ada.status }).not.toEqual({ path, status: 401 });
    }
    expect(refused).toBeGreaterThan(3);
  });

  it.each(STORAGES)(
    "mount rule 6: bodies that are no objects are the client's fault, whatever they are, on %s",
    async (storage) => {
      const app = await openOn(storage, { http: { maxBodyBytes: 1_000 } });
      const withBody = (await operationsOf(app, name, base)).filter(({ hasBody }) => hasBody);
      expect(withBody.length).toBeGreaterThan(0);
      for (const { method, path } of withBody) {
        for (const body of ["[]", '"x"', "1", "null", "nonsense", "{", "\u0000", ""]) {
          const response = await app.request(method, base + path, body, { headers });
          const told = { method, path, body, status: response.status };
          expect(told).toEqual({ ...told, status: expect.toSatisfy((status: number) => status < 500) as number });
          if (response.status >= 400) await expectEnvelope(response, response.status);
          // What is empty may mean that nothing is said.
          const mayPass = body === "" || body === "null";
          expect({ ...told, isTaken: response.status < 400 && !mayPass }).toEqual({ ...told, isTaken: false });
        }
        const large = await app.request(method, base + path, `{"x":"${"x".repeat(2_000)}"}`, { headers });
        // Who has no link that is one is told so first.
        await expectEnvelope(large, path.includes("/interrupts/") ? large.status : 413);
        expect(large.status).toBeGreaterThanOrEqual(404);
      }
      expect(app.log.filter(({ level }) => level === "error")).toEqual([]);
    },
  );

  it.each(STORAGES)("mount rule 7: times are ISO 8601 in UTC, with milliseconds, on %s", async (storage) => {
    const app = await openOn(storage, { auth: apiKey() });
    const { secret } = await app.apiKeys.create({ identity: "ada", permissions: ["*"] });
    const as = { headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" } };
    const answer = (await (await app.request("POST", base + makes, made, as)).json()) as Record<string, unknown>;
    for (const time of times) expect(answer[time]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    // Whoever gives such an answer a time adds it to the table.
    expect(/\d{4}-\d\d-\d\d/.test(JSON.stringify(answer))).toBe(times.length > 0);
  });

  it("mount rule 8: headers that its clients read are exposed to pages", async () => {
    const app = await open();
    const response = await app.request("GET", `${base}/nowhere`, undefined, {
      headers: { origin: "https://a.example" },
    });
    const exposed = response.headers.get("access-control-expose-headers")?.split(",");
    expect(exposed).toEqual(expect.arrayContaining([...(EXPOSED[name] ?? ["?"]), "x-request-id"]));
  });
});
