import type { MetadataStore } from "../../core/metadata-store.js";
import type { Run, RunLease } from "../../core/run.js";
import { ALL, CLAIM, LEASE_MS, Rows, type StoreSuite, type WithStore } from "./suite.js";

const PAUSE_MS = 1_000;

/** Pauses after crashes, and whether a lease still holds. */
export function retryCases(suite: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  holdsCases(suite, withStore);
  pauseCases(suite, withStore);
  pauseEndCases(suite, withStore);
  lastAttemptCases(suite, withStore);
}

/** Take back every run whose lease is over, with a pause before its next start. */
async function reapAll(store: MetadataStore, retryDelayMs = (): number => PAUSE_MS): Promise<void> {
  await store.runs.reapExpired({ maxAttempts: 9, isAlive: () => false, retryDelayMs });
}

/** A run that a worker has lost; until `PAUSE_MS` from now its thread pauses. */
async function crashed(rows: Rows, store: MetadataStore, threadId: string): Promise<{ run: Run; lease: RunLease }> {
  const leased = await rows.leased(threadId);
  await reapAll(store);
  return leased;
}

function holdsCases({ vitest: { it, expect } }: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  it(
    "knows whether a lease holds: until its end, its loss or its run's deletion, whatever the time",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const first = await rows.leased(threadId);
      expect(await store.runs.holds(first.lease)).toBe(true);
      expect(await store.runs.holds({ ...first.lease, leaseToken: first.lease.leaseToken + 1 })).toBe(false);
      expect(await store.runs.holds({ runId: rows.id(), leaseToken: 1 })).toBe(false);
      clock.advance(LEASE_MS * 2);
      expect(await store.runs.holds(first.lease)).toBe(true);
      await store.runs.reapExpired({ maxAttempts: 9 });
      expect(await store.runs.holds(first.lease)).toBe(false);
      const second = await rows.claimOne();
      expect(await store.runs.holds(first.lease)).toBe(false);
      expect(await store.runs.holds(second.lease)).toBe(true);
      await store.runs.release({ lease: second.lease });
      expect(await store.runs.holds(second.lease)).toBe(false);
      const third = await rows.claimOne();
      await rows.finish(third.lease);
      expect(await store.runs.holds(third.lease)).toBe(false);
      const last = await rows.leased(threadId);
      await store.threads.delete({ threadId, access: ALL });
      expect(await store.runs.holds(last.lease)).toBe(false);
    }),
  );
}

function pauseCases({ vitest: { it, expect } }: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  it(
    "pauses a thread after a crash: nothing of it is claimed before, other threads are, and its order stays",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const [threadId, other] = [await rows.thread(), await rows.thread()];
      const { run } = await crashed(rows, store, threadId);
      const behind = await rows.run(threadId);
      const elsewhere = await rows.run(other);
      expect((await rows.claim()).map((claimed) => claimed.run.runId)).toEqual([elsewhere.runId]);
      expect(await store.runs.claim({ ...CLAIM, limit: 5, threadId })).toEqual([]);
      expect(await rows.threadStatusOf(threadId)).toBe("busy");
      clock.advance(PAUSE_MS - 1);
      expect(await rows.claim()).toEqual([]);
      clock.advance(1);
      const [again] = await rows.claim();
      expect(again?.run).toMatchObject({ runId: run.runId, attempt: 2 });
      await rows.finish(again?.lease as RunLease);
      expect((await rows.claim()).map((claimed) => claimed.run.runId)).toEqual([behind.runId]);
    }),
  );

  it(
    "does not let a new run jump a pause, neither claimed at its creation nor by a smaller id",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const smallest = rows.id();
      const { run } = await crashed(rows, store, threadId);
      const jumper = await rows.create(threadId, { runId: smallest }, CLAIM);
      expect(jumper).toMatchObject({ kind: "created", lease: null, run: { status: "pending" } });
      expect(await rows.claim()).toEqual([]);
      clock.advance(PAUSE_MS);
      // Both are due since the same time: their ids decide.
      const [first] = await rows.claim();
      expect(first?.run.runId).toBe(smallest);
      await rows.finish(first?.lease as RunLease);
      expect((await rows.claim()).map((claimed) => claimed.run.runId)).toEqual([run.runId]);
    }),
  );

  it(
    "asks how long by the attempts so far; no pause for a run that is given back",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const { run, lease } = await rows.leased(await rows.thread());
      const asked: number[] = [];
      const retryDelayMs = (attempt: number): number => {
        asked.push(attempt);
        return attempt === 2 ? 0 : 50 * attempt;
      };
      await reapAll(store, () => retryDelayMs(1));
      clock.advance(50);
      expect((await rows.claimOne()).run.attempt).toBe(2);
      await store.runs.reapExpired({ maxAttempts: 9, isAlive: () => false, retryDelayMs });
      const third = await rows.claimOne();
      expect(third.run).toMatchObject({ runId: run.runId, attempt: 3 });
      await store.runs.reapExpired({ maxAttempts: 9, isAlive: () => false, retryDelayMs });
      expect(asked).toEqual([1, 2, 3]);
      expect(await rows.claim()).toEqual([]);
      clock.advance(150);
      const fourth = await rows.claimOne();
      await store.runs.release({ lease: fourth.lease });
      expect((await rows.claimOne()).lease.leaseToken).toBeGreaterThan(lease.leaseToken);
    }),
  );

  it(
    "counts the end of a pause among the times to look again",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const crashedAt = clock.now();
      await crashed(rows, store, threadId);
      expect(await store.runs.nextDueAt()).toBe(crashedAt + PAUSE_MS);
      const sooner = await rows.run(await rows.thread(), { delayMs: 300 });
      expect(await store.runs.nextDueAt()).toBe(sooner.dueAt);
      clock.advance(300);
      expect(await store.runs.nextDueAt()).toBe(crashedAt + PAUSE_MS);
      clock.advance(PAUSE_MS - 300);
      expect(await store.runs.nextDueAt()).toBeNull();
    }),
  );
}

function pauseEndCases(
  { vitest: { it, expect } }: StoreSuite<MetadataStore>,
  withStore: WithStore<MetadataStore>,
): void {
  it(
    "ends a pause when the run is cancelled: its next worker ends it at once",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const { run } = await crashed(rows, store, await rows.thread());
      const cancel = { runId: run.runId, action: "rollback", access: ALL } as const;
      expect((await store.runs.requestCancel(cancel)).kind).toBe("requested");
      expect(await store.runs.nextDueAt()).toBeNull();
      const claimed = await rows.claimOne();
      expect(claimed).toMatchObject({ run: { runId: run.runId }, cancel: "rollback" });
      // Nothing is executed: it does not pause after a crash either.
      await reapAll(store);
      expect((await rows.claimOne()).cancel).toBe("rollback");
    }),
  );

  it(
    "ends a pause when a new run's strategy cancels the run",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const { run } = await crashed(rows, store, threadId);
      const outcome = await rows.create(threadId, { multitaskStrategy: "interrupt" }, CLAIM);
      expect(outcome).toMatchObject({ lease: null, superseded: [{ runId: run.runId, was: "running" }] });
      const claimed = await rows.claimOne();
      expect(claimed).toMatchObject({ run: { runId: run.runId }, cancel: "interrupt" });
    }),
  );

  it(
    "ends a pause when the run is deleted, but not when another of its thread is",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const { run } = await crashed(rows, store, threadId);
      const [other, behind] = [await rows.run(threadId), await rows.run(threadId)];
      await store.runs.delete({ runId: other.runId, threadId, access: ALL });
      await store.threads.update({ threadId, metadata: { touched: true }, access: ALL });
      expect(await rows.claim()).toEqual([]);
      await store.runs.delete({ runId: run.runId, threadId, access: ALL });
      expect((await rows.claim()).map((claimed) => claimed.run.runId)).toEqual([behind.runId]);
    }),
  );
}

function lastAttemptCases(
  { vitest: { it, expect } }: StoreSuite<MetadataStore>,
  withStore: WithStore<MetadataStore>,
): void {
  it(
    "says which worker a run was lost with when it has failed too often, and does not pause its thread",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const { run } = await crashed(rows, store, threadId);
      const behind = await rows.run(threadId);
      await store.runs.delete({ runId: run.runId, threadId, access: ALL });
      await rows.claimOne("host-7/worker-3");
      const { failed } = await store.runs.reapExpired({
        maxAttempts: 1,
        isAlive: () => false,
        retryDelayMs: () => PAUSE_MS,
      });
      expect(failed).toEqual([{ runId: behind.runId, threadId }]);
      const ended = await store.runs.get({ runId: behind.runId, access: ALL });
      const error = JSON.parse(ended?.error ?? "null") as { error: string; message: string };
      expect(error.error).toBe("MaxAttemptsExceeded");
      expect(error.message).toMatch(/started once.*host-7\/worker-3/);
      expect((await rows.leased(threadId)).run.status).toBe("running");
    }),
  );
}
