import { Hono } from "hono";
import { describe, expect, test } from "vitest";
import { ROUTES } from "../../src/http/routes/index.js";
import { openHttpApp } from "./app.js";

interface OpenApi {
  openapi: string;
  paths: Record<string, Record<string, { operationId: string; requestBody?: { required: boolean } }>>;
  components: { schemas: Record<string, { properties: object }> };
}

describe("OpenAPI", () => {
  test("3.1, with every route once and every reference resolved", async () => {
    const app = await openHttpApp();
    const text = await (await app.request("GET", "/openapi.json")).text();
    const document = JSON.parse(text) as OpenApi;
    expect(document.openapi).toBe("3.1.0");
    for (const route of ROUTES) expect(document.paths[route.path]).toHaveProperty(route.method);
    const ids = Object.values(document.paths).flatMap((path) =>
      Object.values(path).map(({ operationId }) => operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
    const schemas = Object.keys(document.components.schemas);
    const refs = [...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name);
    expect(refs.length).toBeGreaterThan(10);
    for (const name of refs) expect(schemas).toContain(name);
    expect(text).not.toContain("$defs");
    expect(document.components.schemas["RunCreate"]?.properties).toHaveProperty("multitask_strategy");
    expect(document.paths["/runs"]?.["post"]?.requestBody?.required).toBe(true);
    expect(document.paths["/threads"]?.["post"]?.requestBody?.required).toBe(false);
  });

  test("has no routes that are switched off", async () => {
    const app = await openHttpApp({ http: { disable: ["store"] } });
    const document = (await app.json("GET", "/openapi.json")).body as OpenApi;
    expect(Object.keys(document.paths).filter((path) => path.startsWith("/store"))).toEqual([]);
    expect((await app.request("POST", "/store/items/search", {})).status).toBe(404);
    expect((await app.request("POST", "/threads", {})).status).toBe(200);
  });
});

describe("API reference", () => {
  test("loads nothing from elsewhere, and only files it names", async () => {
    const app = await openHttpApp();
    const page = await app.request("GET", "/docs");
    expect(page.headers.get("content-type")).toContain("text/html");
    const html = await page.text();
    expect(html).not.toMatch(/https?:|"\//);
    const files = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file = ""]) => file);
    expect(files).toHaveLength(4);
    for (const file of files) {
      const response = await app.request("GET", `/${file}`);
      expect(response.status, file).toBe(200);
      expect((await response.arrayBuffer()).byteLength).toBeGreaterThan(50);
    }
    for (const file of ["package.json", "..%2Fpackage.json", "__proto__", "index.html"]) {
      expect((await app.request("GET", `/docs/${file}`)).status, file).toBe(404);
    }
  });
});

describe("system", () => {
  test("/ok, /info", async () => {
    const app = await openHttpApp();
    expect((await app.json("GET", "/ok")).body).toEqual({ ok: true });
    expect((await app.json("GET", "/ok?check_db=1")).body).toEqual({ ok: true });
    expect((await app.json("GET", "/info")).body).toEqual({
      version: expect.stringMatching(/^\d+\.\d+\.\d+/) as string,
      langgraph_js_version: expect.stringMatching(/^1\./) as string,
      context: "js",
      flags: { assistants: true, crons: true, langsmith: false, langsmith_tracing_replicas: true },
    });
  });

  test("with meta switched off /ok stays, and tickets, which say nothing of the server", async () => {
    const app = await openHttpApp({ http: { disable: ["meta"] } });
    expect((await app.json("POST", "/auth/tickets", {})).body).toHaveProperty("ticket");
    expect((await app.json("GET", "/ok?check_db=1")).body).toEqual({ ok: true });
    for (const path of ["/info", "/docs", "/openapi.json"]) expect((await app.request("GET", path)).status).toBe(404);
  });

  test("a server that stops is not ready and takes no runs", async () => {
    const app = await openHttpApp();
    const threadId = await app.newThread();
    await app.close();
    expect((await app.json("GET", "/ok")).body).toEqual({ ok: true });
    const ready = await app.request("GET", "/ok?check_db=1");
    expect(ready.status).toBe(503);
    expect(ready.headers.get("retry-after")).toBe("5");
    for (const path of ["/runs", "/runs/stream", "/runs/wait", `/threads/${threadId}/runs`]) {
      expect(await app.json("POST", path, { assistant_id: "echo" })).toMatchObject({
        status: 503,
        body: { detail: expect.stringContaining("shutting down") as string },
      });
    }
  });
});

describe("mounting", () => {
  test.each(["/agent", "/"])("at %s, the parent keeps its own routes", async (prefix) => {
    const { app } = await openHttpApp();
    const parent = new Hono().route(prefix, app);
    parent.get("/mine", (context) => context.text("mine"));
    parent.get("/threads-of-mine", (context) => context.text("mine"));
    expect(await (await parent.request("/mine")).text()).toBe("mine");
    expect(await (await parent.request("/threads-of-mine")).text()).toBe("mine");
    const base = prefix === "/" ? "" : prefix;
    expect(await (await parent.request(`${base}/ok`)).json()).toEqual({ ok: true });
    const init = { method: "POST", body: JSON.stringify({ assistant_id: "echo", input: { text: "hi" } }) };
    const response = await parent.request(`${base}/runs/wait`, init);
    expect(response.status).toBe(200);
    // Both SDKs put it behind their base URL.
    expect(response.headers.get("location")).toMatch(/^\/threads\/[^/]+\/runs\/[^/]+\/join$/);
    expect((await parent.request(`${base}/threads/nonsense`)).status).toBe(422);
  });

  test("basePath", async () => {
    const app = await openHttpApp({ http: { basePath: "/agent" } });
    expect((await app.request("GET", "/ok")).status).toBe(404);
    expect((await app.request("GET", "/agent/ok")).status).toBe(200);
    expect((await app.request("GET", "/agent/docs/swagger-ui.css")).status).toBe(200);
    expect((await app.request("PUT", "/agent/threads")).status).toBe(405);
  });
});
