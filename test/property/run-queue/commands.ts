import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { ALL_ROWS } from "../../../src/core/auth.js";
import type { MetadataStore } from "../../../src/core/metadata-store.js";
import type { CancelAction, MultitaskStrategy } from "../../../src/core/run.js";
import type { FakeClock } from "../../../src/testing/fake-clock.js";
import { newRun, uuid } from "../../../src/testing/stores/suite.js";
import type { ModelRun, QueueModel } from "./model.js";

export interface Real {
  readonly store: MetadataStore;
  readonly clock: FakeClock;
}

const LEASE_MS = 100;

/** One step: does the same to model and store, and compares what both say. */
class Step implements fc.AsyncCommand<QueueModel, Real> {
  readonly #title: string;
  readonly #play: (model: QueueModel, real: Real) => Promise<void>;

  constructor(title: string, play: (model: QueueModel, real: Real) => Promise<void>) {
    this.#title = title;
    this.#play = play;
  }

  check(): boolean {
    return true;
  }

  async run(model: QueueModel, real: Real): Promise<void> {
    await this.#play(model, real);
    await compare(model, real);
  }

  toString(): string {
    return this.#title;
  }
}

/** All that a client can see of the queue. */
async function compare(model: QueueModel, { store }: Real): Promise<void> {
  const runs = await store.runs.list({ limit: 10_000, offset: 0, access: ALL_ROWS });
  const seen = runs.map(({ runId, status, attempt, dueAt }) => ({ runId, status, attempt, dueAt }));
  const expected = model.runs.map(({ runId, status, attempt, dueAt }) => ({ runId, status, attempt, dueAt }));
  const byId = (a: { runId: string }, b: { runId: string }): number => (a.runId < b.runId ? -1 : 1);
  deepEqual(seen.sort(byId), expected.sort(byId));
  for (const thread of model.threads) {
    const row = await store.threads.get({ threadId: thread.threadId, access: ALL_ROWS });
    deepEqual([thread.threadId, row?.status], [thread.threadId, model.statusOf(thread)]);
    ok(model.runs.filter((run) => run.threadId === thread.threadId && run.status === "running").length < 2);
  }
  for (const status of ["idle", "busy", "interrupted", "error"] as const) {
    const matching = model.threads.filter((thread) => model.statusOf(thread) === status).length;
    deepEqual([status, await store.threads.count({ status, access: ALL_ROWS })], [status, matching]);
  }
  equal(await store.runs.nextDueAt(), model.nextDueAt());
}

function pick<T>(list: readonly T[], index: number): T | undefined {
  return list.length === 0 ? undefined : list[index % list.length];
}

const index = fc.nat({ max: 1_000 });
const worker = fc.constantFrom("w1", "w2", "w3");
const strategies: MultitaskStrategy[] = ["reject", "interrupt", "rollback", "enqueue"];
const actions: CancelAction[] = ["interrupt", "rollback"];

const create = fc
  .record({
    thread: index,
    strategy: fc.constantFrom(...strategies),
    delayMs: fc.constantFrom(0, 0, 0, 30, 150),
    claimBy: fc.option(worker),
  })
  .map(
    ({ thread, strategy, delayMs, claimBy }) =>
      new Step(`create(${thread}, ${strategy}, +${delayMs}, ${claimBy})`, async (model, { store }) => {
        const threadId = pick(model.threads, thread)?.threadId ?? "";
        // Ids are not in order of creation, so that equal due times are told apart by id.
        model.created += 1;
        const runId = uuid(0x10000 + ((model.created * 7_919) % 65_521));
        const inflight = model.inflight(threadId).map((run) => run.runId);
        const claim = claimBy === null ? null : { worker: claimBy, leaseMs: LEASE_MS };
        const expected = model.create({ runId, threadId, strategy, delayMs, claim });
        const outcome = await store.runs.create({
          draft: newRun(0, threadId, { runId, multitaskStrategy: strategy, delayMs }),
          ...(claimBy === null ? {} : { claim: { workerId: claimBy, leaseMs: LEASE_MS } }),
          access: ALL_ROWS,
        });
        equal(outcome.kind, expected.kind);
        if (outcome.kind === "busy") deepEqual(outcome.inflight.map((run) => run.runId).sort(), inflight.sort());
        if (outcome.kind !== "created" || expected.kind !== "created") return;
        equal(outcome.lease !== null, expected.leased);
        const cancelling = strategy === "interrupt" || strategy === "rollback";
        deepEqual(outcome.superseded.map((run) => run.runId).sort(), cancelling ? inflight.sort() : []);
        for (const run of outcome.superseded) {
          const left = model.runs.find((one) => one.runId === run.runId);
          equal(run.was, left?.status === "running" || left?.status === "pending" ? "running" : "pending");
        }
      }),
  );

const claim = fc.record({ by: worker, limit: fc.integer({ min: 1, max: 3 }) }).map(
  ({ by, limit }) =>
    new Step(`claim(${by}, ${limit})`, async (model, { store }) => {
      const expected = model.claim(by, LEASE_MS, limit);
      const claimed = await store.runs.claim({ workerId: by, leaseMs: LEASE_MS, limit });
      deepEqual(
        claimed.map(({ run }) => run.runId),
        expected,
      );
      for (const { run, lease, cancel } of claimed) {
        const row = model.runs.find((one) => one.runId === run.runId) as ModelRun;
        deepEqual({ token: lease.leaseToken, cancel }, { token: row.token, cancel: row.cancel });
      }
    }),
);

const heartbeat = fc.array(index, { maxLength: 4 }).map(
  (picks) =>
    new Step(`heartbeat(${picks.join()})`, async (model, { store }) => {
      const leases = picks.flatMap((n) => pick(model.leases, n) ?? []);
      const lost: string[] = [];
      const cancelRequested: { runId: string; action: CancelAction }[] = [];
      for (const lease of leases) {
        const run = model.held(lease);
        if (run === undefined) lost.push(lease.runId);
        else run.leaseUntil = model.now + LEASE_MS;
        if (run !== undefined && run.cancel !== null) cancelRequested.push({ runId: run.runId, action: run.cancel });
      }
      const beat = await store.runs.heartbeat({
        leases: leases.map(({ runId, token }) => ({ runId, leaseToken: token })),
        leaseMs: LEASE_MS,
      });
      deepEqual(beat, { lost, cancelRequested });
    }),
);

const finish = fc
  .record({
    lease: index,
    status: fc.constantFrom("success", "success", "error", "interrupted", "rolled-back"),
    hasNext: fc.boolean(),
  })
  .map(
    ({ lease, status, hasNext }) =>
      new Step(`finish(${lease}, ${status}, ${hasNext})`, async (model, { store }) => {
        const picked = pick(model.leases, lease);
        if (picked === undefined) return;
        const run = model.held(picked);
        const refusedFor = run?.cancel === "rollback" && status !== "rolled-back";
        const accepted = run !== undefined && model.finish(run, status, hasNext);
        const result = await store.runs.finish({
          lease: { runId: picked.runId, leaseToken: picked.token },
          outcome: status === "rolled-back" ? { kind: "rolled-back" } : { kind: "ended", status },
          threadPatch: {},
          hasNext,
        });
        if (!accepted) {
          deepEqual(result, { accepted: false, ...(refusedFor ? { cancelRequested: "rollback" } : {}) });
          return;
        }
        deepEqual(result, { accepted: true, nextPending: model.hasDue(run.threadId) });
      }),
  );

const release = index.map(
  (n) =>
    new Step(`release(${n})`, async (model, { store }) => {
      const picked = pick(model.leases, n);
      if (picked === undefined) return;
      const run = model.held(picked);
      if (run !== undefined) model.release(run);
      const lease = { runId: picked.runId, leaseToken: picked.token };
      deepEqual(await store.runs.release({ lease }), { accepted: run !== undefined });
    }),
);

const cancel = fc.record({ run: index, action: fc.constantFrom(...actions) }).map(
  ({ run: n, action }) =>
    new Step(`cancel(${n}, ${action})`, async (model, { store }) => {
      const run = pick(model.runs, n);
      if (run === undefined) return;
      const expected = model.cancel(run, action);
      const outcome = await store.runs.requestCancel({ runId: run.runId, action, access: ALL_ROWS });
      equal(outcome.kind, expected);
    }),
);

const reap = fc
  .record({
    dead: fc.option(worker),
    maxAttempts: fc.integer({ min: 1, max: 3 }),
    pauseMs: fc.constantFrom(0, 10, 90, 250),
  })
  .map(
    ({ dead, maxAttempts, pauseMs }) =>
      new Step(`reap(${dead} is dead, ${maxAttempts}, pause ${pauseMs})`, async (model, { store }) => {
        const retryDelayMs = (attempt: number): number => attempt * pauseMs;
        const expected = model.reap(maxAttempts, dead, retryDelayMs);
        const isAlive = (workerId: string): boolean => workerId !== dead;
        const reaped = await store.runs.reapExpired({ maxAttempts, isAlive, retryDelayMs });
        deepEqual(reaped.requeued.map((run) => run.runId).sort(), expected.requeued.sort());
        deepEqual(reaped.failed.map((run) => run.runId).sort(), expected.failed.sort());
      }),
  );

const explain = index.map(
  (n) =>
    new Step(`explain(${n})`, async (model, { store }) => {
      const run = pick(model.runs, n);
      if (run === undefined) return;
      const explained = await store.runs.explain({ runId: run.runId, access: ALL_ROWS });
      ok(explained !== null);
      const { run: row, now, holder, ...rest } = explained;
      deepEqual(
        { runId: row.runId, status: row.status, now },
        { runId: run.runId, status: run.status, now: model.now },
      );
      const { heartbeatAt, ...held } = holder ?? { heartbeatAt: model.now };
      ok(heartbeatAt <= model.now);
      deepEqual({ ...rest, holder: holder === null ? null : held }, model.explain(run));
    }),
);

const holds = index.map(
  (n) =>
    new Step(`holds(${n})`, async (model, { store }) => {
      const picked = pick(model.leases, n);
      if (picked === undefined) return;
      const lease = { runId: picked.runId, leaseToken: picked.token };
      equal(await store.runs.holds(lease), model.held(picked) !== undefined);
    }),
);

const remove = index.map(
  (n) =>
    new Step(`delete(${n})`, async (model, { store }) => {
      const run = pick(model.runs, n);
      if (run === undefined) return;
      const expected = model.delete(run) ? "deleted" : "running";
      const { runId, threadId } = run;
      equal((await store.runs.delete({ runId, threadId, access: ALL_ROWS })).kind, expected);
    }),
);

const advance = fc.constantFrom(1, 20, 60, 100, 300).map(
  (ms) =>
    new Step(`advance(${ms})`, async (model, { clock }) => {
      clock.advance(ms);
      model.now += ms;
    }),
);

/** Sequences of steps. A crash of a worker is a lease that nobody renews: time, or `reap` with the worker dead. */
export const queueCommands = (size: { readonly maxCommands: number }) =>
  fc.commands<QueueModel, Real, false>(
    [
      create,
      create,
      claim,
      claim,
      heartbeat,
      finish,
      finish,
      release,
      cancel,
      reap,
      reap,
      explain,
      holds,
      remove,
      advance,
      advance,
    ],
    size,
  );
