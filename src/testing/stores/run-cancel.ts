import type { MetadataStore } from "../../core/metadata-store.js";
import { ALL, LEASE_MS, owner, Rows, type StoreSuite, type WithStore } from "./suite.js";

/** Cancelling, deleting, listing. */
export function cancelCases(suite: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  pendingCases(suite, withStore);
  runningCases(suite, withStore);
  deleteCases(suite, withStore);
  listCases(suite, withStore);
  temporaryCases(suite, withStore);
}

function pendingCases(
  { vitest: { it, expect } }: StoreSuite<MetadataStore>,
  withStore: WithStore<MetadataStore>,
): void {
  it(
    "ends a pending run at once, and its thread is as before",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      await store.threads.patchState({ threadId, patch: {}, hasNext: true });
      const interrupted = await rows.run(threadId);
      const removed = await rows.run(threadId);
      clock.advance(5);
      const first = await store.runs.requestCancel({ runId: interrupted.runId, action: "interrupt", access: ALL });
      expect(first).toMatchObject({ kind: "cancelled", run: { status: "interrupted", updatedAt: clock.now() } });
      const createdAt = clock.now() - 5;
      expect(await store.threads.get({ threadId, access: ALL })).toMatchObject({
        status: "busy",
        updatedAt: createdAt,
      });
      const second = await store.runs.requestCancel({
        runId: removed.runId,
        threadId,
        action: "rollback",
        access: ALL,
      });
      expect(second).toMatchObject({ kind: "cancelled", run: { runId: removed.runId, threadId } });
      expect(await rows.statusOf(interrupted.runId)).toBe("interrupted");
      expect(await rows.statusOf(removed.runId)).toBeNull();
      const thread = await store.threads.get({ threadId, access: ALL });
      expect(thread).toMatchObject({ status: "interrupted", updatedAt: clock.now(), stateUpdatedAt: createdAt });
      expect(await rows.claim()).toEqual([]);
    }),
  );

  it(
    "does not find a run that is missing, hidden or of another thread; leaves a finished one",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread({ owner: "a" });
      const { run, lease } = await rows.leased(threadId);
      const cancel = async (params: object): Promise<string> => {
        const request = { runId: run.runId, action: "interrupt", access: ALL, ...params } as const;
        return (await store.runs.requestCancel(request)).kind;
      };
      expect(await cancel({ runId: rows.id() })).toBe("not-found");
      expect(await cancel({ threadId: rows.id() })).toBe("not-found");
      expect(await cancel({ access: owner("b") })).toBe("not-found");
      expect((await store.runs.heartbeat({ leases: [lease], leaseMs: 1 })).cancelRequested).toEqual([]);
      await rows.finish(lease);
      expect(await cancel({ action: "rollback" })).toBe("finished");
      expect(await rows.statusOf(run.runId)).toBe("success");
    }),
  );
}

function runningCases(
  { vitest: { it, expect } }: StoreSuite<MetadataStore>,
  withStore: WithStore<MetadataStore>,
): void {
  it(
    "asks a running run to stop; a rollback is never weakened",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const { run, lease } = await rows.leased(await rows.thread());
      const requested = async (action: "interrupt" | "rollback"): Promise<readonly unknown[]> => {
        const outcome = await store.runs.requestCancel({ runId: run.runId, action, access: ALL });
        expect(outcome).toMatchObject({ kind: "requested", run: { status: "running" } });
        return (await store.runs.heartbeat({ leases: [lease], leaseMs: LEASE_MS })).cancelRequested;
      };
      expect(await requested("interrupt")).toEqual([{ runId: run.runId, action: "interrupt" }]);
      expect(await requested("rollback")).toEqual([{ runId: run.runId, action: "rollback" }]);
      expect(await requested("interrupt")).toEqual([{ runId: run.runId, action: "rollback" }]);
    }),
  );

  it(
    "refuses an ordinary end once a rollback was asked for, and takes the rollback",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const { run, lease } = await rows.leased(threadId);
      await store.runs.requestCancel({ runId: run.runId, action: "rollback", access: ALL });
      const end = { lease, threadPatch: {}, hasNext: false };
      const ended = await store.runs.finish({ ...end, outcome: { kind: "ended", status: "success" } });
      expect(ended).toEqual({ accepted: false, cancelRequested: "rollback" });
      expect(await rows.statusOf(run.runId)).toBe("running");
      expect((await store.runs.heartbeat({ leases: [lease], leaseMs: LEASE_MS })).lost).toEqual([]);
      const undone = await store.runs.finish({ ...end, outcome: { kind: "rolled-back" } });
      expect(undone).toEqual({ accepted: true, nextPending: false });
      expect(await rows.statusOf(run.runId)).toBeNull();
      expect(await rows.threadStatusOf(threadId)).toBe("idle");
    }),
  );

  it(
    "lets a run that ends first be successful, although an interrupt was asked for",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const { run, lease } = await rows.leased(await rows.thread());
      await store.runs.requestCancel({ runId: run.runId, action: "interrupt", access: ALL });
      expect(await rows.finish(lease)).toBe(true);
      expect(await rows.statusOf(run.runId)).toBe("success");
    }),
  );

  it(
    "remembers a cancel over the worker's death and over a release, whatever the attempt",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const { run } = await rows.leased(threadId);
      await store.runs.requestCancel({ runId: run.runId, action: "interrupt", access: ALL });
      clock.advance(LEASE_MS);
      const reaped = await store.runs.reapExpired({ maxAttempts: 1 });
      expect(reaped).toEqual({ requeued: [{ runId: run.runId, threadId }], failed: [] });
      const second = await rows.claimOne();
      expect(second).toMatchObject({ run: { runId: run.runId }, cancel: "interrupt" });
      await store.runs.release({ lease: second.lease });
      // What its first worker did is not undone by forgetting the row: the next worker does it.
      const again = await store.runs.requestCancel({ runId: run.runId, action: "rollback", access: ALL });
      expect(again).toMatchObject({ kind: "requested", run: { status: "pending" } });
      const third = await rows.claimOne();
      expect(third.cancel).toBe("rollback");
      const outcome = { kind: "rolled-back" } as const;
      expect((await store.runs.finish({ lease: third.lease, outcome, threadPatch: {}, hasNext: false })).accepted).toBe(
        true,
      );
      expect(await rows.threadStatusOf(threadId)).toBe("idle");
    }),
  );

  it(
    "decides a race between cancel and end one way or the other",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      for (let n = 0; n < 20; n += 1) {
        const { run, lease } = await rows.leased(await rows.thread());
        const cancel = (): ReturnType<MetadataStore["runs"]["requestCancel"]> =>
          store.runs.requestCancel({ runId: run.runId, action: "rollback", access: ALL });
        const finishing = (): Promise<boolean> => rows.finish(lease);
        const [first, second] = n % 2 === 0 ? [finishing(), cancel()] : [cancel(), finishing()];
        const outcomes = await Promise.all([first, second]);
        const accepted = outcomes.includes(true);
        const cancelled = outcomes.find((outcome) => typeof outcome === "object");
        expect(cancelled?.kind).toBe(accepted ? "finished" : "requested");
        expect(await rows.statusOf(run.runId)).toBe(accepted ? "success" : "running");
      }
    }),
  );
}

function deleteCases({ vitest: { it, expect } }: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  it(
    "deletes a run that is not running",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread({ owner: "a" });
      const { run, lease } = await rows.leased(threadId);
      const pending = await rows.run(threadId);
      const remove = async (runId: string, params: object = {}): Promise<string> =>
        (await store.runs.delete({ runId, threadId, access: ALL, ...params })).kind;
      expect(await remove(run.runId)).toBe("running");
      expect(await remove(pending.runId, { access: owner("b") })).toBe("not-found");
      expect(await remove(pending.runId, { threadId: rows.id() })).toBe("not-found");
      const deleted = await store.runs.delete({ runId: pending.runId, threadId, access: owner("a") });
      expect(deleted).toEqual({ kind: "deleted", run: pending });
      expect(await remove(pending.runId)).toBe("not-found");
      await rows.finish(lease);
      expect(await remove(run.runId)).toBe("deleted");
      expect(await store.runs.list({ threadId, limit: 10, offset: 0, access: ALL })).toEqual([]);
      expect(await rows.threadStatusOf(threadId)).toBe("idle");
    }),
  );
}

function listCases({ vitest: { it, expect } }: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  it(
    "lists newest first, by pages, by status, by ids, by access",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const [a, b] = [await rows.thread({ owner: "a" }), await rows.thread({ owner: "b" })];
      const ofA: string[] = [];
      for (let n = 0; n < 5; n += 1) {
        ofA.unshift((await rows.run(a)).runId);
        if (n % 2 === 0) clock.advance(1);
      }
      const ofB = await rows.run(b);
      const list = async (query: object = {}): Promise<string[]> => {
        const runs = await store.runs.list({ limit: 10, offset: 0, access: ALL, ...query });
        return runs.map((run) => run.runId);
      };
      expect(await list({ threadId: a })).toEqual(ofA);
      expect(await list({ threadId: a, limit: 2, offset: 2 })).toEqual(ofA.slice(2, 4));
      expect(await list({ threadId: a, offset: 5 })).toEqual([]);
      expect(await list({ threadId: a, limit: 0 })).toEqual([]);
      expect(await list({ threadId: a, access: owner("b") })).toEqual([]);
      expect(await list({ threadId: rows.id() })).toEqual([]);
      expect(await list()).toEqual([ofB.runId, ...ofA]);
      expect(await list({ limit: 2, offset: 1 })).toEqual(ofA.slice(0, 2));
      expect(await list({ access: owner("b") })).toEqual([ofB.runId]);
      expect(await list({ runIds: [ofA[3], ofB.runId, rows.id()] })).toEqual([ofB.runId, ofA[3]]);
      expect(await list({ runIds: [ofA[3], ofB.runId], threadId: a })).toEqual([ofA[3]]);
      expect(await list({ runIds: [] })).toEqual([]);
      const claimed = (await rows.claim()).map(({ run }) => run.runId);
      expect((await list({ status: ["running"] })).sort()).toEqual([...claimed].sort());
      expect(await list({ status: ["pending"] })).toEqual(ofA.slice(0, 4));
      expect(await list({ status: ["running", "pending"], threadId: a })).toEqual(ofA);
      expect(await list({ status: ["pending"], limit: 1, offset: 1 })).toEqual([ofA[1]]);
      expect(await list({ status: ["running", "success"], access: owner("b") })).toEqual([ofB.runId]);
      expect(await list({ status: ["success"] })).toEqual([]);
    }),
  );

  it(
    "gets a run only by its thread and to who may see it",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread({ owner: "a" });
      const run = await rows.run(threadId);
      const get = async (params: object): Promise<unknown> =>
        store.runs.get({ runId: run.runId, access: ALL, ...params });
      expect(await get({})).toEqual(run);
      expect(await get({ threadId, access: owner("a") })).toEqual(run);
      expect(await get({ threadId: rows.id() })).toBeNull();
      expect(await get({ access: owner("b") })).toBeNull();
      expect(await get({ runId: rows.id() })).toBeNull();
    }),
  );
}

function temporaryCases(
  { vitest: { it, expect } }: StoreSuite<MetadataStore>,
  withStore: WithStore<MetadataStore>,
): void {
  it(
    "finds the threads of ended stateless runs, and no others",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const { run } = await rows.leased(await rows.thread());
      const temporary = { kwargs: { ...run.kwargs, temporary: true }, createThread: true };
      const kept = { createThread: true };
      const ended = await rows.leased(rows.id(), temporary);
      const undone = await rows.leased(rows.id(), temporary);
      const stillRunning = await rows.leased(rows.id(), temporary);
      const waiting = await rows.run(rows.id(), { ...temporary, delayMs: 10_000 });
      const ordinary = await rows.leased(rows.id(), kept);
      const existing = await rows.thread();
      const onExisting = await rows.leased(existing, { kwargs: temporary.kwargs });
      for (const { lease } of [ended, ordinary, onExisting]) await rows.finish(lease);
      const outcome = { kind: "rolled-back" } as const;
      await store.runs.finish({ lease: undone.lease, outcome, threadPatch: {}, hasNext: false });
      const abandoned = async (endedBeforeMs: number, limit = 10): Promise<string[]> =>
        [...(await store.runs.abandonedTemporaryThreads({ limit, endedBeforeMs }))].sort();
      expect(await abandoned(1)).toEqual([]);
      clock.advance(1);
      expect(await abandoned(1)).toEqual([ended.run.threadId, undone.run.threadId].sort());
      expect(await abandoned(1, 1)).toHaveLength(1);
      await rows.finish(stillRunning.lease);
      await store.runs.requestCancel({ runId: waiting.runId, action: "interrupt", access: ALL });
      expect(await abandoned(0)).toHaveLength(4);
      await store.threads.delete({ threadId: ended.run.threadId, access: ALL });
      expect(await abandoned(0)).toHaveLength(3);
      await rows.run(undone.run.threadId);
      expect(await abandoned(0)).toHaveLength(2);
    }),
  );
}
