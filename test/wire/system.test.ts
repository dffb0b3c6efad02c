import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TestServer } from "../support/server.js";
import { STORAGES, startServer } from "../support/server.js";

describe.each(STORAGES)("system endpoints on %s", (storage) => {
  let server: TestServer;
  beforeAll(async () => void (server = await startServer(storage)));
  afterAll(() => server.close());

  const get = (path: string) => fetch(`${server.url}${path}`);

  it("answers /ok, /ok?check_db=1 and /info", async () => {
    expect(await (await get("/ok")).json()).toEqual({ ok: true });
    expect((await get("/ok?check_db=1")).status).toBe(200);
    expect(await (await get("/info")).json()).toMatchObject({
      context: "js",
      flags: { assistants: true, crons: true },
    });
  });

  it("serves an OpenAPI 3.1 document and documentation that loads nothing from elsewhere", async () => {
    const document = (await (await get("/openapi.json")).json()) as { openapi: string; paths: object };
    expect(document.openapi).toBe("3.1.0");
    expect(Object.keys(document.paths)).toEqual(expect.arrayContaining(["/threads/{thread_id}/runs/stream"]));
    const html = await (await get("/docs")).text();
    expect(html).toContain("swagger");
    expect(html.match(/(?:src|href)="https?:/g)).toBeNull();
  });

  it("answers unknown routes and malformed JSON in the Platform's form", async () => {
    const missing = await get("/nothing/here");
    expect(missing.status).toBe(404);
    expect(await missing.json()).toEqual({ detail: "Not Found" });
    const bad = await fetch(`${server.url}/threads`, { method: "POST", body: "{nope" });
    expect(bad.status).toBe(400);
    expect(await bad.json()).toEqual({ detail: "Malformed JSON in request body" });
    expect((await fetch(`${server.url}/internal/truncate`, { method: "POST", body: "{}" })).status).toBe(404);
  });
});
