import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toJsonText } from "../../../src/core/json.js";
import type { MetadataStore } from "../../../src/core/metadata-store.js";
import { openPostgres } from "../../../src/databases/postgres/open.js";
import { createPostgresMetadataStore } from "../../../src/stores/postgres/index.js";
import { ALL, CLAIM, KWARGS, newAssistant, newRun, Rows } from "../../../src/testing/stores/suite.js";
import { createDatabase } from "../../support/postgres.js";
import { type LossyProxy, startLossyProxy } from "./lossy-proxy.js";

let proxy: LossyProxy;
let store: MetadataStore;
/** Another process, without a proxy. */
let other: MetadataStore;
let rows: Rows;
let drop: () => Promise<void>;

beforeAll(async () => {
  const database = await createDatabase();
  proxy = await startLossyProxy(database.uri);
  store = await createPostgresMetadataStore(await openPostgres(proxy.uri, { cwd: "/", maxConnections: 1 }));
  other = await createPostgresMetadataStore(await openPostgres(database.uri, { cwd: "/" }));
  rows = new Rows(store);
  drop = () => database.drop();
});

afterAll(async () => {
  await store.close();
  await other.close();
  await proxy.close();
  await drop();
});

/** A call that is asked again because an answer was lost: the first one, or the one after so many others. */
async function unanswered<T>(call: () => Promise<T>, after = 0): Promise<T> {
  // There is a connection, so that its answer can be lost.
  await store.ping();
  const before = proxy.lost;
  proxy.loseAnswer(after);
  const result = await call();
  expect(proxy.lost).toBe(before + 1);
  return result;
}

describe("what was carried out although its answer was lost is not done twice", () => {
  it("create: the same run under the same lease", async () => {
    const threadId = await rows.thread();
    const draft = newRun(0, threadId, { runId: rows.id() });
    const outcome = await unanswered(() => store.runs.create({ draft, claim: CLAIM, access: ALL }));
    expect(outcome).toMatchObject({ kind: "created", run: { status: "running", attempt: 1 }, superseded: [] });
    if (outcome.kind !== "created" || outcome.lease === null) throw new Error("not leased");
    expect(await store.runs.list({ threadId, limit: 9, offset: 0, access: ALL })).toEqual([outcome.run]);
    expect(await rows.finish(outcome.lease)).toBe(true);
  });

  it("create: what was superseded is named, and refused stays refused", async () => {
    const threadId = rows.id();
    const first = await rows.leased(threadId, { createThread: true });
    const second = await rows.run(threadId, { kwargs: { ...KWARGS, temporary: true } });
    const third = newRun(0, threadId, { runId: rows.id(), multitaskStrategy: "rollback" });
    const outcome = await unanswered(() => store.runs.create({ draft: third, claim: CLAIM, access: ALL }));
    expect(outcome).toMatchObject({
      kind: "created",
      lease: null,
      superseded: [
        { runId: first.run.runId, threadId, action: "rollback", was: "running", temporary: false },
        { runId: second.runId, threadId, action: "rollback", was: "pending", temporary: true },
      ],
    });
    const refused = newRun(0, threadId, { runId: rows.id(), multitaskStrategy: "reject" });
    const busy = await unanswered(() => store.runs.create({ draft: refused, access: ALL }));
    expect(busy).toMatchObject({ kind: "busy", inflight: [{ runId: first.run.runId }, { runId: third.runId }] });
    await store.threads.delete({ threadId, access: ALL });
  });

  it("create: a run that others have executed and deleted meanwhile is not brought back", async () => {
    const threadId = rows.id();
    const draft = newRun(0, threadId, {
      runId: rows.id(),
      createThread: true,
      kwargs: { ...KWARGS, temporary: true },
    });
    // Another process is faster than the repetition.
    const executed = (async () => {
      const started = performance.now();
      for (;;) {
        const [claimed] = await other.runs.claim({ ...CLAIM, limit: 1, threadId });
        if (claimed === undefined && performance.now() - started < 5_000) continue;
        if (claimed === undefined) throw new Error("nothing to execute");
        const outcome = { kind: "ended", status: "success" } as const;
        await other.runs.finish({ lease: claimed.lease, outcome, threadPatch: {}, hasNext: false });
        await other.threads.delete({ threadId, access: ALL });
        return claimed.run;
      }
    })();
    proxy.holdConnections(executed);
    const created = await unanswered(() => store.runs.create({ draft, access: ALL }));
    const run = await executed;
    expect(created).toMatchObject({
      kind: "created",
      lease: null,
      run: { runId: run.runId, createdAt: run.createdAt },
    });
    expect(await store.threads.get({ threadId, access: ALL })).toBeNull();
    expect(await store.runs.get({ runId: run.runId, access: ALL })).toBeNull();
  });

  it("claim: the runs that it has taken, under the same leases", async () => {
    const runs = [await rows.run(await rows.thread()), await rows.run(await rows.thread())];
    const claimed = await unanswered(() => rows.claim(2, "claimer"));
    expect(claimed.map(({ run, lease }) => [run.runId, run.attempt, lease.leaseToken])).toEqual(
      runs.map(({ runId }) => [runId, 1, 1]),
    );
    for (const { lease } of claimed) expect(await rows.finish(lease)).toBe(true);
  });

  it("finish: accepted, for the caller whose answer was lost and for nobody else", async () => {
    const threadId = await rows.thread();
    const { run, lease } = await rows.leased(threadId);
    await rows.run(threadId);
    const end = {
      lease,
      outcome: { kind: "ended", status: "success" },
      threadPatch: { values: toJsonText({ a: 1 }) },
      hasNext: false,
    } as const;
    expect(await unanswered(() => store.runs.finish(end))).toEqual({ accepted: true, nextPending: true });
    expect(await store.runs.finish(end)).toEqual({ accepted: false });
    expect(await unanswered(() => store.runs.finish(end))).toEqual({ accepted: false });
    expect(await rows.statusOf(run.runId)).toBe("success");
    await store.threads.delete({ threadId, access: ALL });
  });

  it("finish: a rollback, which leaves no row", async () => {
    const threadId = await rows.thread();
    const { run, lease } = await rows.leased(threadId);
    const end = { lease, outcome: { kind: "rolled-back" }, threadPatch: {}, hasNext: false } as const;
    expect(await unanswered(() => store.runs.finish(end))).toEqual({ accepted: true, nextPending: false });
    expect(await rows.statusOf(run.runId)).toBeNull();
    expect(await store.runs.finish(end)).toEqual({ accepted: false });
  });

  it("release: accepted once, one attempt given back", async () => {
    const threadId = await rows.thread();
    const { run, lease } = await rows.leased(threadId);
    expect(await unanswered(() => store.runs.release({ lease }))).toEqual({ accepted: true });
    expect(await store.runs.get({ runId: run.runId, access: ALL })).toMatchObject({ status: "pending", attempt: 0 });
    expect(await store.runs.release({ lease })).toEqual({ accepted: false });
    await store.threads.delete({ threadId, access: ALL });
  });

  it("cancel: what became of the run", async () => {
    const threadId = await rows.thread();
    const [a, b] = [await rows.run(threadId), await rows.run(threadId)];
    const cancel = (runId: string, action: "interrupt" | "rollback") =>
      store.runs.requestCancel({ runId, action, access: ALL });
    expect(await unanswered(() => cancel(a.runId, "interrupt"))).toMatchObject({
      kind: "cancelled",
      run: { status: "interrupted" },
    });
    expect((await cancel(a.runId, "interrupt")).kind).toBe("finished");
    const { lease } = await rows.claimOne();
    expect(await unanswered(() => cancel(b.runId, "interrupt"))).toMatchObject({ kind: "requested" });
    expect(await rows.finish(lease)).toBe(true);
    const c = await rows.run(threadId);
    // It looks before it deletes.
    const rolledBack = await unanswered(() => cancel(c.runId, "rollback"), 1);
    expect(rolledBack).toMatchObject({ kind: "cancelled", run: { runId: c.runId, status: "pending" } });
    expect((await cancel(c.runId, "rollback")).kind).toBe("not-found");
    expect(await rows.statusOf(c.runId)).toBeNull();
  });

  it("reap: names what it has taken back", async () => {
    const [first, second] = [await rows.leased(await rows.thread()), await rows.leased(await rows.thread())];
    const dead = { maxAttempts: 3, isAlive: (): boolean => false };
    const requeued = [first, second].map(({ run: { runId, threadId } }) => ({ runId, threadId }));
    // It looks before it takes.
    expect(await unanswered(() => store.runs.reapExpired(dead), 1)).toEqual({ requeued, failed: [] });
    expect(await store.runs.reapExpired(dead)).toEqual({ requeued: [], failed: [] });
    for (const { threadId } of requeued) await store.threads.delete({ threadId, access: ALL });
  });

  /** What another process does between a call that was carried out and its repetition. */
  const meanwhile = async <T>(call: () => Promise<T>, act: () => Promise<unknown>, isDone: () => Promise<boolean>) => {
    const acted = (async () => {
      const started = performance.now();
      while (!(await isDone())) if (performance.now() - started > 5_000) throw new Error("it was not carried out");
      await act();
    })();
    proxy.holdConnections(acted);
    const result = await unanswered(call);
    await acted;
    return result;
  };

  it("threads: a change is not done again to what others made of the thread meanwhile", async () => {
    const threadId = await rows.thread({ a: 1 });
    const metadata = async () => (await other.threads.get({ threadId, access: ALL }))?.metadata;
    const updated = await meanwhile(
      () => store.threads.update({ threadId, metadata: { a: 2, b: 1 }, access: ALL }),
      () => other.threads.update({ threadId, metadata: { a: 3 }, access: ALL }),
      async () => (await metadata())?.["a"] === 2,
    );
    expect(updated?.metadata).toEqual({ a: 3, b: 1 });
    expect(await metadata()).toEqual({ a: 3, b: 1 });

    const values = async () => (await other.threads.get({ threadId, access: ALL }))?.values ?? null;
    const [older, newer] = [toJsonText({ n: 1 }), toJsonText({ n: 2 })];
    const patched = await meanwhile(
      () => store.threads.patchState({ threadId, patch: { values: older }, hasNext: false, metadata: { c: 1 } }),
      async () => {
        const lease = (await new Rows(other).leased(threadId)).lease;
        const outcome = { kind: "ended", status: "success" } as const;
        await other.runs.finish({ lease, outcome, threadPatch: { values: newer }, hasNext: true });
      },
      async () => (await values()) === older,
    );
    expect(patched).toMatchObject({ values: newer, status: "interrupted", metadata: { a: 3, b: 1, c: 1 } });
    expect(await values()).toBe(newer);

    await meanwhile(
      () => store.threads.delete({ threadId, access: ALL }),
      () => other.threads.create({ threadId, metadata: { new: true }, access: ALL }),
      async () => (await metadata()) === undefined,
    );
    expect(await metadata()).toEqual({ new: true });
    await store.threads.delete({ threadId, access: ALL });
    expect(await metadata()).toBeUndefined();
  });

  it("threads and assistants: created by whoever asked, updated once", async () => {
    const threadId = rows.id();
    const thread = { threadId, metadata: { a: 1 }, access: ALL };
    expect((await unanswered(() => store.threads.create(thread))).kind).toBe("created");
    expect((await unanswered(() => store.threads.create(thread))).kind).toBe("exists");
    const draft = newAssistant(1, { assistantId: rows.id() });
    expect((await unanswered(() => store.assistants.create({ draft, access: ALL }))).kind).toBe("created");
    expect((await unanswered(() => store.assistants.create({ draft, access: ALL }))).kind).toBe("exists");
    const update = { assistantId: draft.assistantId, patch: { name: "second" }, access: ALL };
    expect(await unanswered(() => store.assistants.update(update))).toMatchObject({ name: "second", version: 2 });
    expect(await store.assistants.get(update)).toMatchObject({ version: 2 });
  });
});
