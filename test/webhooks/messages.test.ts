import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { asJsonText } from "../../src/core/json.js";
import type { MessageCircuit, WebhookMessage } from "../../src/core/webhook-message.js";
import { createOutbox } from "../../src/services/outbox.js";
import { createMemoryMetadataStore } from "../../src/stores/memory/index.js";
import { fakeClock } from "../../src/testing/fake-clock.js";
import { until } from "./receiver.js";
import { receiver, setUp } from "./sender-set-up.js";

const BODY = asJsonText('{ "event":"checkpoint.saved",\n  "data": {"ü": "\\u00e9", "n": 1.0} }');
const hmac = (secret: string, text: string): string => createHmac("sha256", secret).update(text).digest("hex");

describe("messages", () => {
  it("go over the wire byte for byte, with SnapState's signature of them", async () => {
    const { open, enqueue, get } = await setUp();
    const told = await receiver();
    const signing = { scheme: "snapstate", secret: "s3cret ü" } as const;
    const id = await enqueue({ deliveryId: "d-1", url: `${told.url}/in?x=1`, body: BODY, signing });
    open().start();
    const [got] = await told.got(1);
    expect(got?.text).toBe(BODY);
    expect(got?.path).toBe("/in?x=1");
    expect(got?.headers).toMatchObject({
      "content-type": "application/json",
      "user-agent": "CheckpointService/1.0",
      "x-checkpoint-signature": `sha256=${hmac(signing.secret, BODY)}`,
    });
    expect(Object.keys(got?.headers ?? {}).filter((name) => name.startsWith("webhook-"))).toEqual([]);
    await until(async () => (await get(id)).status === "delivered");
  });

  it("are unsigned where a SnapState subscription has no secret, and may bring headers of their own", async () => {
    const { open, enqueue } = await setUp();
    const told = await receiver();
    const signing = { scheme: "snapstate", secret: null } as const;
    const headers = { "x-own": "1", "user-agent": "another", "content-type": "application/cloudevents+json" };
    await enqueue({ deliveryId: "d-1", url: told.url, signing, headers });
    open().start();
    const [got] = await told.got(1);
    expect(got?.headers).toMatchObject({
      "x-own": "1",
      "user-agent": "CheckpointService/1.0",
      "content-type": "application/cloudevents+json",
    });
    expect(got?.headers).not.toHaveProperty("x-checkpoint-signature");
  });

  it("are signed as OpenWOP wants it, with both majors' headers, each attempt with its own time", async () => {
    const { clock, open, enqueue, get } = await setUp();
    const told = await receiver();
    told.answers((response, count) => response.writeHead(count === 1 ? 500 : 204).end());
    const signing = { scheme: "openwop", secret: "k", webhookId: "sub-1", eventType: "run.completed" } as const;
    const id = await enqueue({ deliveryId: "d-1", url: told.url, body: BODY, signing, maxAttempts: 3 });
    open().start();
    await until(async () => (await get(id)).attempts === 1);
    clock.advance(10_000);
    await until(async () => (await get(id)).status === "delivered");
    const times = told.received.map(({ headers }) => Number(headers["x-openwop-timestamp"]));
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(5);
    for (const { headers, text } of told.received) {
      const timestamp = String(headers["x-openwop-timestamp"]);
      for (const family of ["x-openwop-", "openwop-"]) {
        expect(headers[`${family}timestamp`]).toBe(timestamp);
        expect(headers[`${family}signature`]).toBe(`sha256=${hmac("k", `${timestamp}.${text}`)}`);
        expect(headers[`${family}signature-algorithm`]).toBe("v1");
        expect(headers[`${family}webhook-id`]).toBe("sub-1");
        expect(headers[`${family}event-type`]).toBe("run.completed");
      }
    }
  });

  it("are tried as often as they may be, and no more; then they can be sent again by hand", async () => {
    const { clock, store, open, enqueue, get } = await setUp();
    const told = await receiver();
    told.answers((response) => response.writeHead(500).end());
    const id = await enqueue({ deliveryId: "once", url: told.url, maxAttempts: 1 });
    const twice = await enqueue({ deliveryId: "twice", url: told.url, maxAttempts: 2 });
    const sender = open();
    sender.start();
    await until(async () => (await get(id)).status === "failed" && (await get(twice)).attempts === 1);
    expect((await get(twice)).status).toBe("pending");
    clock.advance(10_000);
    await until(async () => (await get(twice)).status === "failed");
    clock.advance(3_600_000);
    expect(told.received).toHaveLength(3);
    expect(await get(id)).toMatchObject({ attempts: 1, log: [{ statusCode: 500, error: "HTTP 500" }] });
    told.answers((response) => response.writeHead(200).end());
    await store.deliveries.redeliver({ deliveryId: id });
    sender.wake();
    await until(async () => (await get(id)).status === "delivered");
  });

  it("are not sent once the record of who wants to be told is gone, nor again by hand", async () => {
    const { store, open, enqueue, get } = await setUp();
    const told = await receiver();
    const subscription = { space: "subscriptions", owner: "o", collection: "", key: "s-1" };
    await store.records.write({ ...subscription, value: BODY });
    const before = await enqueue({ deliveryId: "before", url: told.url, subscription });
    const sender = open();
    sender.start();
    await until(async () => (await get(before)).status === "delivered");
    await store.records.remove(subscription);
    const after = await enqueue({ deliveryId: "after", url: told.url, subscription, maxAttempts: 3 });
    await store.deliveries.redeliver({ deliveryId: before });
    sender.wake();
    const error = "not tried: its webhook has been deleted";
    for (const id of [after, before]) {
      await until(async () => (await get(id)).status === "failed");
      expect((await get(id)).log.at(-1)).toMatchObject({ statusCode: null, error });
    }
    expect(told.received).toHaveLength(1);
  });

  it("wait for a slow receiver no longer than they say, and do not follow it elsewhere", async () => {
    const { open, enqueue, get } = await setUp({ timeoutMs: 60_000 });
    const [slow, moved, other] = [await receiver(), await receiver(), await receiver()];
    slow.answers(() => {});
    moved.answers((response) => response.writeHead(307, { location: other.url }).end());
    const ids = [
      await enqueue({ deliveryId: "slow", url: slow.url, timeoutMs: 30 }),
      await enqueue({ deliveryId: "moved", url: moved.url }),
    ];
    open().start();
    await until(async () => (await Promise.all(ids.map(get))).every(({ status }) => status === "failed"));
    expect((await get("slow")).log).toMatchObject([{ statusCode: null, error: "no answer within 30 ms" }]);
    expect((await get("moved")).log).toMatchObject([
      { statusCode: 307, error: "HTTP 307: redirects are not followed" },
    ]);
    expect(other.received).toEqual([]);
  });

  it("reach no private address and no path of the server, however they came into the outbox", async () => {
    const refusing = { requireHttps: false, disableLoopback: true };
    const { store, policy, open, enqueue, get } = await setUp({}, { url: refusing });
    const told = await receiver();
    const ids = [
      await enqueue({ deliveryId: "loopback", url: told.url }),
      await enqueue({ deliveryId: "private", url: "http://10.0.0.1/" }),
    ];
    open().start();
    await until(async () => (await Promise.all(ids.map(get))).every(({ status }) => status === "failed"));
    for (const id of ids) expect((await get(id)).log[0]?.error).toMatch(/^not allowed: /);
    expect(told.received).toEqual([]);
    const outbox = createOutbox({ store, webhooks: policy });
    expect(outbox.judge(told.url)).toMatchObject({ kind: "refused" });
    expect(outbox.judge("/threads")).toMatchObject({ kind: "refused" });
    expect(outbox.judge("https://a.example/x")).toEqual({
      kind: "allowed",
      webhook: { host: "a.example:443", url: "https://a.example/x" },
    });
    const lax = await setUp();
    expect(createOutbox({ store, webhooks: lax.policy }).judge("/threads")).toMatchObject({ kind: "refused" });
  });

  it("are neither taken nor allowed where webhooks are switched off", async () => {
    const { store } = await setUp();
    const outbox = createOutbox({ store, webhooks: null });
    expect(outbox.judge("https://a.example/")).toMatchObject({ kind: "refused" });
    expect(await outbox.enqueue(message({ deliveryId: "off" }))).toEqual({ enqueued: false });
    expect(await store.deliveries.get({ deliveryId: "off" })).toBeNull();
  });

  it("wake the sender once for each new id", async () => {
    const { store, policy } = await setUp();
    let woken = 0;
    const outbox = createOutbox({ store, webhooks: policy, wakeSender: () => (woken += 1) });
    expect(await outbox.enqueue(message({ deliveryId: "a" }))).toEqual({ enqueued: true });
    expect(await outbox.enqueue(message({ deliveryId: "a" }))).toEqual({ enqueued: false });
    expect(woken).toBe(1);
  });
});

describe("the circuit of a subscription", () => {
  const circuit: MessageCircuit = { name: "openwop/sub-1", failures: 4, openMs: 3_600_000 };

  it("opens after so many failures in a row, for all processes, and messages wait meanwhile", async () => {
    const clock = fakeClock();
    const store = createMemoryMetadataStore(clock);
    const { open, enqueue, get } = await setUp({ perHost: 1 }, { clock, store });
    const told = await receiver();
    told.answers((response) => response.writeHead(500).end());
    for (let n = 0; n < 4; n += 1) await enqueue({ deliveryId: `d-${n}`, url: told.url, circuit });
    const first = open();
    first.start();
    await until(async () => (await get("d-3")).status === "failed");
    await first.stop();
    for (let n = 4; n < 6; n += 1) await enqueue({ deliveryId: `d-${n}`, url: told.url, circuit });
    const alone = await enqueue({ deliveryId: "other", url: told.url, circuit: { ...circuit, name: "openwop/sub-2" } });
    const before = clock.now();
    // Another process.
    open().start();
    await until(async () => (await get(alone)).status === "failed" && (await get("d-5")).nextAttemptAt !== before);
    expect(told.received).toHaveLength(5);
    expect(await get("d-4")).toMatchObject({ status: "pending", attempts: 0 });

    // The first one after the rest fails: it begins anew.
    clock.advance(3_600_000);
    await until(async () => (await Promise.all(["d-4", "d-5"].map(get))).some(({ status }) => status === "failed"));
    await until(async () =>
      (await Promise.all(["d-4", "d-5"].map(get))).some(
        ({ nextAttemptAt }) => (nextAttemptAt ?? 0) > clock.now() + 60_000,
      ),
    );
    expect(told.received).toHaveLength(6);

    // One that arrives closes it.
    told.answers((response) => response.writeHead(200).end());
    clock.advance(3_700_000);
    await until(async () => (await Promise.all(["d-4", "d-5"].map(get))).some(({ status }) => status === "delivered"));
    told.answers((response) => response.writeHead(500).end());
    for (let n = 6; n < 9; n += 1) await enqueue({ deliveryId: `d-${n}`, url: told.url, circuit });
    clock.advance(1_000);
    await until(async () =>
      (await Promise.all(["d-6", "d-7", "d-8"].map(get))).every(({ status }) => status === "failed"),
    );
    expect(told.received).toHaveLength(10);
  }, 20_000);

  it("gives a message up that would have to wait too long", async () => {
    const { open, enqueue, get } = await setUp({ retryForMs: 60_000 });
    const told = await receiver();
    told.answers((response) => response.writeHead(500).end());
    const id = await enqueue({ deliveryId: "d-0", url: told.url, circuit: { ...circuit, failures: 1 } });
    const sender = open();
    sender.start();
    await until(async () => (await get(id)).status === "failed");
    const late = await enqueue({ deliveryId: "d-1", url: told.url, circuit: { ...circuit, failures: 1 } });
    sender.wake();
    await until(async () => (await get(late)).status === "failed");
    expect((await get(late)).log).toMatchObject([{ error: "not tried: the receiver kept failing" }]);
    expect(told.received).toHaveLength(1);
  });
});

function message(more: Pick<WebhookMessage, "deliveryId">): WebhookMessage {
  const url = { host: "a.example:443", url: "https://a.example/" };
  return { ...url, threadId: null, body: BODY, headers: {}, signing: null, maxAttempts: 1, ...more };
}
