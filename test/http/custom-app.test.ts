import { Auth, HTTPException } from "@langchain/langgraph-sdk/auth";
import { type Context, Hono, type Next } from "hono";
import { HTTPException as HonoException } from "hono/http-exception";
import { once } from "node:events";
import { WebSocket } from "ws";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { listen } from "../../src/node/listen.js";
import type { AuditEntry } from "../../src/core/audit.js";
import { openHttpApp } from "./app.js";

const ANN = { headers: { authorization: "ann" } };
/** Who sends a name is let in under it. */
const auth = new Auth().authenticate((request) => {
  const identity = request.headers.get("authorization");
  if (identity === null) throw new HTTPException(401, { message: "Who are you?" });
  return identity;
});

/** What a custom app did, in order. */
function customApp(seen: string[] = []): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    seen.push(`before ${context.req.method} ${context.req.path}`);
    await next();
    context.header("x-custom", "around");
  });
  app.get("/hello", (context) =>
    context.json({ hello: (context.get("auth" as never) as { user: unknown } | undefined)?.user ?? null }),
  );
  app.get("/info", (context) =>
    context.req.query("interrupt") === undefined ? context.notFound() : context.text("mine"),
  );
  app.post("/threads", (context) => context.json({ shadowed: true }));
  app.get("/throws", () => {
    throw new Error("password=hunter2");
  });
  app.get("/teapot", () => {
    throw new HonoException(418, { message: "short and stout" });
  });
  app.use("/scoped/*", async (_, next) => {
    seen.push("scoped");
    await next();
  });
  app.get("/scoped/a", (context) => context.text("a"));
  // What `mount` of Hono 4 adds.
  app.all("/mounted/*", async (context, next) => {
    if (context.req.path.endsWith("/next")) await next();
    return new Response("mounted");
  });
  return app;
}

describe("a custom app without authentication", () => {
  test("its routes win over ours, its middleware is around ours, and what it has not is 404 as ever", async () => {
    const seen: string[] = [];
    const app = await openHttpApp({ http: { app: customApp(seen) } });
    const hello = await app.request("GET", "/hello");
    expect(await hello.json()).toEqual({ hello: null });
    expect(hello.headers.get("x-custom")).toBe("around");
    expect(hello.headers.get("x-request-id")).toMatch(/./);
    expect(hello.headers.get("access-control-allow-origin")).toBe("*");
    expect(await app.json("POST", "/threads", {})).toMatchObject({ body: { shadowed: true } });
    expect(await (await app.request("GET", "/info?interrupt=1")).text()).toBe("mine");
    const ours = await app.request("POST", "/threads/search", {});
    expect(ours.status).toBe(200);
    expect(ours.headers.get("x-custom")).toBe("around");
    expect(seen).toContain("before POST /threads/search");
    expect(await app.json("GET", "/nothing")).toMatchObject({ status: 404, body: { detail: "Not Found" } });
    expect(await (await app.request("GET", "/mounted/x")).text()).toBe("mounted");
    expect(app.log.some(({ fields }) => fields["path"] === "/hello" && fields["status"] === 200)).toBe(true);
  });

  test("what it throws is answered as it says, or without its text", async () => {
    const app = await openHttpApp({ http: { app: customApp() } });
    const fault = await app.json("GET", "/throws");
    expect(fault.status).toBe(500);
    expect(JSON.stringify(fault.body)).not.toContain("hunter2");
    expect(app.log.some(({ level, fields }) => level === "error" && String(fields["err"]).includes("hunter2"))).toBe(
      true,
    );
    expect((await app.request("GET", "/teapot")).status).toBe(418);
    const own = customApp().onError((_, context) => context.text("own", 599 as never));
    const other = await openHttpApp({ http: { app: own } });
    expect((await other.request("GET", "/throws")).status).toBe(599);
  });

  test("it lies under the base path, answers preflights, and streams pass through its middleware", async () => {
    const app = await openHttpApp({ http: { app: customApp(), basePath: "/api" } });
    expect((await app.request("GET", "/api/hello")).status).toBe(200);
    expect((await app.request("GET", "/hello")).status).toBe(404);
    const preflight = await app.request("OPTIONS", "/api/hello", undefined, {
      headers: { origin: "https://a.example", "access-control-request-method": "GET" },
    });
    expect([preflight.status, preflight.headers.get("access-control-allow-origin")]).toEqual([204, "*"]);
    const stream = await app.request("POST", "/api/runs/stream", { assistant_id: "echo", input: { messages: [] } });
    expect(stream.headers.get("x-custom")).toBe("around");
    expect(await stream.text()).toContain("event: end");
  });

  test("mounted in another app it leaves that app's own routes alone", async () => {
    const server = await openHttpApp({ http: { app: customApp() } });
    const parent = new Hono().get("/own", (context) => context.text("own")).route("/agent", server.app);
    const own = await parent.request("/own");
    expect([await own.text(), own.headers.get("x-custom")]).toEqual(["own", null]);
    expect((await parent.request("/agent/hello")).headers.get("x-custom")).toBe("around");
    expect((await parent.request("/agent/threads/search", { method: "POST" })).status).toBe(200);
  });
});

describe("a custom app with authentication", () => {
  test("its routes are open unless they are asked to be authenticated; ours never are", async () => {
    const app = await openHttpApp({ auth, http: { app: customApp() } });
    expect(await app.json("GET", "/hello")).toMatchObject({ status: 200, body: { hello: null } });
    expect((await app.request("POST", "/threads/search", {})).status).toBe(401);
    expect((await app.request("POST", "/threads/search", {}, ANN)).status).toBe(200);
  });

  test("enableCustomRouteAuth: routes, path middleware and mounted apps; not what is public", async () => {
    const seen: string[] = [];
    const app = await openHttpApp({ auth, http: { app: customApp(seen), enableCustomRouteAuth: true } });
    for (const path of ["/hello", "/scoped/a", "/mounted/x", "/throws"]) {
      expect(await app.json("GET", path), path).toMatchObject({ status: 401, body: { detail: "Who are you?" } });
    }
    expect(seen).not.toContain("scoped");
    // Middleware comes first by default.
    expect(seen).toContain("before GET /hello");
    const hello = await app.request("GET", "/hello", undefined, ANN);
    expect(await hello.json()).toMatchObject({ hello: { identity: "ann" } });
    expect((await app.request("GET", "/scoped/a", undefined, ANN)).status).toBe(200);
    expect((await app.request("GET", "/ok")).status).toBe(200);
  });

  test("auth_first: nothing of the app sees a request of ours that is refused", async () => {
    const seen: string[] = [];
    const app = await openHttpApp({ auth, http: { app: customApp(seen), middlewareOrder: "auth_first" } });
    expect(await app.json("POST", "/threads/search", {})).toMatchObject({
      status: 401,
      body: { detail: "Who are you?" },
    });
    expect(seen).toEqual([]);
    expect((await app.request("GET", "/hello")).status).toBe(200);
    expect((await app.request("GET", "/ok")).status).toBe(200);
    expect((await app.request("POST", "/threads/search", {}, ANN)).status).toBe(200);
    expect((await app.request("GET", "/nothing")).status).toBe(404);

    const strict = await openHttpApp({
      auth,
      http: { app: customApp(seen.splice(0) && seen), middlewareOrder: "auth_first", enableCustomRouteAuth: true },
    });
    expect((await strict.request("GET", "/hello")).status).toBe(401);
    expect(seen).toEqual([]);
    expect((await strict.request("GET", "/hello", undefined, ANN)).status).toBe(200);
  });

  test("auth_first: middleware of a path does not make a route of ours its own", async () => {
    const seen: string[] = [];
    const around = new Hono().use("/threads/*", async (context, next) => {
      seen.push(context.req.path);
      await next();
    });
    for (const basePath of ["", "/api"]) {
      const app = await openHttpApp({ auth, http: { app: around, middlewareOrder: "auth_first", basePath } });
      const path = `${basePath}/threads/search`;
      expect((await app.request("POST", path, {})).status).toBe(401);
      expect(seen).toEqual([]);
      expect((await app.request("POST", path, {}, ANN)).status).toBe(200);
      expect(seen.splice(0)).toEqual([path]);
    }
  });

  test.each(["auth_first", "middleware_first"] as const)(
    "enableCustomRouteAuth, %s: what is mounted over a public path of ours",
    async (middlewareOrder) => {
      // As `mount` of Hono 4 adds it.
      const answer = async (context: Context, next: Next) => {
        if (context.req.query("next") !== undefined) await next();
        return new Response("mounted");
      };
      const mounted = new Hono().all("/docs/*", answer).all("/ui/*", answer);
      const app = await openHttpApp({ auth, http: { app: mounted, middlewareOrder, enableCustomRouteAuth: true } });
      for (const path of ["/docs", "/ui/x/y"]) {
        expect((await app.request("GET", path)).status, path).toBe(401);
        expect(await (await app.request("GET", path, undefined, ANN)).text(), path).toBe("mounted");
      }
      expect((await app.request("GET", "/ok")).status).toBe(200);
    },
  );

  test("limits and the audit log hold for routes and mounted apps, once per request", async () => {
    const entries: AuditEntry[] = [];
    const app = await openHttpApp({
      auth,
      http: { app: customApp(), enableCustomRouteAuth: true },
      limits: { requestsPerCaller: { perSecond: 0.01, burst: 4 } },
      audit: (entry) => void entries.push(entry),
    });
    const paths = ["/hello", "/scoped/a", "/mounted/x", "/mounted/next", "/mounted/x"];
    const statuses: number[] = [];
    for (const path of paths) statuses.push((await app.request("GET", path, undefined, ANN)).status);
    expect(statuses).toEqual([200, 200, 200, 404, 429]);
    expect(entries.map(({ route, identity, code }) => `${route} ${identity} ${code}`)).toEqual([
      "GET /hello ann null",
      "GET /scoped/a ann null",
      "ALL /mounted/* ann null",
      "ALL /mounted/* ann NOT_FOUND",
      "ALL /mounted/* ann RATE_LIMITED",
    ]);
    expect(app.log.filter(({ message }) => message === "request")).toHaveLength(5);
  });

  test("middleware around a route of ours counts its requests once", async () => {
    const entries: AuditEntry[] = [];
    const around = new Hono().use("/threads/*", (_, next) => next());
    const http = { app: around, enableCustomRouteAuth: true };
    const app = await openHttpApp({ auth, http, audit: (entry) => void entries.push(entry) });
    expect((await app.request("POST", "/threads/search", {}, ANN)).status).toBe(200);
    expect(entries).toHaveLength(1);
    expect(app.log.filter(({ message }) => message === "request")).toHaveLength(1);
  });

  test("its requests are held to the head's limits and logged as ours are", async () => {
    const http = { app: customApp(), loggingHeaders: { includes: ["x-team"] } };
    const app = await openHttpApp({ http, limits: { maxUrlBytes: 100, maxHeaderBytes: 512 } });
    expect((await app.request("GET", `/hello?${"q".repeat(200)}`)).status).toBe(414);
    const large = { headers: { "x-large": "a".repeat(600) } };
    expect((await app.request("GET", "/hello", undefined, large)).status).toBe(431);
    expect((await app.request("GET", "/hello", undefined, { headers: { "x-team": "red" } })).status).toBe(200);
    expect(app.log.at(-1)?.fields).toMatchObject({ path: "/hello", status: 200, headers: { "x-team": "red" } });
  });

  test("auth_first: a WebSocket that is refused is closed with 4401, and logged", async () => {
    const app = await openHttpApp({ auth, http: { app: customApp(), middlewareOrder: "auth_first" } });
    const listener = await listen(app, { port: 0 });
    try {
      const url = `${listener.url.replace("http", "ws")}/threads/01a2b3c4-0000-7000-8000-000000000001/stream/events`;
      const socket = new WebSocket(url);
      socket.on("error", () => undefined);
      const [code, reason] = (await once(socket, "close")) as [number, Buffer];
      expect([code, reason.toString()]).toEqual([4401, "Who are you?"]);
      expect(app.log.filter(({ fields }) => fields["status"] === 401)).toHaveLength(1);
    } finally {
      await listener.close({ graceMs: 0 });
    }
  });

  test("who is asked is asked once", async () => {
    let asked = 0;
    const counting = new Auth().authenticate(() => {
      asked += 1;
      return "ann";
    });
    const http = { app: customApp(), middlewareOrder: "auth_first", enableCustomRouteAuth: true } as const;
    const app = await openHttpApp({ auth: counting, http });
    for (const path of ["/hello", "/scoped/a"]) await app.request("GET", path);
    await app.request("POST", "/threads/search", {});
    expect(asked).toBe(3);
  });
});

describe("http.app of a file", () => {
  const dirs: string[] = [];
  afterEach(() => {
    for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
  });
  function project(code: string): string {
    // Inside the tests' folder, so that hono is found as in a project.
    const dir = mkdtempSync(join(import.meta.dirname, "custom-app-"));
    dirs.push(dir);
    writeFileSync(join(dir, "routes.ts"), code);
    return dir;
  }

  test("is loaded as graph files are, by its export", async () => {
    const cwd = project(`import { Hono } from "hono";
      export const app = new Hono().get("/mine", (c) => c.text("from a file" as string));`);
    const server = await openHttpApp({ cwd, http: { app: "./routes.ts:app" } });
    expect(await (await server.request("GET", "/mine")).text()).toBe("from a file");
  });

  test("that is no Hono app, or is not there, is refused by name", async () => {
    const cwd = project("export const app = { fetch() {} };");
    await expect(openHttpApp({ cwd, http: { app: "./routes.ts:app" } })).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringContaining("no Hono app") as string,
    });
    await expect(openHttpApp({ cwd: tmpdir(), http: { app: "./nowhere.ts:app" } })).rejects.toThrow(/http\.app/);
  });
});
