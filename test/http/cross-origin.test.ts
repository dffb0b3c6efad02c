import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Auth, HTTPException } from "@langchain/langgraph-sdk/auth";
import { v7 } from "uuid";
import { WebSocket } from "ws";
import { afterEach, describe, expect, it } from "vitest";
import type { AppOptions } from "../../src/config/options.js";
import { listen } from "../../src/node/listen.js";
import { openHttpApp } from "./app.js";

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const EVIL = "https://evil.example";
const GOOD = "https://good.example";
const NAMED: AppOptions["http"] = { cors: { allowOrigins: [GOOD], allowCredentials: true } };

/** As a user writes it who has sessions. */
const cookieAuth = () =>
  new Auth()
    .authenticate((request) => {
      const name = /session=(\w+)/.exec(request.headers.get("cookie") ?? "")?.[1];
      if (name === undefined) throw new HTTPException(401);
      return { identity: name, permissions: [] };
    })
    .on("*", ({ user }) => ({ owner: user.identity }));

const open = (http: AppOptions["http"] = {}) => openHttpApp({ auth: cookieAuth(), http });

/** What a form or a `fetch` without a preflight sends. */
const SIMPLE = { "content-type": "text/plain", cookie: "session=ann" };

describe("a request with cookies that changes something", () => {
  const cases: readonly (readonly [string, AppOptions["http"], Record<string, string>, number])[] = [
    ["another origin", {}, { origin: EVIL }, 403],
    ["another origin of the same site", {}, { origin: "https://other.localhost", "sec-fetch-site": "same-site" }, 403],
    ["a page without an origin of its own", {}, { origin: "null" }, 403],
    ["another origin, CORS off", { cors: false }, { origin: EVIL }, 403],
    ["an origin that is not named", NAMED, { origin: EVIL }, 403],
    ["an origin that is named", NAMED, { origin: GOOD }, 200],
    ["its own origin", {}, { origin: "http://localhost" }, 200],
    ["its own origin, CORS off", { cors: false }, { origin: "http://localhost" }, 200],
    ["its own origin behind a proxy", {}, { origin: "https://a.example", "sec-fetch-site": "same-origin" }, 200],
    ["no browser", {}, {}, 200],
  ];
  it.each(cases)("of %s", async (_, http, headers, status) => {
    const app = await open(http);
    for (const path of ["/threads", "/threads/search", "/auth/tickets"]) {
      const answer = await app.request("POST", path, {}, { headers: { ...SIMPLE, ...headers } });
      expect([path, answer.status]).toEqual([path, status]);
    }
    const command = JSON.stringify({ id: 1, method: "run.start", params: { assistant_id: "echo", input: {} } });
    const path = `/threads/${v7()}/commands`;
    expect((await app.request("POST", path, command, { headers: { ...SIMPLE, ...headers } })).status).toBe(status);
  });

  it("names the way out, and nothing is carried out", async () => {
    const app = await open();
    const refused = await app.request("POST", "/threads", {}, { headers: { ...SIMPLE, origin: EVIL } });
    expect(await refused.json()).toEqual({
      detail: `Pages of ${EVIL} may not ask with cookies: name the origin in http.cors.allow_origins`,
    });
    const own = await app.request("POST", "/threads/count", {}, { headers: SIMPLE });
    expect(await own.json()).toBe(0);
  });

  it("is let in without cookies, and where it only reads: CORS keeps answers from the page", async () => {
    const app = await open();
    const read = await app.request("GET", `/threads/${v7()}`, undefined, { headers: { ...SIMPLE, origin: EVIL } });
    expect(read.status).toBe(404);
    const open_ = await openHttpApp();
    expect((await open_.request("POST", "/threads", {}, { headers: { origin: EVIL } })).status).toBe(200);
  });
});

describe("a WebSocket with cookies", () => {
  async function closeCode(app: Awaited<ReturnType<typeof open>>, headers: Record<string, string>, query = "") {
    const listener = await listen(app, { port: 0 });
    closers.push(() => listener.close({ graceMs: 0 }));
    const url = `${listener.url.replace("http", "ws")}/threads/${v7()}/stream/events${query}`;
    const socket = new WebSocket(url, { headers });
    closers.push(() => socket.terminate());
    return new Promise<number>((resolve) => {
      socket.once("close", (code) => resolve(code));
      socket.once("message", () => socket.close(1000));
      socket.once("open", () => socket.send("no command: it is answered with an error frame"));
    });
  }
  const cookie = "session=ann";

  it("is refused to other origins, however open CORS is", async () => {
    expect(await closeCode(await open(), { cookie, origin: EVIL })).toBe(4403);
    expect(await closeCode(await open(NAMED), { cookie, origin: EVIL })).toBe(4403);
    expect(await closeCode(await open(NAMED), { cookie, origin: GOOD })).toBe(1000);
    expect(await closeCode(await open(), { cookie })).toBe(1000);
  });

  it("is opened where its cookies say nothing: nobody is asked, or a ticket says who it is", async () => {
    expect(await closeCode(await openHttpApp(), { cookie, origin: EVIL })).toBe(1000);
    const app = await open();
    const issued = await app.request("POST", "/auth/tickets", {}, { headers: SIMPLE });
    const { ticket } = (await issued.json()) as { ticket: string };
    expect(await closeCode(app, { cookie: "other=1", origin: GOOD }, `?ticket=${ticket}`)).toBe(1000);
    // What only looks like one is none.
    expect(await closeCode(app, { cookie, origin: EVIL }, `?ticket=hdt_${"a".repeat(43)}`)).toBe(4401);
    expect(await closeCode(app, { cookie, origin: EVIL }, "?ticket=abc")).toBe(4403);
  });

  it("is refused with a ticket of a process of the same storage that asks nobody", async () => {
    const dir = mkdtempSync(join(tmpdir(), "heddle-origin-"));
    closers.push(() => rmSync(dir, { recursive: true, force: true }));
    const storage = `sqlite:${join(dir, "heddle.db")}`;
    const issuing = await openHttpApp({ storage });
    const { ticket } = (await issuing.json("POST", "/auth/tickets", {})).body as { ticket: string };
    const app = await openHttpApp({ storage, auth: cookieAuth() });
    expect(await closeCode(app, { cookie, origin: EVIL }, `?ticket=${ticket}`)).toBe(4401);
  });
});
