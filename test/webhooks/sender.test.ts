import { describe, expect, it } from "vitest";
import { deliveryOutcome } from "../../src/runtime/delivery-outcome.js";
import { openReceiver, until } from "./receiver.js";
import { closers, DAY_MS, receiver, RULES, setUp } from "./sender-set-up.js";

describe("what becomes of a delivery", () => {
  const outcome = (answer: Parameters<typeof deliveryOutcome>[0]["answer"], more: object = {}) =>
    deliveryOutcome({ answer, failures: 0, pendingMs: 0, maxAttempts: null, now: 0, random: 0.5, ...more }, RULES);
  const answered = (statusCode: number, retryAfter: string | null = null) =>
    ({ kind: "answered", statusCode, retryAfter }) as const;

  it("2xx is delivered, 410 given up, everything else is tried again", () => {
    expect(outcome(answered(200))).toEqual({ next: { kind: "delivered" }, error: null });
    expect(outcome(answered(299)).next.kind).toBe("delivered");
    expect(outcome(answered(410))).toMatchObject({ next: { kind: "failed" } });
    for (const code of [301, 307, 400, 401, 404, 429, 500, 503]) {
      expect(outcome(answered(code)).next, String(code)).toEqual({ kind: "retry", delayMs: 5_000 });
    }
    expect(outcome({ kind: "failed", error: "connection refused" })).toEqual({
      next: { kind: "retry", delayMs: 5_000 },
      error: "connection refused",
    });
  });

  it("pauses grow to four hours, differ, and respect Retry-After of 429 and 503 alone", () => {
    const delays = [0, 1, 2, 3, 4, 5, 6, 7, 50].map((failures) => outcome(answered(500), { failures }).next);
    const seconds = delays.map((next) => (next.kind === "retry" ? next.delayMs / 1_000 : null));
    expect(seconds).toEqual([5, 20, 80, 320, 1_280, 5_120, 14_400, 14_400, 14_400]);
    expect(outcome(answered(500), { random: 0 }).next).toEqual({ kind: "retry", delayMs: 4_250 });
    expect(outcome(answered(500), { random: 1 }).next).toEqual({ kind: "retry", delayMs: 5_750 });
    expect(outcome(answered(429, "60")).next).toEqual({ kind: "retry", delayMs: 60_000 });
    expect(outcome(answered(503, "Thu, 01 Jan 1970 00:02:00 GMT")).next).toEqual({ kind: "retry", delayMs: 120_000 });
    expect(outcome(answered(500, "60")).next).toEqual({ kind: "retry", delayMs: 5_000 });
    expect(outcome(answered(429, "soon")).next).toEqual({ kind: "retry", delayMs: 5_000 });
    expect(outcome(answered(429, "99999999")).next).toEqual({ kind: "retry", delayMs: 6 * 3_600_000 });
  });

  it("is given up when the next attempt would come after a day", () => {
    expect(outcome(answered(500), { pendingMs: DAY_MS - 5_000 }).next.kind).toBe("retry");
    expect(outcome(answered(500), { pendingMs: DAY_MS - 4_999 }).next.kind).toBe("failed");
  });

  it("is given up after as many attempts as it may have", () => {
    expect(outcome(answered(500), { maxAttempts: 1 }).next.kind).toBe("failed");
    expect(outcome(answered(200), { maxAttempts: 1 }).next.kind).toBe("delivered");
    expect(outcome(answered(500), { failures: 1, maxAttempts: 3 }).next.kind).toBe("retry");
    expect(outcome(answered(500), { failures: 2, maxAttempts: 3 }).next.kind).toBe("failed");
  });
});

describe("the sender", () => {
  it("brings what a receiver missed that was down for an hour", async () => {
    const { clock, open, end, get } = await setUp();
    const down = await receiver();
    await down.close();
    const id = await end(down.url);
    open().start();
    const made = async (): Promise<number> => (await get(id)).attempts;
    const over = clock.now() + 3_600_000;
    await until(async () => (await made()) > 0);
    while (clock.now() < over) {
      const { attempts: before, status, nextAttemptAt } = await get(id);
      expect(status).toBe("pending");
      clock.advance((nextAttemptAt ?? clock.now()) - clock.now() + 1_000);
      // It rests after three failures: a look comes later.
      for (let n = 0; n < 70 && (await made()) === before; n += 1) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        clock.advance(1_000);
      }
    }
    const attempts = await made();
    expect(attempts).toBeGreaterThan(4);
    expect(attempts).toBeLessThan(9);
    expect((await get(id)).log.at(-1)).toMatchObject({ statusCode: null, error: "connection refused" });
    const back = await openReceiver(down.port);
    closers.push(() => back.close());
    clock.advance(((await get(id)).nextAttemptAt ?? clock.now()) - clock.now() + 60_000);
    await until(async () => {
      clock.advance(1_000);
      return (await get(id)).status === "delivered";
    });
    expect(back.received.map(({ headers }) => headers["webhook-id"])).toEqual([id]);
  }, 30_000);

  it("gives up after a day, and sweeps what is done for long enough", async () => {
    const { clock, store, open, end, get } = await setUp({ retryForMs: 10_000, keepMs: 600_000 });
    const told = await receiver();
    told.answers((response) => response.writeHead(500).end());
    const id = await end(told.url);
    open().start();
    await told.got(1);
    await until(async () => (await get(id)).attempts === 1);
    clock.advance(7_000);
    await until(async () => (await get(id)).status === "failed");
    expect((await get(id)).attempts).toBe(2);
    for (let n = 0; n < 12; n += 1) {
      clock.advance(60_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(async () => (await store.deliveries.get({ deliveryId: id })) === null);
  });

  it("serves others while one receiver answers nobody, and no host more than its share", async () => {
    const { open, end, get } = await setUp({ concurrency: 8, perHost: 2, timeoutMs: 60_000 });
    const [dead, alive] = [await receiver(), await receiver()];
    dead.answers(() => {});
    for (let n = 0; n < 50; n += 1) await end(dead.url);
    const ids: string[] = [];
    for (let n = 0; n < 20; n += 1) ids.push(await end(alive.url));
    open().start();
    await alive.got(20);
    await until(async () => (await Promise.all(ids.map(get))).every(({ status }) => status === "delivered"));
    expect(dead.received.length).toBe(2);
  });

  it("keeps half of its room for receivers that answer, however many new ones do not", async () => {
    const { clock, open, end, get } = await setUp({ concurrency: 8, perHost: 4, timeoutMs: 60_000 });
    const alive = await receiver();
    const first = await end(alive.url);
    const sender = open();
    sender.start();
    await until(async () => (await get(first)).status === "delivered");
    const dead = await Promise.all(Array.from({ length: 12 }, receiver));
    for (const one of dead) {
      one.answers(() => {});
      await end(one.url);
    }
    sender.wake();
    await until(() => dead.reduce((sum, { received }) => sum + received.length, 0) === 4);
    const late = await end(alive.url);
    clock.advance(1_000);
    await until(async () => (await get(late)).status === "delivered");
    expect(dead.reduce((sum, { received }) => sum + received.length, 0)).toBe(4);
  });

  it("hands back what it is still sending when it stops, and another one sends it", async () => {
    const { store, open, end, get, clock } = await setUp({ timeoutMs: 600_000 });
    const told = await receiver();
    told.answers((response, count) => (count === 1 ? undefined : response.writeHead(200).end()));
    const id = await end(told.url);
    const sender = open();
    sender.start();
    await told.got(1);
    const stopped = sender.stop();
    for (let n = 0; n < 20; n += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(1_000);
    }
    await stopped;
    expect(await store.deliveries.due({ limit: 1, hosts: { kind: "except", hosts: [] } })).toMatchObject([
      { deliveryId: id },
    ]);
    open().start();
    await until(async () => (await get(id)).status === "delivered");
    expect(told.received.map(({ headers }) => headers["webhook-id"])).toEqual([id, id]);
  });

  it("sends again what a process that died was sending, once its lease is over", async () => {
    const { clock, store, open, end, get } = await setUp({ timeoutMs: 2_000 });
    const told = await receiver();
    const id = await end(told.url);
    // Claimed by a process that is gone.
    await store.deliveries.claim({ deliveryIds: [id], leaseMs: 12_000 });
    open().start();
    clock.advance(11_000);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(told.received).toEqual([]);
    clock.advance(2_000);
    await until(async () => (await get(id)).status === "delivered");
  });
});
