import { toJsonText } from "../../core/json.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import { ALL, CLAIM, LEASE_MS, Rows, type StoreSuite, type WithStore } from "./suite.js";

/** Claiming, leases, fencing, ending. */
export function leaseCases(suite: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  claimCases(suite, withStore);
  fencingCases(suite, withStore);
  finishCases(suite, withStore);
  reapCases(suite, withStore);
}

function claimCases({ vitest: { it, expect } }: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  it(
    "claims the oldest due first, up to the limit, and never a thread twice",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const [a, b, c] = [await rows.thread(), await rows.thread(), await rows.thread()];
      const late = await rows.run(a, { delayMs: 20 });
      const first = await rows.run(b);
      const second = await rows.run(b);
      clock.advance(10);
      const third = await rows.run(c);
      expect(await store.runs.claim({ ...CLAIM, limit: 0 })).toEqual([]);
      expect((await rows.claim(1)).map((claimed) => claimed.run.runId)).toEqual([first.runId]);
      expect((await rows.claim()).map((claimed) => claimed.run.runId)).toEqual([third.runId]);
      expect(await rows.claim()).toEqual([]);
      clock.advance(10);
      const claimed = await rows.claim();
      expect(claimed.map(({ run }) => run.runId)).toEqual([late.runId]);
      expect(claimed[0]).toMatchObject({ run: { status: "running", attempt: 1, threadId: a }, cancel: null });
      expect(await rows.statusOf(second.runId)).toBe("pending");
    }),
  );

  it(
    "claims within a thread in order of due time, then of id",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const slow = await rows.run(threadId, { delayMs: 10 });
      const quick = await rows.run(threadId);
      const same = await rows.run(threadId);
      const order: string[] = [];
      clock.advance(10);
      for (let [next] = await rows.claim(); next !== undefined; [next] = await rows.claim()) {
        order.push(next.run.runId);
        await rows.finish(next.lease);
      }
      expect(order).toEqual([quick.runId, same.runId, slow.runId]);
    }),
  );

  it(
    "claims from one thread only, when asked to",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const [a, b] = [await rows.thread(), await rows.thread()];
      await rows.run(a);
      const wanted = await rows.run(b);
      const claimed = await store.runs.claim({ ...CLAIM, limit: 5, threadId: b });
      expect(claimed.map(({ run }) => run.runId)).toEqual([wanted.runId]);
      expect(await store.runs.claim({ ...CLAIM, limit: 5, threadId: b })).toEqual([]);
      expect(await store.runs.claim({ ...CLAIM, limit: 5, threadId: rows.id() })).toEqual([]);
    }),
  );

  it(
    "gives every run to one of many claiming workers",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const runIds: string[] = [];
      for (let n = 0; n < 40; n += 1) runIds.push((await rows.run(await rows.thread())).runId);
      const claims = await Promise.all(Array.from({ length: 20 }, (_, n) => rows.claim(3, `worker-${n}`)));
      const claimed = claims.flat().map(({ run }) => run.runId);
      expect([...claimed].sort()).toEqual(runIds.sort());
    }),
  );

  it(
    "says when the next delayed run becomes due",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      expect(await store.runs.nextDueAt()).toBeNull();
      await rows.run(await rows.thread());
      expect(await store.runs.nextDueAt()).toBeNull();
      const later = await rows.run(await rows.thread(), { delayMs: 200 });
      const sooner = await rows.run(await rows.thread(), { delayMs: 100 });
      expect(await store.runs.nextDueAt()).toBe(sooner.dueAt);
      clock.advance(100);
      expect(await store.runs.nextDueAt()).toBe(later.dueAt);
      await store.runs.requestCancel({ runId: later.runId, action: "interrupt", access: ALL });
      expect(await store.runs.nextDueAt()).toBeNull();
    }),
  );
}

function fencingCases(
  { vitest: { it, expect } }: StoreSuite<MetadataStore>,
  withStore: WithStore<MetadataStore>,
): void {
  it(
    "extends leases by heartbeat, and names the lost ones",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const mine = await rows.leased(await rows.thread());
      const unknown = { runId: rows.id(), leaseToken: 1 };
      const stale = { ...mine.lease, leaseToken: mine.lease.leaseToken + 1 };
      clock.advance(LEASE_MS - 1);
      const beat = await store.runs.heartbeat({ leases: [mine.lease, unknown], leaseMs: LEASE_MS });
      expect(beat).toEqual({ lost: [unknown.runId], cancelRequested: [] });
      clock.advance(LEASE_MS - 1);
      expect((await store.runs.reapExpired({ maxAttempts: 3 })).requeued).toEqual([]);
      expect((await store.runs.heartbeat({ leases: [stale], leaseMs: 1 })).lost).toEqual([mine.run.runId]);
      clock.advance(1);
      expect((await store.runs.reapExpired({ maxAttempts: 3 })).requeued).toHaveLength(1);
      expect((await store.runs.heartbeat({ leases: [mine.lease], leaseMs: 1 })).lost).toEqual([mine.run.runId]);
      expect(await store.runs.heartbeat({ leases: [], leaseMs: 1 })).toEqual({ lost: [], cancelRequested: [] });
    }),
  );

  it(
    "refuses whoever lost the lease, and changes nothing for him",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const slow = await rows.leased(threadId);
      clock.advance(LEASE_MS);
      await store.runs.reapExpired({ maxAttempts: 3 });
      expect(await rows.finish(slow.lease)).toBe(false);
      expect(await store.runs.release({ lease: slow.lease })).toEqual({ accepted: false });
      const next = await rows.claimOne("worker-2");
      expect(next.lease.leaseToken).toBeGreaterThan(slow.lease.leaseToken);
      expect(next.run.attempt).toBe(2);
      const late = {
        lease: slow.lease,
        outcome: { kind: "ended", status: "error", error: toJsonText({}) },
        threadPatch: { values: toJsonText({ late: true }) },
        hasNext: true,
      } as const;
      expect((await store.runs.finish(late)).accepted).toBe(false);
      expect(await store.runs.release({ lease: slow.lease })).toEqual({ accepted: false });
      expect(await store.threads.get({ threadId, access: ALL })).toMatchObject({ status: "busy", values: null });
      expect(await rows.finish(next.lease)).toBe(true);
      expect(await rows.finish(next.lease)).toBe(false);
      expect(await rows.threadStatusOf(threadId)).toBe("idle");
    }),
  );

  it(
    "takes an end that comes late but before anyone noticed",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const { lease } = await rows.leased(await rows.thread());
      clock.advance(LEASE_MS * 10);
      expect(await rows.finish(lease)).toBe(true);
      expect(await store.runs.reapExpired({ maxAttempts: 3 })).toEqual({ requeued: [], failed: [] });
    }),
  );

  it(
    "gives a run back without counting the attempt",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const { run, lease } = await rows.leased(threadId);
      const behind = await rows.run(threadId);
      clock.advance(5);
      expect(await store.runs.release({ lease })).toEqual({ accepted: true });
      expect(await store.runs.get({ runId: run.runId, access: ALL })).toMatchObject({ status: "pending", attempt: 0 });
      expect(await rows.threadStatusOf(threadId)).toBe("busy");
      const [again] = await rows.claim();
      expect(again?.run).toMatchObject({ runId: run.runId, attempt: 1 });
      expect(again?.lease.leaseToken).toBeGreaterThan(lease.leaseToken);
      expect(await rows.statusOf(behind.runId)).toBe("pending");
    }),
  );
}

function finishCases({ vitest: { it, expect } }: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  it(
    "ends run and thread together",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const { run, lease } = await rows.leased(threadId);
      clock.advance(10);
      const values = toJsonText({ a: "\u0000" });
      const interrupts = toJsonText({ t: [] });
      const threadPatch = { values, interrupts };
      const outcome = { kind: "ended", status: "success" } as const;
      const finished = await store.runs.finish({ lease, outcome, threadPatch, hasNext: true });
      expect(finished).toEqual({ accepted: true, nextPending: false });
      const thread = await store.threads.get({ threadId, access: ALL });
      expect(thread).toMatchObject({ status: "interrupted", values, interrupts, error: null });
      expect(thread).toMatchObject({ updatedAt: clock.now(), stateUpdatedAt: clock.now() });
      const ended = await store.runs.get({ runId: run.runId, access: ALL });
      expect(ended).toMatchObject({ status: "success", updatedAt: clock.now(), error: null });
    }),
  );

  it(
    "keeps the error of a failed run on run and thread until a run succeeds",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const { run, lease } = await rows.leased(threadId);
      const error = toJsonText({ error: "TypeError", message: "Boo!" });
      const outcome = { kind: "ended", status: "error", error } as const;
      await store.runs.finish({ lease, outcome, threadPatch: { error }, hasNext: true });
      expect((await store.runs.get({ runId: run.runId, access: ALL }))?.error).toBe(error);
      expect(await store.threads.get({ threadId, access: ALL })).toMatchObject({ status: "error", error });
      const cancelled = await rows.run(threadId);
      expect(await store.threads.get({ threadId, access: ALL })).toMatchObject({ status: "busy", error: null });
      await store.runs.requestCancel({ runId: cancelled.runId, action: "interrupt", access: ALL });
      expect(await store.threads.get({ threadId, access: ALL })).toMatchObject({ status: "error", error });
      const next = await rows.leased(threadId);
      await rows.finish(next.lease);
      expect(await store.threads.get({ threadId, access: ALL })).toMatchObject({ status: "idle", error: null });
      const late = await rows.leased(threadId);
      const timeout = { kind: "ended", status: "timeout" } as const;
      await store.runs.finish({ lease: late.lease, outcome: timeout, threadPatch: { error: null }, hasNext: false });
      expect(await store.threads.get({ threadId, access: ALL })).toMatchObject({ status: "error", error: null });
    }),
  );

  it(
    "keeps the thread busy while another run waits, and says whether it may start",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const { lease } = await rows.leased(threadId);
      const delayed = await rows.run(threadId, { delayMs: 100 });
      const outcome = { kind: "ended", status: "timeout" } as const;
      const finished = await store.runs.finish({ lease, outcome, threadPatch: {}, hasNext: false });
      expect(finished).toEqual({ accepted: true, nextPending: false });
      expect(await rows.threadStatusOf(threadId)).toBe("busy");
      await store.runs.delete({ runId: delayed.runId, threadId, access: ALL });
      expect(await rows.threadStatusOf(threadId)).toBe("error");
      const second = await rows.leased(threadId);
      await rows.run(threadId);
      clock.advance(1);
      const ended = { lease: second.lease, outcome: { kind: "ended", status: "success" }, threadPatch: {} } as const;
      expect(await store.runs.finish({ ...ended, hasNext: false })).toEqual({ accepted: true, nextPending: true });
    }),
  );

  it(
    "rolls back: the row goes, the thread gets its former state",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const { run, lease } = await rows.leased(threadId);
      const values = toJsonText({ former: true });
      const outcome = { kind: "rolled-back" } as const;
      const threadMetadata = { graph_id: "former" };
      const end = { lease, outcome, threadPatch: { values }, hasNext: true, threadMetadata };
      expect(await store.runs.finish(end)).toEqual({ accepted: true, nextPending: false });
      expect(await rows.statusOf(run.runId)).toBeNull();
      expect(await store.threads.get({ threadId, access: ALL })).toMatchObject({
        status: "interrupted",
        values,
        metadata: { graph_id: "former", assistant_id: run.assistantId },
      });
      expect(await store.threads.count({ metadata: threadMetadata, access: ALL })).toBe(1);
      expect(await rows.finish(lease)).toBe(false);
    }),
  );
}

function reapCases({ vitest: { it, expect } }: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  it(
    "takes back expired leases, and fails a run after its last attempt",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const { run } = await rows.leased(threadId);
      const ref = { runId: run.runId, threadId };
      clock.advance(LEASE_MS);
      expect(await store.runs.reapExpired({ maxAttempts: 2 })).toEqual({ requeued: [ref], failed: [] });
      expect(await store.runs.reapExpired({ maxAttempts: 2 })).toEqual({ requeued: [], failed: [] });
      expect(await rows.threadStatusOf(threadId)).toBe("busy");
      const [again] = await rows.claim();
      expect(again?.run).toMatchObject({ runId: run.runId, attempt: 2 });
      const behind = await rows.run(threadId);
      clock.advance(LEASE_MS);
      expect(await store.runs.reapExpired({ maxAttempts: 2 })).toEqual({ requeued: [], failed: [ref] });
      const failed = await store.runs.get({ runId: run.runId, access: ALL });
      expect(failed).toMatchObject({ status: "error", attempt: 2 });
      const error = JSON.parse(failed?.error ?? "null") as { error: string; message: string };
      expect(error.message).toMatch(/2 times/);
      expect(error.error).not.toBe("");
      expect(await rows.threadStatusOf(threadId)).toBe("busy");
      await store.runs.requestCancel({ runId: behind.runId, action: "rollback", access: ALL });
      expect(await store.threads.get({ threadId, access: ALL })).toMatchObject({
        status: "error",
        error: failed?.error,
      });
    }),
  );

  it(
    "takes back the runs of workers that are not alive, before their lease ends",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const dead = await rows.run(await rows.thread());
      await rows.claim(1, "dead");
      const living = await rows.run(await rows.thread());
      await rows.claim(1, "living");
      const { requeued } = await store.runs.reapExpired({ maxAttempts: 3, isAlive: (worker) => worker === "living" });
      expect(requeued).toEqual([{ runId: dead.runId, threadId: dead.threadId }]);
      expect(await rows.statusOf(living.runId)).toBe("running");
    }),
  );
}
