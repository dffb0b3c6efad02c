import { asJsonText } from "../../core/json.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import type { QueuedMessage } from "../../core/webhook.js";
import { KWARGS, Rows, type StoreSuite, type WithStore } from "./suite.js";

const ANYBODY = { kind: "except", hosts: [] } as const;
const SEND_MS = 60_000;
const TEXT = asJsonText(JSON.stringify({ url: "https://a/?k=ü", body: '{"a" : "\\u0000\ud83d \u0001"}' }));

function message(deliveryId: string, more: Partial<QueuedMessage> = {}): QueuedMessage {
  return { deliveryId, host: "a:1", threadId: null, message: TEXT, ...more };
}

/** What a {@link DeliveryStore} does with messages, which are of no run. */
export function messageCases(
  { vitest: { it, expect } }: StoreSuite<MetadataStore>,
  withStore: WithStore<MetadataStore>,
): void {
  it(
    "keeps a message as it is: due at once, of no run, perhaps of a thread",
    withStore(async ({ store, clock }) => {
      const { deliveries } = store;
      const threadId = await new Rows(store).thread();
      expect(await deliveries.enqueue(message("one"))).toEqual({ enqueued: true });
      clock.advance(5);
      expect(await deliveries.enqueue(message("two", { threadId, host: "b:1" }))).toEqual({ enqueued: true });
      expect(await deliveries.due({ limit: 10, hosts: ANYBODY })).toEqual([
        { deliveryId: "one", host: "a:1" },
        { deliveryId: "two", host: "b:1" },
      ]);
      const [claimed] = await deliveries.claim({ deliveryIds: ["one"], leaseMs: SEND_MS });
      expect(claimed).toEqual({
        delivery: {
          deliveryId: "one",
          runId: null,
          threadId: null,
          assistantId: null,
          host: "a:1",
          status: "pending",
          createdAt: clock.now() - 5,
          updatedAt: clock.now(),
          nextAttemptAt: clock.now() + SEND_MS,
          attempts: 0,
          log: [],
        },
        leaseToken: 1,
        failures: 0,
        pendingMs: 5,
        kind: "message",
        message: TEXT,
      });
      expect(await deliveries.get({ deliveryId: "two" })).toMatchObject({ runId: null, threadId, assistantId: null });
    }),
  );

  it(
    "writes each id once, also when many do at once, and after it was delivered",
    withStore(async ({ store }) => {
      const { deliveries } = store;
      const outcomes = await Promise.all(
        Array.from({ length: 8 }, (_, n) => deliveries.enqueue(message("one", { message: asJsonText(`{"n":${n}}`) }))),
      );
      expect(outcomes.filter(({ enqueued }) => enqueued)).toHaveLength(1);
      const winner = outcomes.findIndex(({ enqueued }) => enqueued);
      const [claimed] = await deliveries.claim({ deliveryIds: ["one"], leaseMs: SEND_MS });
      if (claimed === undefined) throw new Error("there is nothing to claim");
      expect(claimed).toMatchObject({ kind: "message", message: `{"n":${winner}}` });
      const lease = { deliveryId: "one", leaseToken: claimed.leaseToken };
      const attempt = { at: 1, durationMs: 3, statusCode: 200, error: null };
      await deliveries.record({ lease, attempt, next: { kind: "delivered" } });
      expect(await deliveries.enqueue(message("one"))).toEqual({ enqueued: false });
      expect(await deliveries.get({ deliveryId: "one" })).toMatchObject({ status: "delivered", attempts: 1 });
      expect(await deliveries.due({ limit: 10, hosts: ANYBODY })).toEqual([]);
    }),
  );

  it(
    "waits as long as whoever gives it back says, without an attempt",
    withStore(async ({ store, clock }) => {
      const { deliveries } = store;
      await deliveries.enqueue(message("one"));
      const [claimed] = await deliveries.claim({ deliveryIds: ["one"], leaseMs: SEND_MS });
      if (claimed === undefined) throw new Error("there is nothing to claim");
      await deliveries.release({ leases: [{ deliveryId: "one", leaseToken: claimed.leaseToken }], delayMs: 3_600_000 });
      clock.advance(3_599_999);
      expect(await deliveries.due({ limit: 10, hosts: ANYBODY })).toEqual([]);
      clock.advance(1);
      const [again] = await deliveries.claim({ deliveryIds: ["one"], leaseMs: SEND_MS });
      expect(again).toMatchObject({ failures: 0, pendingMs: 3_600_000, message: TEXT, delivery: { attempts: 0 } });
    }),
  );

  it(
    "lists messages among the deliveries of runs, sends one again, and removes them with their thread or when they are old",
    withStore(async ({ store, clock }) => {
      const { deliveries } = store;
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const { run, lease } = await rows.leased(threadId, {
        kwargs: { ...KWARGS, webhook: { host: "c:1", url: "https://c/" } },
      });
      await rows.finish(lease);
      clock.advance(1);
      await deliveries.enqueue(message("old", { threadId }));
      clock.advance(1);
      await deliveries.enqueue(message("of-nothing"));
      const ids = async (query: object) => {
        const { rows: found } = await deliveries.list({ limit: 10, offset: 0, ...query });
        return found.map(({ deliveryId, runId }) => [deliveryId, runId === run.runId]);
      };
      await ofRun(store, run.runId);
      expect(await ids({})).toEqual([
        ["of-nothing", false],
        ["old", false],
        [`msg_${run.runId}`, true],
      ]);
      expect(await ids({ threadId })).toHaveLength(2);
      expect(await ids({ runId: run.runId })).toHaveLength(1);
      const [claimed] = await deliveries.claim({ deliveryIds: ["of-nothing"], leaseMs: SEND_MS });
      const held = { deliveryId: "of-nothing", leaseToken: claimed?.leaseToken ?? 0 };
      const attempt = { at: 1, durationMs: 3, statusCode: 500, error: "HTTP 500" };
      await deliveries.record({ lease: held, attempt, next: { kind: "failed" } });
      expect(await deliveries.redeliver({ deliveryId: "of-nothing" })).toMatchObject({
        status: "pending",
        attempts: 1,
      });
      const [again] = await deliveries.claim({ deliveryIds: ["of-nothing"], leaseMs: SEND_MS });
      expect(again).toMatchObject({ message: TEXT, failures: 0 });
      const second = { deliveryId: "of-nothing", leaseToken: again?.leaseToken ?? 0 };
      await deliveries.record({ lease: second, attempt, next: { kind: "failed" } });
      expect(await deliveries.deleteThread({ threadId })).toBe(2);
      expect(await ids({})).toEqual([["of-nothing", false]]);
      clock.advance(1_000);
      expect(await deliveries.sweep({ idleMs: 1_000, limit: 10 })).toBe(1);
      expect(await ids({})).toEqual([]);
      expect(await deliveries.enqueue(message("of-nothing"))).toEqual({ enqueued: true });
    }),
  );
}

/** Once what a store writes behind is there. */
async function ofRun({ deliveries }: MetadataStore, runId: string): Promise<void> {
  for (let looks = 0; looks < 60; looks += 1) {
    const { total } = await deliveries.list({ limit: 1, offset: 0, runId });
    if (total > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
