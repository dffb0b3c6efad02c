import { asJsonText, toJsonText } from "../../core/json.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import type { RunKwargs } from "../../core/run.js";
import { type ClaimedDelivery, deliveryIdOf, KEPT_ATTEMPTS } from "../../core/webhook.js";
import { messageCases } from "./delivery-messages.js";
import { ALL, CLAIM, KWARGS, LEASE_MS, Rows, type StoreSuite, type WithStore, withStoreOf } from "./suite.js";

const HOST = "receiver.example:443";
const TOLD: RunKwargs = {
  ...KWARGS,
  input: { a: '"webhook":{"host":"x"' },
  webhook: { host: HOST, url: "https://receiver.example/in?k=1" },
};
const ANYBODY = { kind: "except", hosts: [] } as const;
const SEND_MS = 60_000;

/** The contract of a {@link DeliveryStore}: what the ends of runs leave in the outbox, and how it is emptied. */
export function testDeliveryStore(suite: StoreSuite<MetadataStore>): void {
  const withStore = withStoreOf(suite);
  suite.vitest.describe(`DeliveryStore: ${suite.name}`, () => {
    endCases(suite, withStore);
    claimCases(suite, withStore);
    keepingCases(suite, withStore);
    messageCases(suite, withStore);
  });
}

/** The outbox, once what a store writes behind is there. */
async function outbox(store: MetadataStore, count: number, limit = 100): Promise<readonly string[]> {
  for (let looks = 0; ; looks += 1) {
    const ids = (await store.deliveries.due({ limit, hosts: ANYBODY })).map(({ deliveryId }) => deliveryId);
    if (ids.length >= count || looks >= 60) return ids;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function claimAll(store: MetadataStore, count: number): Promise<readonly ClaimedDelivery[]> {
  return store.deliveries.claim({ deliveryIds: await outbox(store, count), leaseMs: SEND_MS });
}

async function claimOne(store: MetadataStore): Promise<ClaimedDelivery> {
  const [claimed] = await claimAll(store, 1);
  if (claimed === undefined) throw new Error("nothing is to be delivered");
  return claimed;
}

const leaseOf = ({ delivery, leaseToken }: ClaimedDelivery) => ({ deliveryId: delivery.deliveryId, leaseToken });

const byText = (a = "", b = ""): number => (a < b ? -1 : 1);

function endCases({ vitest: { it, expect } }: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  it(
    "leaves a delivery when a run ends: the run as it ended, the thread's values, when it started",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread({ owner: "a" });
      const { run, lease } = await rows.leased(threadId, { kwargs: TOLD });
      const startedAt = clock.now();
      clock.advance(7);
      await store.runs.heartbeat({ leases: [lease], leaseMs: LEASE_MS });
      clock.advance(7);
      const values = asJsonText('{"messages":["ende","\\u0000"]}');
      const outcome = { kind: "ended", status: "success" } as const;
      await store.runs.finish({ lease, outcome, threadPatch: { values }, hasNext: false });
      const claimed = await claimOne(store);
      expect(claimed).toEqual({
        delivery: {
          deliveryId: deliveryIdOf(run.runId),
          runId: run.runId,
          threadId,
          assistantId: run.assistantId,
          host: HOST,
          status: "pending",
          createdAt: clock.now(),
          updatedAt: clock.now(),
          nextAttemptAt: clock.now() + SEND_MS,
          attempts: 0,
          log: [],
        },
        leaseToken: 1,
        failures: 0,
        pendingMs: 0,
        kind: "run",
        run: { ...run, status: "success", updatedAt: clock.now() },
        values,
        startedAt,
      });
      expect((await store.runs.get({ runId: run.runId, access: ALL }))?.kwargs).toEqual(TOLD);
    }),
  );

  it(
    "keeps what the thread held then, whatever comes later; and the error of a run that failed",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const first = await rows.leased(threadId, { kwargs: TOLD });
      const error = toJsonText({ error: "Boom", message: "no" });
      const values = asJsonText(JSON.stringify({ text: "x".repeat(100_000) }));
      const failed = { kind: "ended", status: "error", error } as const;
      await store.runs.finish({ lease: first.lease, outcome: failed, threadPatch: { values, error }, hasNext: false });
      const second = await rows.leased(threadId);
      const done = { kind: "ended", status: "success" } as const;
      const later = { values: asJsonText('{"later":true}') };
      await store.runs.finish({ lease: second.lease, outcome: done, threadPatch: later, hasNext: false });
      const claimed = await claimAll(store, 1);
      expect(claimed).toHaveLength(1);
      expect(claimed[0]).toMatchObject({ run: { status: "error", error }, values });
    }),
  );

  it(
    "tells of runs that end before they start, and of those whose workers are lost",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const [waiting, superseded, lost] = [await rows.thread(), await rows.thread(), await rows.thread()];
      const cancelled = await rows.run(waiting, { kwargs: TOLD });
      await store.runs.requestCancel({ runId: cancelled.runId, action: "interrupt", access: ALL });
      const overtaken = await rows.run(superseded, { kwargs: TOLD });
      await rows.run(superseded, { multitaskStrategy: "interrupt", delayMs: 3_600_000 });
      const dead = await rows.leased(lost, { kwargs: TOLD });
      clock.advance(LEASE_MS + 1);
      await store.runs.reapExpired({ maxAttempts: 1 });
      const claimed = (await claimAll(store, 3)).filter((each) => each.kind === "run");
      const told = Object.fromEntries(
        claimed.map(({ run, startedAt }) => [run.runId, [run.status, startedAt === null]]),
      );
      expect(told).toEqual({
        [cancelled.runId]: ["interrupted", true],
        [overtaken.runId]: ["interrupted", true],
        [dead.run.runId]: ["error", false],
      });
      expect(claimed.find(({ run }) => run.runId === dead.run.runId)?.run.error).toContain("MaxAttemptsExceeded");
    }),
  );

  it(
    "tells nobody of runs without a webhook, given back, taken back or deleted",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const plain = await rows.leased(await rows.thread());
      await rows.finish(plain.lease);
      const tricky = { ...KWARGS, input: { webhook: { host: HOST } } };
      const { lease } = await rows.leased(await rows.thread(), { kwargs: tricky });
      await rows.finish(lease);
      const released = await rows.leased(await rows.thread(), { kwargs: TOLD });
      await store.runs.release({ lease: released.lease });
      const [again] = await rows.claim(1);
      const undone = { kind: "rolled-back" } as const;
      if (again === undefined) throw new Error("the run was not given back");
      await store.runs.finish({ lease: again.lease, outcome: undone, threadPatch: {}, hasNext: false });
      const gone = await rows.run(await rows.thread(), { kwargs: TOLD });
      await store.runs.requestCancel({ runId: gone.runId, action: "rollback", access: ALL });
      const removed = await rows.run(await rows.thread(), { kwargs: TOLD });
      await store.runs.delete({ runId: removed.runId, threadId: removed.threadId, access: ALL });
      await rows.leased(await rows.thread(), { kwargs: TOLD });
      clock.advance(LEASE_MS + 1);
      await store.runs.reapExpired({ maxAttempts: 3 });
      const marker = await rows.leased(await rows.thread(), { kwargs: TOLD });
      await rows.finish(marker.lease);
      expect(await outbox(store, 2, 10)).toEqual([deliveryIdOf(marker.run.runId)]);
    }),
  );

  it(
    "outlives the run and the thread that it is of",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = rows.id();
      const kwargs = { ...TOLD, temporary: true };
      const { run, lease } = await rows.leased(threadId, { kwargs, createThread: true });
      const values = asJsonText('{"a":1}');
      const outcome = { kind: "ended", status: "success" } as const;
      await store.runs.finish({ lease, outcome, threadPatch: { values }, hasNext: false });
      await store.threads.delete({ threadId, access: ALL });
      expect(await claimOne(store)).toMatchObject({ run: { runId: run.runId, threadId, status: "success" }, values });

      const kept = await rows.leased(await rows.thread(), { kwargs: TOLD });
      await rows.finish(kept.lease);
      const place = { runId: kept.run.runId, threadId: kept.run.threadId, access: ALL };
      expect(await store.runs.delete(place)).toMatchObject({ kind: "deleted" });
      expect(await claimOne(store)).toMatchObject({ run: { runId: kept.run.runId } });
    }),
  );

  it(
    "is not moved by an end that is refused",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const { lease } = await rows.leased(await rows.thread(), { kwargs: TOLD });
      clock.advance(LEASE_MS + 1);
      await store.runs.reapExpired({ maxAttempts: 3 });
      const next = await rows.claimOne();
      expect(await rows.finish(lease)).toBe(false);
      expect(await outbox(store, 1, 1).then((ids) => (ids.length > 0 ? ids : []))).toEqual([]);
      expect(await rows.finish(next.lease)).toBe(true);
      expect(await claimOne(store)).toMatchObject({ run: { status: "success", attempt: 2 } });
    }),
  );
}

function claimCases({ vitest: { it, expect } }: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  const ended = async (rows: Rows, hosts: readonly string[]): Promise<readonly string[]> => {
    const ids: string[] = [];
    for (const host of hosts) {
      const kwargs = { ...KWARGS, webhook: { host, url: `https://${host}/` } };
      const { run, lease } = await rows.leased(await rows.thread(), { kwargs });
      await rows.finish(lease);
      ids.push(deliveryIdOf(run.runId));
    }
    return ids;
  };

  it(
    "gives each to one sender, until its lease ends; and then to another, whose word counts",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      await ended(rows, ["a:1"]);
      const first = await claimOne(store);
      const { deliveryId } = first.delivery;
      expect(await store.deliveries.claim({ deliveryIds: [deliveryId], leaseMs: SEND_MS })).toEqual([]);
      expect(await store.deliveries.due({ limit: 10, hosts: ANYBODY })).toEqual([]);
      clock.advance(SEND_MS);
      const second = await claimOne(store);
      expect(second.pendingMs).toBe(SEND_MS);
      expect(second.leaseToken).toBeGreaterThan(first.leaseToken);
      const attempt = { at: clock.now(), durationMs: 3, statusCode: 200, error: null };
      const next = { kind: "delivered" } as const;
      expect(await store.deliveries.record({ lease: leaseOf(first), attempt, next })).toEqual({ accepted: false });
      expect(await store.deliveries.record({ lease: leaseOf(second), attempt, next })).toEqual({ accepted: true });
      expect(await store.deliveries.record({ lease: leaseOf(second), attempt, next })).toEqual({ accepted: false });
      expect(await store.deliveries.get({ deliveryId })).toMatchObject({
        status: "delivered",
        nextAttemptAt: null,
        attempts: 1,
        log: [attempt],
      });
      clock.advance(10 * SEND_MS);
      expect(await store.deliveries.due({ limit: 10, hosts: ANYBODY })).toEqual([]);
    }),
  );

  it(
    "tries again when it is told to, gives up, gives back; and keeps the newest attempts",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const [deliveryId = ""] = await ended(rows, ["a:1"]);
      const failed = { at: 1, durationMs: 3, statusCode: 500, error: "HTTP 500" };
      for (let n = 0; n < KEPT_ATTEMPTS + 3; n += 1) {
        const claimed = await claimOne(store);
        expect(claimed.failures).toBe(n);
        const attempt = { ...failed, at: n };
        const next = { kind: "retry", delayMs: 5_000 } as const;
        await store.deliveries.record({ lease: leaseOf(claimed), attempt, next });
        clock.advance(4_999);
        expect(await store.deliveries.due({ limit: 10, hosts: ANYBODY })).toEqual([]);
        clock.advance(1);
      }
      const claimed = await claimOne(store);
      await store.deliveries.release({ leases: [leaseOf(claimed)] });
      const [again] = await store.deliveries.claim({ deliveryIds: [deliveryId], leaseMs: SEND_MS });
      if (again === undefined) throw new Error("it was not given back");
      await store.deliveries.record({ lease: leaseOf(again), attempt: failed, next: { kind: "failed" } });
      const delivery = await store.deliveries.get({ deliveryId });
      expect(delivery).toMatchObject({ status: "failed", nextAttemptAt: null, attempts: KEPT_ATTEMPTS + 4 });
      expect(delivery?.log).toHaveLength(KEPT_ATTEMPTS);
      expect(delivery?.log.at(-2)?.at).toBe(KEPT_ATTEMPTS + 2);
    }),
  );

  it(
    "looks at some hosts, or at all but some, oldest time first",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const [a] = await ended(rows, ["a:1"]);
      clock.advance(1);
      const [b, c, b2] = await ended(rows, ["b:1", "c:1", "b:1"]);
      await outbox(store, 4);
      const due = async (kind: "only" | "except", hosts: readonly string[], limit = 10) =>
        (await store.deliveries.due({ limit, hosts: { kind, hosts } })).map(({ deliveryId }) => deliveryId);
      expect(await due("except", [])).toEqual([a, ...[b, c, b2].toSorted(byText)]);
      expect(await due("except", ["b:1"])).toEqual([a, c]);
      expect(await due("only", ["b:1", "nobody"])).toEqual([b, b2].toSorted(byText));
      expect(await due("only", [])).toEqual([]);
      expect(await due("except", [], 1)).toEqual([a]);
      expect(await due("except", [], 0)).toEqual([]);
    }),
  );

  it(
    "redelivers what was delivered, given up, or is being sent",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const [deliveryId = ""] = await ended(rows, ["a:1"]);
      const claimed = await claimOne(store);
      clock.advance(1_000);
      const again = await store.deliveries.redeliver({ deliveryId });
      expect(again).toMatchObject({ status: "pending", nextAttemptAt: clock.now(), attempts: 0 });
      const attempt = { at: 1, durationMs: 3, statusCode: 200, error: null };
      const next = { kind: "delivered" } as const;
      expect(await store.deliveries.record({ lease: leaseOf(claimed), attempt, next })).toEqual({ accepted: false });
      const second = await claimOne(store);
      expect(second.pendingMs).toBe(0);
      await store.deliveries.record({ lease: leaseOf(second), attempt, next });
      await store.deliveries.redeliver({ deliveryId });
      expect(await claimOne(store)).toMatchObject({ failures: 0, delivery: { attempts: 1, log: [attempt] } });
      expect(await store.deliveries.redeliver({ deliveryId: "msg_nobody" })).toBeNull();
    }),
  );
}

function keepingCases(
  { vitest: { it, expect } }: StoreSuite<MetadataStore>,
  withStore: WithStore<MetadataStore>,
): void {
  const delivered = async (store: MetadataStore, rows: Rows, threadId: string): Promise<string> => {
    const { run, lease } = await rows.leased(threadId, { kwargs: TOLD });
    await rows.finish(lease);
    const claimed = await claimOne(store);
    const attempt = { at: 1, durationMs: 3, statusCode: 200, error: null };
    await store.deliveries.record({ lease: leaseOf(claimed), attempt, next: { kind: "delivered" } });
    return deliveryIdOf(run.runId);
  };

  it(
    "lists by run, thread and status, in pages, newest first",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const ids: string[] = [];
      for (let n = 0; n < 3; n += 1) {
        ids.unshift(await delivered(store, rows, threadId));
        clock.advance(1);
      }
      const other = await rows.leased(await rows.thread(), { kwargs: TOLD });
      await rows.finish(other.lease);
      await outbox(store, 1);
      const list = async (query: object) => {
        const page = await store.deliveries.list({ limit: 10, offset: 0, ...query });
        return [page.rows.map(({ deliveryId }) => deliveryId), page.total];
      };
      const last = deliveryIdOf(other.run.runId);
      expect(await list({})).toEqual([[last, ...ids], 4]);
      expect(await list({ limit: 2, offset: 1 })).toEqual([ids.slice(0, 2), 4]);
      expect(await list({ threadId })).toEqual([ids, 3]);
      expect(await list({ status: "pending" })).toEqual([[last], 1]);
      expect(await list({ status: "delivered", threadId: other.run.threadId })).toEqual([[], 0]);
      expect(await list({ runId: other.run.runId })).toEqual([[last], 1]);
      expect(await store.deliveries.get({ deliveryId: "msg_nobody" })).toBeNull();
    }),
  );

  it(
    "sweeps what is done for long enough, a little at a time; and removes a thread's at once",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      for (let n = 0; n < 3; n += 1) await delivered(store, rows, threadId);
      const waiting = await rows.leased(threadId, { kwargs: TOLD });
      await rows.finish(waiting.lease);
      await outbox(store, 1);
      clock.advance(999);
      expect(await store.deliveries.sweep({ idleMs: 1_000, limit: 10 })).toBe(0);
      clock.advance(1);
      expect(await store.deliveries.sweep({ idleMs: 1_000, limit: 2 })).toBe(2);
      expect(await store.deliveries.sweep({ idleMs: 1_000, limit: 2 })).toBe(1);
      expect(await store.deliveries.list({ limit: 10, offset: 0 })).toMatchObject({
        rows: [{ status: "pending" }],
        total: 1,
      });
      const other = await rows.leased(await rows.thread(), { kwargs: TOLD });
      await rows.finish(other.lease);
      await outbox(store, 2);
      expect(await store.deliveries.deleteThread({ threadId })).toBe(1);
      expect(await outbox(store, 1)).toEqual([deliveryIdOf(other.run.runId)]);
      expect(await rows.claim(1, CLAIM.workerId)).toEqual([]);
    }),
  );
}
