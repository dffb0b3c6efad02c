import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Webhook } from "standardwebhooks";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { asJsonText } from "../../src/core/json.js";
import { queuedMessage } from "../../src/core/webhook-message.js";
import { createStoreRegistry } from "../../src/stores/registry.js";
import { openReceiver, type Receiver, until } from "../webhooks/receiver.js";
import { openHttpApp } from "./app.js";

const directory = mkdtempSync(join(tmpdir(), "heddle-webhooks-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const open: Receiver[] = [];
afterEach(async () => {
  for (const opened of open.splice(0)) await opened.close();
});
async function receiver(): Promise<Receiver> {
  const opened = await openReceiver();
  open.push(opened);
  return opened;
}

const secret = (n: number): string => `whsec_${Buffer.alloc(32, n).toString("base64")}`;
const LOCAL = { requireHttps: false, disableLoopback: false };

interface Listed {
  readonly delivery_id: string;
  readonly status: string;
  readonly log: readonly object[];
}

describe("webhooks", () => {
  it("tell the end of a run: the run, its thread's values, times; flattened, as JSON, signed by all secrets", async () => {
    const told = await receiver();
    const secrets = [secret(1), secret(2)];
    const headers = { "X-From": "heddle ${{ env.LG_WEBHOOK_NAME }}" };
    const app = await openHttpApp({
      webhooks: { url: LOCAL, secrets, headers },
      env: { LG_WEBHOOK_NAME: "t\u00e9st" },
    });
    const threadId = await app.newThread();
    const body = {
      assistant_id: "echo",
      input: { messages: [{ role: "user", content: "hi" }] },
      webhook: `${told.url}/in?k=1`,
    };
    const done = await app.json("POST", `/threads/${threadId}/runs/wait`, body);
    expect(done.status).toBe(200);
    const [got] = await told.got(1);
    const runs = (await app.json("GET", `/threads/${threadId}/runs`)).body as { run_id: string }[];
    const thread = (await app.json("GET", `/threads/${threadId}`)).body as { values: object };
    expect(got?.path).toBe("/in?k=1");
    expect(got?.headers).toMatchObject({
      "content-type": "application/json",
      "webhook-id": `msg_${runs[0]?.run_id}`,
      "x-from": "heddle t\u00e9st",
    });
    expect(got?.body).toEqual({
      ...runs[0],
      status: "success",
      values: thread.values,
      run_started_at: expect.stringMatching(/Z$/) as string,
      run_ended_at: expect.stringMatching(/Z$/) as string,
      webhook_sent_at: expect.stringMatching(/Z$/) as string,
    });
    expect(JSON.stringify(got?.body["values"])).not.toContain('"lc":1');
    expect(got?.body["kwargs"]).toMatchObject({ webhook: body.webhook });
    const sent = got?.headers as Record<string, string>;
    for (const one of secrets) expect(new Webhook(one).verify(got?.text ?? "", sent)).toEqual(got?.body);
    expect(() => new Webhook(secret(3)).verify(got?.text ?? "", sent)).toThrow(/No matching signature/);
    expect(() => new Webhook(secret(1)).verify(`${got?.text} `, sent)).toThrow(/No matching signature/);
  });

  it("tell of stateless runs, of failed ones, and of ones that are cancelled before they start", async () => {
    const told = await receiver();
    const app = await openHttpApp({ webhooks: { url: LOCAL } });
    const webhook = told.url;
    await app.json("POST", "/runs/wait", { assistant_id: "echo", input: { messages: [] }, webhook });
    const threadId = await app.newThread();
    await app.json("POST", `/threads/${threadId}/runs/wait`, { assistant_id: "failing", input: {}, webhook });
    const later = { assistant_id: "echo", input: {}, webhook, after_seconds: 3600 };
    const { run_id: runId } = (await app.json("POST", `/threads/${threadId}/runs`, later)).body as { run_id: string };
    await app.request("POST", `/threads/${threadId}/runs/${runId}/cancel?wait=true`);
    const got = await told.got(3);
    expect(got.map(({ body }) => body["status"])).toEqual(["success", "error", "interrupted"]);
    expect(got[0]?.body["values"]).toBeDefined();
    expect(got[1]?.body["error"]).toMatchObject({
      error: expect.any(String) as string,
      message: expect.any(String) as string,
    });
    expect(got[2]?.body).toMatchObject({ run_id: runId, run_started_at: null });
    expect(got[0]?.headers).not.toHaveProperty("webhook-signature");
  });

  it("are tried again, and their log can be read; redelivered they have the same id", async () => {
    const told = await receiver();
    told.answers((response, count) => response.writeHead(count === 1 ? 500 : 200).end());
    const app = await openHttpApp({ webhooks: { url: LOCAL } });
    await app.json("POST", "/runs/wait", {
      assistant_id: "echo",
      input: { messages: [] },
      webhook: `${told.url}/?token=s3cret`,
    });
    await told.got(1);
    const list = async (query = ""): Promise<Listed[]> =>
      (await app.json("GET", `/webhooks/deliveries${query}`)).body as Listed[];
    await until(async () => ((await list())[0]?.log.length ?? 0) === 1);
    const [failed] = await list("?status=pending");
    expect(failed).toMatchObject({ status: "pending", attempts: 1, log: [{ status_code: 500, error: "HTTP 500" }] });
    const id = failed?.delivery_id ?? "";
    const again = await app.json("POST", `/webhooks/deliveries/${id}/redeliver`);
    expect(again).toMatchObject({ status: 200, body: { delivery_id: id, status: "pending" } });
    const got = await told.got(2);
    expect(got[1]?.headers["webhook-id"]).toBe(got[0]?.headers["webhook-id"]);
    await until(async () => (await list("?status=delivered")).length === 1);
    const one = await app.json("GET", `/webhooks/deliveries/${id}`);
    expect(one).toMatchObject({
      status: 200,
      body: { attempts: 2, next_attempt_at: null, log: [{}, { status_code: 200 }] },
    });
    expect(JSON.stringify([one.body, app.log])).not.toContain("s3cret");
    expect((await list("?limit=1&offset=1")).length).toBe(0);
    expect((await app.json("GET", "/webhooks/deliveries/msg_none")).status).toBe(404);
    expect((await app.json("GET", "/webhooks/deliveries?run_id=nobody")).status).toBe(422);
  });

  it("of protocols are in the same log, without what they say and to whom", async () => {
    const storage = `sqlite:${join(directory, "heddle.db")}`;
    const app = await openHttpApp({ webhooks: { url: LOCAL }, storage });
    const { metadata: store, items } = await createStoreRegistry().open(storage, { cwd: "." });
    const told = await receiver();
    const signing = { scheme: "snapstate", secret: "s3cret" } as const;
    const body = asJsonText('{"a":"s3cret"}');
    const url = `${told.url}/?token=s3cret`;
    const host = new URL(url).host;
    const message = { deliveryId: "d-1", host, url, threadId: null, body, headers: { "x-a": "s3cret" }, signing };
    await app.start();
    await store.deliveries.enqueue(queuedMessage({ ...message, maxAttempts: 1 }));
    await told.got(1);
    const one = async () => (await app.json("GET", "/webhooks/deliveries/d-1")).body as Listed;
    await until(async () => (await one()).status === "delivered");
    const nobody = { run_id: null, thread_id: null, assistant_id: null };
    expect(await one()).toMatchObject({ ...nobody, host, attempts: 1, log: [{ status_code: 204 }] });
    const again = await app.json("POST", "/webhooks/deliveries/d-1/redeliver");
    expect(again).toMatchObject({ status: 200, body: { delivery_id: "d-1", status: "pending" } });
    const got = await told.got(2);
    expect(got[1]?.headers["x-checkpoint-signature"]).toBe(got[0]?.headers["x-checkpoint-signature"]);
    const list = (await app.json("GET", "/webhooks/deliveries")).body;
    expect(list).toMatchObject([{ delivery_id: "d-1" }]);
    expect(JSON.stringify([list, await one(), app.log])).not.toContain("s3cret");
    await items.close();
    await store.close();
  });

  it.each([
    ["ftp://example.com/", /absolute https URL/],
    ["http://example.com/", /must be https/],
    ["https://user:pw@example.com/", /no user and password/],
    ["https://127.0.0.1/", /public internet/],
    ["https://[::1]/", /public internet/],
    ["https://[::ffff:127.0.0.1]/", /public internet/],
    ["https://[64:ff9b::7f00:1]/", /public internet/],
    ["https://0x7f.1/", /public internet/],
    ["https://2130706433/", /public internet/],
    ["https://0177.0.0.1/", /public internet/],
    ["https://localhost/", /public internet/],
    ["https://a.localhost./", /public internet/],
    ["https://169.254.169.254/latest", /public internet/],
    ["https://10.1.2.3/", /public internet/],
    ["https://[fd00::1]/", /public internet/],
    ["/hook", /needs loopback/],
    ["//example.com/hook", /loopback/],
    ["", /empty/],
    ["not a url", /absolute https URL/],
  ])("refuse %s by name", async (webhook, reason) => {
    const app = await openHttpApp();
    const answer = await app.json("POST", "/runs", { assistant_id: "echo", input: {}, webhook });
    expect(answer.status).toBe(422);
    expect((answer.body as { detail: string }).detail).toMatch(/webhook/);
    expect((answer.body as { detail: string }).detail).toMatch(reason);
    expect((await app.json("POST", "/runs/batch", [{ assistant_id: "echo", input: {}, webhook }])).status).toBe(422);
  });

  it("refuse what is no text, and all where they are switched off", async () => {
    const app = await openHttpApp({ http: { disable: ["webhooks"] } });
    expect((await app.json("POST", "/runs", { assistant_id: "echo", webhook: 3 })).status).toBe(422);
    const answer = await app.json("POST", "/runs", { assistant_id: "echo", webhook: "https://example.com" });
    expect(answer.status).toBe(422);
    expect((answer.body as { detail: string }).detail).toContain("http.disable_webhooks");
    expect((await app.request("GET", "/webhooks/deliveries")).status).toBe(404);
  });

  it("that begin with a slash go to the server itself, where loopback is allowed", async () => {
    const { Hono } = await import("hono");
    const custom = new Hono();
    const got: unknown[] = [];
    custom.post("/hook", async (context) => {
      got.push(await context.req.json());
      return context.body(null, 204);
    });
    const app = await openHttpApp({ webhooks: { url: LOCAL }, http: { app: custom } });
    const webhook = "/hook?a=1";
    await app.json("POST", "/runs/wait", { assistant_id: "echo", input: { messages: [] }, webhook });
    await until(() => got.length === 1);
    expect(got[0]).toMatchObject({ status: "success" });
    const outside = await app.json("POST", "/runs", { assistant_id: "echo", input: {}, webhook: "//evil.example/x" });
    expect(outside.status).toBe(422);
  });
});
