import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { v7 } from "uuid";
import { afterAll, beforeAll, expect, test } from "vitest";
import { requestBytes, sendRaw } from "../fuzz/raw-http.js";
import { requester } from "../support/requests.js";
import { startServer, type TestServer } from "../support/server.js";

let server: TestServer;
let directory = "";
const SECRET = "a secret beside the components";
beforeAll(async () => {
  directory = await mkdtemp(join(import.meta.dirname, "../../node_modules/.heddle-hostile-"));
  await mkdir(join(directory, "ui"));
  await writeFile(join(directory, "secret.txt"), SECRET);
  await writeFile(join(directory, "ui/parts.tsx"), "export default { card: () => null };\n");
  server = await startServer("memory", { cwd: directory, ui: { echo: "./ui/parts.tsx" } });
});
afterAll(async () => {
  await server.close();
  await rm(directory, { recursive: true, force: true });
});

const UP = [
  "..",
  "%2e%2e",
  "%2E%2e",
  ".%2e",
  "..%2f..",
  "..%5c..",
  "..\\..",
  "%252e%252e%252f",
  "..;",
  "....//",
  "%c0%ae%c0%ae",
  "%00..",
  "/..",
  "//..",
];
const FILES = [
  "secret.txt",
  "package.json",
  "etc/passwd",
  "etc%2fpasswd",
  "swagger-ui-dist/package.json",
  "index.js",
  ".env",
];

/** As bytes: a client library would tidy the path up. */
const get = (path: string) => sendRaw(server.url, requestBytes({ method: "GET", path }));

test("the documentation's files and those of components are reached by their names alone", async () => {
  expect((await get("/docs/swagger-ui.css")).status).toBe(200);
  expect((await get("/ui/echo/entrypoint.js")).status).toBe(200);
  for (const base of ["/docs", "/ui", "/ui/echo"]) {
    for (const up of UP) {
      for (const file of FILES) {
        for (const path of [
          `${base}/${up}/${file}`,
          `${base}/${up}/${up}/${up}/${up}/${up}/${file}`,
          `${base}/${up}%2f${file}`,
        ]) {
          const { status, body } = await get(path);
          expect([path, status]).toEqual([path, expect.toBeOneOf([400, 404])]);
          expect(body).not.toMatch(/a secret beside|root:|"name":/);
        }
      }
    }
  }
  for (const name of [
    "start.js/",
    "package.json",
    "index.html",
    "LICENSE",
    "swagger-ui.css%00",
    "swagger-ui.css%00.txt",
    "SWAGGER-UI.CSS",
  ]) {
    expect([name, (await get(`/docs/${name}`)).status]).toEqual([name, 404]);
  }
});

/** Line ends and what some decode into them. */
const LINE_ENDS = ["\r\n", "\n", "\r", "%0d%0a", "%0a", "%E5%98%8A%E5%98%8D", "\u2028", "%00"];

test("line ends in paths, queries and ids become no header", async () => {
  const threadId = v7();
  for (const end of LINE_ENDS) {
    const injected = `x${end}set-cookie: evil=1${end}${end}<script>`;
    const paths = [
      `/threads/${injected}`,
      `/assistants/${injected}`,
      `/docs/${injected}`,
      `/ui/echo/${injected}`,
      `/threads/${threadId}/runs/${injected}/stream`,
      `/store/items?key=${injected}&namespace=${injected}`,
      `/threads/${threadId}/stream?last_event_id=${injected}`,
    ];
    for (const path of paths) {
      const { status, head } = await get(path.replaceAll(" ", "%20"));
      expect([path, status === null || status < 500]).toEqual([path, true]);
      expect(head.toLowerCase()).not.toContain("\r\nset-cookie");
    }
  }
});

test("line ends in ids, names and metadata of bodies become no header and no line of a stream", async () => {
  const call = requester(server.url);
  const evil = "a\r\nset-cookie: evil=1\r\n\r\nid: 99\r\nevent: end\r\ndata: {}";
  for (const [method, path, body] of [
    ["POST", "/threads", { thread_id: evil }],
    ["POST", "/assistants", { graph_id: "echo", name: evil, metadata: { [evil]: evil } }],
    ["POST", "/assistants", { graph_id: evil }],
    ["POST", "/runs", { assistant_id: evil }],
    ["POST", "/ui/echo", { name: evil }],
  ] as const) {
    const { status, headers } = await call(method, path, body);
    expect([path, status < 500, headers.get("set-cookie")]).toEqual([path, true, null]);
  }
  const input = { messages: [{ role: "user", content: evil, id: evil }] };
  const { text } = await call("POST", "/runs/stream", {
    assistant_id: "echo",
    input,
    stream_mode: ["values"],
    metadata: { evil },
  });
  const events = text.split("\n").filter((line) => line.startsWith("event: "));
  expect(events).not.toContain("event: end\r");
  // What came in is in the data alone, escaped.
  expect(text).toContain(JSON.stringify(evil).slice(1, -1));
  expect(text).not.toMatch(/^set-cookie|^id: 99/m);
});

test("headers that come back are only those of a safe form", async () => {
  for (const id of ["ok-1", "a b", "a\tb", "x".repeat(5_000), "é", "a\u0001", '"><script>', "a;b=c"]) {
    const { status, head } = await sendRaw(
      server.url,
      requestBytes({ method: "GET", path: "/ok", headers: [["x-request-id", id]] }),
    );
    expect([id.slice(0, 10), status]).toEqual([id.slice(0, 10), expect.toBeOneOf([200, 400])]);
    const echoed = /x-request-id: (.*)/i.exec(head)?.[1]?.trim();
    expect(echoed === undefined || /^[\w.:-]{1,128}$/.test(echoed), String(echoed)).toBe(true);
  }
  const preflight = await sendRaw(
    server.url,
    requestBytes({
      method: "OPTIONS",
      path: "/threads",
      headers: [
        ["origin", "http://a"],
        ["access-control-request-method", "POST"],
        ["access-control-request-headers", "x-a,\u00e9, x-b"],
      ],
    }),
  );
  expect(preflight.status).toBeLessThan(500);
});
