import { describe, expect, test } from "vitest";
import { openHttpApp } from "./app.js";

const MISSING = "01a200be-4578-7232-be96-50610380c170";

describe("bodies", () => {
  test("an empty body is {}, the content type does not matter", async () => {
    const app = await openHttpApp();
    expect((await app.request("POST", "/threads")).status).toBe(200);
    expect((await app.request("POST", "/threads", "")).status).toBe(200);
    for (const type of ["text/plain;charset=UTF-8", "application/json; charset=utf-8", "application/octet-stream"]) {
      const headers = { "content-type": type };
      const response = await app.request("POST", "/threads", { metadata: { type } }, { headers });
      expect(await response.json()).toMatchObject({ metadata: { type } });
    }
  });

  test("malformed JSON is 400, what a schema refuses is 422 and named", async () => {
    const app = await openHttpApp();
    expect(await app.json("POST", "/threads", "{")).toMatchObject({
      status: 400,
      body: { detail: "Malformed JSON in request body" },
    });
    expect(await app.json("POST", "/threads/search", { limit: 0 })).toMatchObject({
      status: 422,
      body: { detail: "limit: Too small: expected number to be >=1" },
    });
    expect(await app.json("POST", "/threads", "[]")).toMatchObject({ status: 422 });
    expect(await app.json("POST", "/runs", "{}")).toMatchObject({
      status: 422,
      body: { detail: "assistant_id: is required (expected string)" },
    });
    expect(await app.json("POST", "/runs", { assistant_id: "echo", webhook: "http://x/" })).toMatchObject({
      status: 422,
      body: { detail: expect.stringMatching(/^webhook: must be https/) as string },
    });
  });

  test("too large is 413, announced or not", async () => {
    const app = await openHttpApp({ http: { maxBodyBytes: 100 } });
    const large = JSON.stringify({ metadata: { text: "x".repeat(200) } });
    expect((await app.request("POST", "/threads", large)).status).toBe(413);
    const headers = { "content-length": String(large.length) };
    expect((await app.request("POST", "/threads", large, { headers })).status).toBe(413);
    let pulled = 0;
    const endless = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          pulled += 1;
          controller.enqueue(new Uint8Array(60));
        },
      },
      { highWaterMark: 0 },
    );
    const response = await app.request("POST", "/threads", undefined, { body: endless, duplex: "half" } as RequestInit);
    expect(response.status).toBe(413);
    expect(pulled).toBeLessThan(5);
  });

  test("deep nesting is refused and breaks nothing", async () => {
    const app = await openHttpApp();
    const deep = `{"metadata":{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}}`;
    expect(await app.json("POST", "/threads", deep)).toMatchObject({
      status: 422,
      body: { detail: "The JSON is nested too deeply: at most 500 levels (limits.maxJsonDepth)" },
    });
    expect((await app.request("POST", "/threads")).status).toBe(200);
  });

  test("NUL is replaced, prototype names are plain keys", async () => {
    const app = await openHttpApp();
    const created = await app.json("POST", "/threads", '{"metadata":{"n":"a\\u0000b","__proto__":{"x":1}}}');
    const { thread_id: id } = created.body as { thread_id: string };
    const text = await (await app.request("GET", `/threads/${id}`)).text();
    expect(text).toContain('"metadata":{"n":"a\ufffdb","__proto__":{"x":1}}');
  });
});

describe("errors", () => {
  test("ids of paths are UUIDs, unknown ones 404", async () => {
    const app = await openHttpApp();
    expect(await app.json("GET", "/threads/nonsense")).toMatchObject({
      status: 422,
      body: { detail: "thread_id: expected a UUID" },
    });
    for (const path of ["", "/state", "/history", "/runs"]) {
      expect(await app.json("GET", `/threads/${MISSING}${path}`)).toMatchObject({
        status: 404,
        body: { detail: `Thread with ID ${MISSING} not found` },
      });
    }
    expect(await app.json("POST", `/threads/${MISSING}/copy`)).toMatchObject({
      status: 409,
      body: { detail: "Thread not found" },
    });
    const threadId = await app.newThread();
    for (const path of ["", "/join", "/stream"]) {
      expect(await app.json("GET", `/threads/${threadId}/runs/${MISSING}${path}`)).toMatchObject({
        status: 404,
        body: { detail: "Run not found" },
      });
    }
    expect((await app.request("GET", `/runs/${MISSING}/stream`)).status).toBe(404);
  });

  test("unknown routes are 404, unknown methods of literal paths 405", async () => {
    const app = await openHttpApp();
    const threadId = await app.newThread();
    for (const [method, path] of [
      ["GET", "/nothing"],
      ["POST", "/internal/truncate"],
      ["PATCH", `/threads/${threadId}/state`],
    ] as const) {
      expect(await app.json(method, path), path).toMatchObject({ status: 404, body: { detail: "Not Found" } });
    }
    const refused = await app.request("GET", "/runs/wait");
    expect(refused.status).toBe(405);
    expect(refused.headers.get("allow")).toBe("POST");
    expect((await app.request("DELETE", "/threads")).status).toBe(405);
  });

  test("a fault of the server tells an id, not its text, and is logged under that id", async () => {
    const app = await openHttpApp();
    app.services.threads.count = () => Promise.reject(new Error("password=hunter2"));
    const response = await app.request("POST", "/threads/count", {}, { headers: { "x-request-id": "my-id" } });
    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({ detail: "Internal server error (request my-id)" });
    const line = app.log.find(({ level }) => level === "error");
    expect(line?.fields).toMatchObject({ requestId: "my-id", err: new Error("password=hunter2") });
  });
});

describe("what every answer carries", () => {
  test("a request id, the client's if it is decent", async () => {
    const app = await openHttpApp();
    const idOf = async (sent: string) =>
      (await app.request("GET", "/ok", undefined, { headers: { "x-request-id": sent } })).headers.get("x-request-id");
    expect(await idOf("abc-1")).toBe("abc-1");
    expect(await idOf("a b")).toMatch(/^[0-9a-f-]{36}$/);
    expect(await idOf("x".repeat(200))).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("one log line per request, without query and payload", async () => {
    const app = await openHttpApp();
    await app.request("GET", "/store/items?namespace=secret&key=secret");
    await app.request("POST", "/threads", { metadata: { token: "secret" } });
    const lines = app.log.filter(({ message }) => message === "request");
    expect(lines.map(({ fields }) => [fields["method"], fields["path"], fields["status"]])).toEqual([
      ["GET", "/store/items", 200],
      ["POST", "/threads", 200],
    ]);
    expect(JSON.stringify(lines)).not.toContain("secret");
  });
});

describe("CORS", () => {
  test("open by default; the headers that clients read are exposed", async () => {
    const app = await openHttpApp();
    for (const [method, path] of [
      ["GET", "/ok"],
      ["GET", "/nothing"],
      ["GET", "/threads/x"],
    ] as const) {
      const { headers } = await app.request(method, path, undefined, { headers: { origin: "https://a.test" } });
      expect(headers.get("access-control-allow-origin")).toBe("*");
      const exposed = headers.get("access-control-expose-headers")?.split(",");
      expect(exposed).toEqual(
        expect.arrayContaining([
          "content-location",
          "location",
          "x-pagination-total",
          "x-pagination-next",
          "x-request-id",
        ]),
      );
      expect(headers.get("access-control-allow-credentials")).toBeNull();
    }
  });

  test("preflight", async () => {
    const app = await openHttpApp();
    const headers = { origin: "https://a.test", "access-control-request-headers": "x-api-key,content-type" };
    const response = await app.request("OPTIONS", "/threads/search", undefined, { headers });
    expect(response.status).toBe(204);
    expect(response.headers.get("access-control-allow-headers")).toBe("x-api-key,content-type");
    expect(response.headers.get("access-control-allow-methods")).toContain("PATCH");
  });

  test("a list of origins, with credentials", async () => {
    const cors = {
      allowOrigins: ["https://a.test"],
      allowCredentials: true,
      maxAgeSeconds: 60,
      exposeHeaders: ["x-mine"],
    };
    const app = await openHttpApp({ http: { cors } });
    const ask = (method: string, origin: string) => app.request(method, "/ok", undefined, { headers: { origin } });
    const good = (await ask("GET", "https://a.test")).headers;
    expect(good.get("access-control-allow-origin")).toBe("https://a.test");
    expect(good.get("access-control-allow-credentials")).toBe("true");
    expect(good.get("access-control-expose-headers")).toContain("x-mine");
    expect(good.get("vary")).toBe("Origin");
    expect((await ask("GET", "https://b.test")).headers.get("access-control-allow-origin")).toBeNull();
    const preflight = (await ask("OPTIONS", "https://a.test")).headers;
    expect(preflight.get("access-control-max-age")).toBe("60");
    expect((await ask("OPTIONS", "https://b.test")).headers.get("access-control-allow-methods")).toBeNull();
  });

  test("off", async () => {
    const app = await openHttpApp({ http: { cors: false } });
    const { headers } = await app.request("GET", "/ok", undefined, { headers: { origin: "https://a.test" } });
    expect(headers.get("access-control-allow-origin")).toBeNull();
  });
});
