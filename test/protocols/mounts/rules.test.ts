import { connect } from "node:net";
import { Hono } from "hono";
import { describe, expect, it } from "vitest";
import type { AppOptions } from "../../../src/config/options.js";
import { openHttpApp } from "../../http/app.js";
import { atEnd, closeAtEnd, listening } from "../../http/listening.js";
import { listen } from "../../../src/node/listen.js";
import { apiKey } from "../../../src/auth/api-key.js";
import { createStorage } from "../../support/server.js";
import { echo, echoRoute } from "./echo.js";

closeAtEnd();

interface Said {
  readonly route?: string;
  readonly params?: Record<string, string>;
  readonly url?: string;
  readonly identity?: string | null;
  readonly oops?: { readonly status: number; readonly code: string; readonly message: string };
}

const open = (options: Partial<AppOptions> = {}) => openHttpApp({ protocols: [echo()], ...options });
const said = async (response: Response | Promise<Response>) => (await (await response).json()) as Said;

/** One request as it is typed, over a socket: nothing normalises its target. */
function rawRequest(url: string, target: string, method = "GET"): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => {
      socket.write(`${method} ${target} HTTP/1.1\r\nhost: ${hostname}:${port}\r\nconnection: close\r\n\r\n`);
    });
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => (text += chunk));
    socket.on("end", () => resolve(text));
    socket.on("error", reject);
  });
}

const bodyOf = (answer: string): Said => JSON.parse(/\{.*\}/s.exec(answer)?.[0] ?? "{}") as Said;

describe("mount rule 1: under whichever prefix, and URLs that have it", () => {
  it("mount rule 1: at its default path, below http.basePath, in an app around, and all at once", async () => {
    const plain = await open();
    expect(await said(plain.request("GET", "/echo/v1/things"))).toMatchObject({ url: "/echo/v1/things" });
    const based = await open({ http: { basePath: "/agent" } });
    expect(await said(based.request("GET", "/agent/echo/v1/things"))).toMatchObject({ url: "/agent/echo/v1/things" });
    expect((await based.request("GET", "/echo/v1/things")).status).toBe(404);
    const parent = new Hono().route("/api/:tenant", based.app);
    const answer = await said(parent.request("/api/acme/agent/echo/v1/things/a%2Fb"));
    expect(answer).toMatchObject({ params: { thing_id: "a/b" }, url: "/api/acme/agent/echo/v1/things" });
    expect((await parent.request("/api/acme/agent/ok")).status).toBe(200);
  });

  it("mount rule 1: at the root, where what is not its own stays what it was", async () => {
    const app = await open({ protocols: [echo({ path: "/" })] });
    expect(await said(app.request("GET", "/v1/things"))).toMatchObject({ url: "/v1/things" });
    expect(await said(app.request("POST", "/v1/things:bulk-cancel"))).toMatchObject({
      route: "post /v1/things:bulk-cancel",
    });
    expect(await said(app.request("GET", "/.well-known/echo"))).toMatchObject({ route: "get /.well-known/echo" });
    expect(await said(app.request("GET", "/v1/things/a/b/c"))).toMatchObject({
      oops: { status: 404, code: "NO_ROUTE" },
    });
    expect(await (await app.request("GET", "/v1/others")).json()).toEqual({ detail: "Not Found" });
    expect((await app.request("GET", "/ok")).status).toBe(200);
    const around = new Hono();
    around.route("/", app.app);
    around.get("/v1/mine", (context) => context.text("mine"));
    expect(await (await around.request("/v1/mine")).text()).toBe("mine");
    expect(await said(around.request("/v1/things/x"))).toMatchObject({ params: { thing_id: "x" } });
  });

  it("mount rule 1: on a port of its own, which closes with the server", async () => {
    const app = await open({ protocols: [echo({ port: 0 })], http: { basePath: "/agent" } });
    const listener = await listen(app, { port: 0 });
    atEnd(() => listener.close({ graceMs: 0 }));
    const url = listener.protocols["echo"]?.url ?? "";
    expect(url).not.toBe(listener.url);
    expect(await said(fetch(`${url}/v1/things/x`))).toMatchObject({ params: { thing_id: "x" }, url: "/v1/things" });
    expect(await said(fetch(`${url}/ok`))).toMatchObject({ oops: { code: "NO_ROUTE" } });
    expect((await fetch(`${listener.url}/agent/echo/v1/things`)).status).toBe(404);
    await listener.close({ graceMs: 0 });
    await expect(fetch(`${url}/v1/things`)).rejects.toThrow("fetch failed");
  });

  it("mount rule 1: alone, for code in the same process", async () => {
    const app = await open({ http: { basePath: "/agent" } });
    const alone = app.protocols["echo"];
    expect(alone).toMatchObject({ path: "/agent/echo", port: null });
    const response = alone?.fetch(new Request("http://localhost/agent/echo/v1/things"));
    expect(await said(response ?? Response.error())).toMatchObject({ url: "/agent/echo/v1/things" });
  });
});

describe("mount rule 2: overlapping mounts are refused at start", () => {
  const at = (path: string, name = "other") => echo({ path }, { name });
  const runs = (name: string) => echo({ path: "/" }, { name, routes: [echoRoute("get", "/runs/{run_id}")] });

  it.each([
    [
      "two at the root with a path in common",
      [echo({ path: "" }), at("")],
      /other at "\/" and echo at "\/" .* port of its own/,
    ],
    ["one at the root and one below its paths", [echo({ path: "" }), at("/v1/things/x")], /both answer \/v1\/things/],
    ["one inside another", [echo({ path: "/a" }), at("/a/b")], /other at "\/a\/b" and echo at "\/a" /],
    ["the same path", [echo({ path: "/a" }), at("/a")], /would both answer \/a\b/],
    ["a path of the LangGraph API", [echo({ path: "/threads" })], /echo at "\/threads" and the LangGraph API/],
    [
      "routes of the LangGraph API at the root",
      [runs("v2")],
      /v2 at "\/" and the LangGraph API would both answer \/runs/,
    ],
    [
      "one that never shares the root",
      [echo({ path: "/" }, { name: "shy", sharesRoot: false })],
      /shy can't share the root/,
    ],
    ["the same twice", [echo({ path: "/a" }), echo({ path: "/b" })], /echo is named twice/],
  ])("mount rule 2: %s", async (_, protocols, message) => {
    await expect(open({ protocols })).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringMatching(message) as string,
    });
  });

  it("mount rule 2: neighbours, and ports of their own, are fine", async () => {
    const app = await open({
      protocols: [echo({ path: "/a" }), at("/ab"), echo({ port: 0 }, { name: "third", sharesRoot: false })],
    });
    expect(await said(app.request("GET", "/ab/v1/things"))).toMatchObject({ url: "/ab/v1/things" });
  });
});

describe("mount rule 3: no redirects", () => {
  it.each(["/echo", "/echo/", "/echo/v1/things/", "/echo/v1//things", "/echo//v1/things", "/echo/v1/things/a/"])(
    "mount rule 3: %s is unknown, not moved",
    async (path) => {
      const app = await open();
      for (const method of ["GET", "POST"]) {
        const response = await app.request(method, path);
        expect(response.status).toBe(404);
        expect(await said(response)).toMatchObject({ oops: { code: "NO_ROUTE" } });
      }
    },
  );
});

describe("mount rule 4: every failure in the protocol's own envelope", () => {
  it.each([
    ["GET", "/echo/nowhere", undefined, 404, "NO_ROUTE"],
    ["PUT", "/echo/v1/things", undefined, 405, "WRONG_METHOD"],
    ["TRACE2", "/echo/v1/things", undefined, 405, "WRONG_METHOD"],
    ["POST", "/echo/v1/things", "{", 400, "MALFORMED_JSON"],
    ["POST", "/echo/v1/things", `{"value":"${"x".repeat(300)}"}`, 413, "PAYLOAD_TOO_LARGE"],
    ["GET", "/echo/v1/gone", undefined, 404, "NOT_FOUND"],
    ["GET", "/echo/v1/boom", undefined, 500, "INTERNAL"],
    ["GET", `/echo/v1/things/${"x".repeat(9000)}`, undefined, 414, "URI_TOO_LONG"],
    ["GET", "/echo/v1/things/%ff", undefined, 400, "INVALID_REQUEST"],
    ["GET", "/echo/v1/things/%00", undefined, 400, "INVALID_REQUEST"],
  ])("mount rule 4: %s %# is told", async (method, path, body, status, code) => {
    const app = await open({ http: { maxBodyBytes: 256 } });
    const response = await app.request(method, path, body, { headers: { "x-request-id": "r-1" } });
    expect(response.status).toBe(status);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(response.headers.get("x-request-id")).toBe("r-1");
    expect(response.headers.get("traceparent")).toBe("00-1-2-00");
    const { oops } = await said(response);
    expect(oops).toMatchObject({ status, code });
    expect(oops?.message).not.toContain("hunter2");
    expect(app.log.filter(({ message }) => message === "request").map(({ fields }) => fields["status"])).toEqual([
      status,
    ]);
    expect(app.log.some(({ level }) => level === "error")).toBe(status === 500);
    expect(response.headers.get("allow")).toBe(status === 405 ? "GET, POST" : null);
  });

  it("mount rule 4: also limits, and what a worker refuses", async () => {
    const limited = await open({ limits: { requestsPerCaller: { perSecond: 0.001, burst: 1 } } });
    await limited.request("GET", "/echo/v1/things");
    const second = await limited.request("GET", "/echo/v1/things");
    expect([second.status, second.headers.get("retry-after")]).toEqual([429, expect.stringMatching(/^\d+$/)]);
    expect(await said(second)).toMatchObject({ oops: { code: "RATE_LIMITED" } });
    const { uri, drop } = await createStorage("sqlite");
    atEnd(drop);
    const worker = await open({ role: "worker", storage: uri });
    const refused = await worker.request("GET", "/echo/v1/things");
    expect(refused.status).toBe(503);
    expect(await said(refused)).toMatchObject({ oops: { message: expect.stringContaining("worker") as string } });
  });
});

describe("mount rule 5: callers, and what is theirs", () => {
  it("mount rule 5: Bearer in whichever case; refusals in the envelope; public routes are open", async () => {
    const app = await open({ auth: apiKey() });
    const { secret } = await app.apiKeys.create({ identity: "ada", permissions: ["threads:read"] });
    const refused = await app.request("GET", "/echo/v1/things");
    expect(refused.status).toBe(401);
    expect(await said(refused)).toMatchObject({ oops: { code: "UNAUTHENTICATED" } });
    for (const scheme of ["Bearer", "bearer", "BEARER"]) {
      const headers = { authorization: `${scheme} ${secret}` };
      expect(await said(app.request("GET", "/echo/v1/things", undefined, { headers }))).toMatchObject({
        identity: "ada",
      });
    }
    expect(await said(app.request("GET", "/echo/.well-known/echo"))).toMatchObject({ route: "get /.well-known/echo" });
    // Unknown paths tell nobody anything.
    expect((await app.request("GET", "/echo/nowhere")).status).toBe(404);
  });
});

describe("mount rule 6: bodies that are no objects", () => {
  it.each(["[]", '"x"', "null", "1", "", " ", "nonsense", "{", "\u0000", '{"value"}', '{"value":1}x'])(
    "mount rule 6: %j is refused, not failed at",
    async (body) => {
      const app = await open();
      const response = await app.request("POST", "/echo/v1/things", body);
      expect(response.status).toBe(400);
      expect(await said(response)).toMatchObject({ oops: { status: 400 } });
    },
  );
});

describe("mount rule 8: headers that pages may read", () => {
  it("mount rule 8: the protocol's own, on every answer and not on others' answers", async () => {
    const app = await open();
    const origin = { headers: { origin: "https://page.example" } };
    for (const path of ["/echo/v1/things", "/echo/nowhere", "/echo/v1/boom"]) {
      const exposed = (await app.request("GET", path, undefined, origin)).headers.get("access-control-expose-headers");
      expect(exposed?.split(",")).toEqual(expect.arrayContaining(["etag", "traceparent", "x-request-id"]));
    }
    const other = (await app.request("GET", "/ok", undefined, origin)).headers.get("access-control-expose-headers");
    expect(other).not.toContain("traceparent");
    const preflight = await app.request("OPTIONS", "/echo/v1/things/x", undefined, {
      headers: {
        ...origin.headers,
        "access-control-request-method": "DELETE",
        "access-control-request-headers": "if-match",
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-methods")).toContain("DELETE");
    expect(preflight.headers.get("access-control-allow-headers")).toBe("if-match");
  });

  it("mount rule 8: none with CORS switched off, and OPTIONS is a method like others", async () => {
    const app = await open({ http: { cors: false } });
    const response = await app.request("GET", "/echo/v1/things", undefined, {
      headers: { origin: "https://page.example" },
    });
    expect(response.headers.get("access-control-expose-headers")).toBeNull();
    expect((await app.request("OPTIONS", "/echo/v1/things")).status).toBe(405);
  });
});

describe("paths", () => {
  it.each([
    ["/v1/things/a%2Fb", { thing_id: "a/b" }, "get /v1/things/{thing_id}"],
    ["/v1/things/a%252Fb", { thing_id: "a%2Fb" }, "get /v1/things/{thing_id}"],
    ["/v1/things/%2e%2e", { thing_id: ".." }, "get /v1/things/{thing_id}"],
    ["/v1/things/%2E", { thing_id: "." }, "get /v1/things/{thing_id}"],
    ["/v1/things/%2e%2e/%2e", { thing_id: "..", part: "." }, "get /v1/things/{thing_id}/{part}"],
    ["/v1/things/%E2%82%AC%20x", { thing_id: "€ x" }, "get /v1/things/{thing_id}"],
    ["/v1/things/a+b", { thing_id: "a+b" }, "get /v1/things/{thing_id}"],
    ["/v1/things/latest", {}, "get /v1/things/latest"],
    ["/v1/things/a/whole", { thing_id: "a" }, "get /v1/things/{thing_id}/whole"],
    ["/v1/things/a%3Ab:c", { thing_id: "a:b:c" }, "get /v1/things/{thing_id}"],
    ["/v1/things/x?thing_id=y", { thing_id: "x" }, "get /v1/things/{thing_id}"],
  ])("%s", async (path, params, route) => {
    const url = await listening(await open());
    expect(bodyOf(await rawRequest(url, `/echo${path}`))).toMatchObject({ params, route });
  });

  it.each(["/v1/things/x:fork", "/v1/things/x%3Afork", "/v1/things/a%2F:b:fork"])("POST %s", async (path) => {
    const url = await listening(await open());
    expect(bodyOf(await rawRequest(url, `/echo${path}`, "POST"))).toMatchObject({
      route: "post /v1/things/{thing_id}:fork",
    });
  });

  it("bare dots are what they are everywhere", async () => {
    const url = await listening(await open());
    expect(bodyOf(await rawRequest(url, "/echo/v1/x/../things/y"))).toMatchObject({ params: { thing_id: "y" } });
    expect(await rawRequest(url, "/echo/../ok")).toContain('"ok":true');
  });

  it("a suffix without its parameter, and one that nothing has, are unknown or ids", async () => {
    const app = await open();
    expect((await app.request("POST", "/echo/v1/things/:fork")).status).toBe(405);
    expect((await app.request("POST", "/echo/v1/things:unknown")).status).toBe(404);
    expect((await app.request("HEAD", "/echo/v1/things/x")).status).toBe(200);
  });
});
