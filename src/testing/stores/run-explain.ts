import type { MetadataStore, RunExplanation } from "../../core/metadata-store.js";
import type { RunLease } from "../../core/run.js";
import { ALL, LEASE_MS, owner, Rows, type StoreSuite, type WithStore } from "./suite.js";

/** `runs.explain`: why a run is where it is. */
export function explainCases(
  { vitest: { it, expect } }: StoreSuite<MetadataStore>,
  withStore: WithStore<MetadataStore>,
): void {
  const explain = (store: MetadataStore, runId: string): Promise<RunExplanation | null> =>
    store.runs.explain({ runId, access: ALL });
  const nothing = { ahead: 0, blockedBy: null, holder: null, retryAt: null, cancelRequested: null };

  it(
    "explains a run that waits, runs and has ended",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const { runId } = await rows.run(threadId, { delayMs: 10 });
      const run = await store.runs.get({ runId, access: ALL });
      expect(await explain(store, runId)).toEqual({ run, now: clock.now(), ...nothing });
      clock.advance(10);
      const { lease } = await rows.claimOne("host/1");
      const startedAt = clock.now();
      clock.advance(5);
      const holder = { workerId: "host/1", leaseToken: lease.leaseToken, heartbeatAt: startedAt };
      expect(await explain(store, runId)).toMatchObject({
        run: { status: "running", attempt: 1 },
        now: startedAt + 5,
        ...nothing,
        holder: { ...holder, expiresAt: startedAt + LEASE_MS },
      });
      await store.runs.heartbeat({ leases: [lease], leaseMs: LEASE_MS });
      clock.advance(1);
      expect((await explain(store, runId))?.holder).toEqual({
        ...holder,
        heartbeatAt: startedAt + 5,
        expiresAt: startedAt + 5 + LEASE_MS,
      });
      await store.runs.requestCancel({ runId, action: "interrupt", access: ALL });
      expect((await explain(store, runId))?.cancelRequested).toBe("interrupt");
      await rows.finish(lease);
      expect(await explain(store, runId)).toMatchObject({ run: { status: "success" }, ...nothing });
    }),
  );

  it(
    "counts what comes before: the running run, then those that were due earlier",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      await rows.leased(await rows.thread());
      const { run: running, lease } = await rows.leased(threadId);
      const later = await rows.run(threadId, { delayMs: 100 });
      const next = await rows.run(threadId);
      const last = await rows.run(threadId, { delayMs: 200 });
      const blockedBy = { runId: running.runId, threadId, status: "running" };
      expect(await explain(store, running.runId)).toMatchObject({ ahead: 0, blockedBy: null });
      expect(await explain(store, next.runId)).toMatchObject({ ahead: 1, blockedBy });
      expect(await explain(store, later.runId)).toMatchObject({ ahead: 2, blockedBy });
      expect(await explain(store, last.runId)).toMatchObject({ ahead: 3, blockedBy });
      clock.advance(300);
      await rows.finish(lease);
      const head = { runId: next.runId, threadId, status: "pending" };
      expect(await explain(store, next.runId)).toMatchObject({ ahead: 0, blockedBy: null });
      expect(await explain(store, last.runId)).toMatchObject({ ahead: 2, blockedBy: head });
    }),
  );

  it(
    "says until when the thread pauses, for every run that waits in it",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const { run } = await rows.leased(threadId);
      const behind = await rows.run(threadId);
      await store.runs.reapExpired({ maxAttempts: 9, isAlive: () => false, retryDelayMs: () => 500 });
      const retryAt = clock.now() + 500;
      const blockedBy = { runId: run.runId, threadId, status: "pending" };
      expect(await explain(store, run.runId)).toMatchObject({
        run: { status: "pending", attempt: 1 },
        ...nothing,
        retryAt,
      });
      expect(await explain(store, behind.runId)).toMatchObject({ ahead: 1, blockedBy, holder: null, retryAt });
      clock.advance(500);
      expect(await explain(store, run.runId)).toMatchObject({ ...nothing });
      const [claimed] = await rows.claim();
      await store.runs.reapExpired({ maxAttempts: 9, isAlive: () => false, retryDelayMs: () => 500 });
      await store.runs.requestCancel({ runId: run.runId, action: "rollback", access: ALL });
      expect(await explain(store, run.runId)).toMatchObject({ ...nothing, cancelRequested: "rollback" });
      expect(await store.runs.holds(claimed?.lease as RunLease)).toBe(false);
    }),
  );

  it(
    "explains only what the caller may see, and only in the thread that was named",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread({ owner: "a" });
      const { runId } = await rows.run(threadId);
      expect(await store.runs.explain({ runId, threadId, access: owner("a") })).toMatchObject({ run: { runId } });
      expect(await store.runs.explain({ runId, access: owner("b") })).toBeNull();
      expect(await store.runs.explain({ runId, threadId: rows.id(), access: ALL })).toBeNull();
      expect(await store.runs.explain({ runId: rows.id(), access: ALL })).toBeNull();
    }),
  );
}
