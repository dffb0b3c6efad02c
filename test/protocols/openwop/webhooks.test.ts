import { createHash, createHmac } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openwop } from "../../../src/protocols/openwop/index.js";
import { ownersAuth, bearer } from "../../support/owners-auth.js";
import type { TestServer } from "../../support/server.js";
import { startServer, until } from "../../support/server.js";
import { conformanceGraphs } from "./conformance-graphs.js";
import { type Wop, wop } from "./wop.js";

interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Somebody who takes webhooks. */
async function startReceiver(status: () => number) {
  const received: Received[] = [];
  const server: Server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      received.push({ path: request.url ?? "", headers: request.headers, body: Buffer.concat(parts).toString("utf8") });
      response.writeHead(status()).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    received,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

const LOOPBACK = { url: { requireHttps: false, disableLoopback: false } } as const;
/** Nothing listens there: the URL is only judged. */
const PUBLIC = "https://example.com/hook";

describe.each(["memory", "sqlite", "postgres"] as const)("webhooks of OpenWOP on %s", (storage) => {
  let server: TestServer;
  let strict: TestServer;
  let receiver: Awaited<ReturnType<typeof startReceiver>>;
  let client: Wop;
  let status = 204;

  beforeAll(async () => {
    receiver = await startReceiver(() => status);
    const graphs = { ...conformanceGraphs };
    server = await startServer(storage, { graphs, protocols: [openwop()], webhooks: LOOPBACK });
    strict = await startServer(storage, { graphs, protocols: [openwop()], auth: ownersAuth() });
    client = wop(`${server.url}/openwop`);
  }, 60_000);
  afterAll(async () => {
    await server.close();
    await strict.close();
    await receiver.close();
  });
  const told = (path: string) => receiver.received.filter((one) => one.path === path);

  it("50: the secret is told once, with its fingerprint", async () => {
    const answer = await client.post("/v1/webhooks", { url: `${receiver.url}/first`, events: ["run.failed"] });
    expect(answer.status).toBe(201);
    const { subscriptionId, webhookId, secret, secretFingerprint, events } = answer.json;
    expect(webhookId).toBe(subscriptionId);
    expect(events).toEqual(["run.failed"]);
    expect(secret).toMatch(/^[0-9a-f]{64}$/);
    expect(secretFingerprint).toBe(createHash("sha256").update(secret).digest("hex").slice(0, 8));
    const own = await client.post("/v1/webhooks", {
      url: `${receiver.url}/own`,
      events: ["run.failed"],
      secret: "a secret of my own",
    });
    expect(own.json.secret).toBe("a secret of my own");
    for (const { json } of [answer, own]) await client.send("DELETE", `/v1/webhooks/${json.subscriptionId}`);
  });

  it("50: each event that matches is delivered, signed, as it is in the log", async () => {
    const url = `${receiver.url}/signed`;
    const { json } = await client.post("/v1/webhooks", { url, events: ["run.started", "run.completed"], tags: ["x"] });
    const untold = await client.start("noop", { tags: ["y"] });
    const runId = await client.start("noop", { tags: ["x", "z"] });
    await client.reach(runId, "completed");
    await client.reach(untold, "completed");
    await until(async () => told("/signed").length >= 2, "two deliveries");
    const log = await client.events(runId);
    for (const { headers, body } of told("/signed")) {
      expect(headers).toMatchObject({
        "content-type": "application/json",
        "x-openwop-webhook-id": json.subscriptionId,
        "x-openwop-signature-algorithm": "v1",
      });
      const signed = `${String(headers["x-openwop-timestamp"])}.${body}`;
      const digest = createHmac("sha256", json.secret).update(signed).digest("hex");
      expect(headers["x-openwop-signature"]).toBe(`sha256=${digest}`);
      const said = JSON.parse(body);
      expect(said).toMatchObject({ runId, workspaceId: "default" });
      expect(said.event).toEqual(log.find(({ sequence }) => sequence === said.event.sequence));
      expect(headers["x-openwop-event-type"]).toBe(said.event.type);
    }
    expect(new Set(told("/signed").map(({ headers }) => headers["x-openwop-event-type"]))).toEqual(
      new Set(["run.started", "run.completed"]),
    );
    expect((await client.send("DELETE", `/v1/webhooks/${json.subscriptionId}`)).status).toBe(204);
    const gone = await client.send("DELETE", `/v1/webhooks/${json.subscriptionId}`);
    expect([gone.status, gone.json.error]).toEqual([404, "subscription_not_found"]);
    const later = await client.start("noop", { tags: ["x"] });
    await client.reach(later, "completed");
    expect(told("/signed")).toHaveLength(2);
  });

  it("50: a delivery that fails is tried again, under the same event", async () => {
    const url = `${receiver.url}/again`;
    const { json } = await client.post("/v1/webhooks", { url, events: ["run.completed"] });
    status = 500;
    const runId = await client.start("noop");
    await until(async () => told("/again").length > 0, "a delivery");
    status = 204;
    await until(async () => told("/again").length > 1, "another attempt");
    const [first, second] = told("/again");
    expect(second?.body).toBe(first?.body);
    expect(JSON.parse(first?.body ?? "").runId).toBe(runId);
    await client.send("DELETE", `/v1/webhooks/${json.subscriptionId}`);
  });

  it("50: a replay tells nobody, and a run's callbackUrl hears of its end", async () => {
    const url = `${receiver.url}/replay`;
    const { json } = await client.post("/v1/webhooks", { url, events: ["run.completed"] });
    const runId = await client.start("noop", { callbackUrl: `${receiver.url}/callback` });
    await client.reach(runId, "completed");
    await until(async () => told("/callback").length === 1 && told("/replay").length === 1, "both deliveries");
    expect(JSON.parse(told("/callback")[0]?.body ?? "")).toMatchObject({ runId, event: { type: "run.completed" } });
    const fork = await client.post(`/v1/runs/${runId}:fork`, { mode: "replay" });
    await client.reach(fork.json.runId, "completed");
    const other = await client.start("noop");
    await client.reach(other, "completed");
    await until(async () => told("/replay").length === 2, "the delivery of the other run");
    expect(told("/replay").map(({ body }) => JSON.parse(body).runId)).toEqual([runId, other]);
    await client.send("DELETE", `/v1/webhooks/${json.subscriptionId}`);
  });

  describe("as the server is configured by default", () => {
    const ann = () => wop(`${strict.url}/openwop`, bearer("ann"));

    it("50: only public https URLs are taken", async () => {
      const refused = [
        "http://127.0.0.1:1/",
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://localhost/",
        "http://example.com/",
      ];
      for (const url of [
        ...refused,
        "https://169.254.169.254/latest",
        "https://[::1]/",
        "ftp://example.com/",
        "/v1/runs",
      ]) {
        const answer = await ann().post("/v1/webhooks", { url, events: ["run.completed"] });
        expect([url, answer.status, answer.json.error]).toEqual([url, 400, "webhook_url_rejected"]);
        const run = await ann().post("/v1/runs", { workflowId: "conformance-noop", callbackUrl: url });
        expect([url, run.status, run.json.error]).toEqual([url, 400, "webhook_url_rejected"]);
      }
    });

    it("50: a body without events, or with what nobody knows, is refused", async () => {
      for (const more of [
        { events: [] },
        {},
        { events: "run.completed" },
        { events: ["*"] },
        { events: ["a"], x: 1 },
      ]) {
        const answer = await ann().post("/v1/webhooks", { url: PUBLIC, ...more });
        expect([answer.status, answer.json.error]).toEqual([400, "validation_error"]);
      }
    });

    it("50: a foreign tenant is 403, and nobody removes another's subscription", async () => {
      const foreign = await ann().post("/v1/webhooks", { url: PUBLIC, events: ["run.completed"], tenantId: "bobs" });
      expect([foreign.status, foreign.json.error]).toEqual([403, "forbidden"]);
      const { json } = await ann().post("/v1/webhooks", { url: PUBLIC, events: ["run.completed"], tenantId: "ann" });
      const bob = wop(`${strict.url}/openwop`, bearer("bob"));
      expect((await bob.send("DELETE", `/v1/webhooks/${json.subscriptionId}`)).status).toBe(404);
      expect((await ann().send("DELETE", `/v1/webhooks/${json.subscriptionId}?tenantId=bobs`)).status).toBe(403);
      expect((await ann().send("DELETE", `/v1/webhooks/${json.subscriptionId}?tenantId=ann`)).status).toBe(204);
    });

    it("50: the same Idempotency-Key registers once", async () => {
      const body = { url: PUBLIC, events: ["run.completed"] };
      const key = { "idempotency-key": "once" };
      const [first, again] = [await ann().post("/v1/webhooks", body, key), await ann().post("/v1/webhooks", body, key)];
      expect(again.json).toEqual(first.json);
      expect(again.headers.get("openwop-idempotent-replay")).toBe("true");
    });
  });
});
