import type { CreateRunOutcome, MetadataStore } from "../../core/metadata-store.js";
import type { MultitaskStrategy } from "../../core/run.js";
import { AWKWARD_JSON } from "./json-cases.js";
import {
  ALL,
  CLAIM,
  KWARGS,
  LEASE_MS,
  newRun,
  owner,
  pushTag,
  Rows,
  type StoreSuite,
  uuid,
  type WithStore,
} from "./suite.js";

type Created = Extract<CreateRunOutcome, { readonly kind: "created" }>;

/** `runs.create`: rows, threads, metadata, multitask strategies. */
export function createCases(suite: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  rowCases(suite, withStore);
  threadCases(suite, withStore);
  multitaskCases(suite, withStore);
  parallelCases(suite, withStore);
}

function rowCases({ vitest: { it, expect } }: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  it(
    "stores what it was given, and gives it back",
    withStore(async ({ store, clock }) => {
      await store.threads.create({ threadId: uuid(1), metadata: {}, access: ALL });
      const kwargs = {
        ...KWARGS,
        input: AWKWARD_JSON,
        command: { resume: [null, AWKWARD_JSON] },
        checkpoint: { checkpointId: "c", checkpointNs: "", checkpointMap: { "": "c" } },
        context: [1],
        interruptBefore: "*" as const,
        interruptAfter: ["a"],
      };
      const draft = newRun(2, uuid(1), { kwargs, delayMs: 500, multitaskStrategy: "rollback" });
      const outcome = await store.runs.create({ draft, access: ALL });
      const expected = {
        runId: uuid(2),
        threadId: uuid(1),
        assistantId: draft.assistantId,
        graphId: "agent",
        createdAt: clock.now(),
        updatedAt: clock.now(),
        dueAt: clock.now() + 500,
        status: "pending",
        metadata: { graph_id: "agent", assistant_id: draft.assistantId },
        kwargs,
        multitaskStrategy: "rollback",
        attempt: 0,
        error: null,
      };
      expect(outcome).toEqual({ kind: "created", run: expected, lease: null, superseded: [], watched: false });
      expect(await store.runs.get({ runId: uuid(2), access: ALL })).toEqual(expected);
    }),
  );

  it(
    "keeps a copy of kwargs and metadata",
    withStore(async ({ store }) => {
      await store.threads.create({ threadId: uuid(1), metadata: {}, access: ALL });
      const input = { messages: ["hi"] };
      const metadata = { tags: ["a"] };
      const draft = newRun(2, uuid(1), { kwargs: { ...KWARGS, input }, metadata });
      await store.runs.create({ draft, access: ALL });
      input.messages.push("changed by the caller");
      metadata.tags.push("changed by the caller");
      const run = await store.runs.get({ runId: uuid(2), access: ALL });
      expect(run).toMatchObject({ kwargs: { input: { messages: ["hi"] } }, metadata: { tags: ["a"] } });
      pushTag(run?.metadata, "changed by the reader");
      expect((await store.runs.get({ runId: uuid(2), access: ALL }))?.metadata["tags"]).toEqual(["a"]);
    }),
  );

  it(
    "merges run metadata from assistant, thread and request, in this order",
    withStore(async ({ store }) => {
      const threadMetadata = { b: "thread", c: "thread", nested: { thread: 1 } };
      await store.threads.create({ threadId: uuid(1), metadata: threadMetadata, access: ALL });
      const draft = newRun(2, uuid(1), {
        assistantMetadata: { a: "assistant", b: "assistant", c: "assistant", nested: { assistant: 1 } },
        metadata: { c: "request" },
      });
      const outcome = await store.runs.create({ draft, access: ALL });
      const metadata = { a: "assistant", b: "thread", c: "request", nested: { thread: 1 } };
      expect((outcome as Created).run.metadata).toEqual({
        ...metadata,
        graph_id: "agent",
        assistant_id: draft.assistantId,
      });
    }),
  );

  it(
    "leases at once when asked to, the thread is idle and the run is due",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const idle = await rows.thread();
      const { run, lease } = await rows.leased(idle);
      expect(run).toMatchObject({ status: "running", attempt: 1 });
      expect(await store.runs.get({ runId: run.runId, access: ALL })).toEqual(run);
      const behind = (await rows.create(idle, {}, CLAIM)) as Created;
      expect(behind).toMatchObject({ lease: null, run: { status: "pending", attempt: 0 } });
      const delayed = (await rows.create(await rows.thread(), { delayMs: 1 }, CLAIM)) as Created;
      expect(delayed).toMatchObject({ lease: null, run: { status: "pending" } });
      clock.advance(LEASE_MS - 1);
      expect(await store.runs.reapExpired({ maxAttempts: 3 })).toEqual({ requeued: [], failed: [] });
      expect(await rows.finish(lease)).toBe(true);
    }),
  );
}

function threadCases({ vitest: { it, expect } }: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  it(
    "makes the thread busy and gives it the run's graph, assistant and config",
    withStore(async ({ store, clock }) => {
      const metadata = { a: 1, graph_id: "other", assistant_id: "other" };
      await store.threads.create({ threadId: uuid(1), metadata, config: { tags: ["old"] }, access: ALL });
      clock.advance(10);
      const assistantConfig = { configurable: { model: "m" } };
      await store.runs.create({ draft: newRun(2, uuid(1), { assistantConfig, metadata: { b: 1 } }), access: ALL });
      const thread = await store.threads.get({ threadId: uuid(1), access: ALL });
      expect(thread).toMatchObject({ status: "busy", config: assistantConfig, updatedAt: clock.now() });
      expect(thread?.metadata).toEqual({ a: 1, graph_id: "agent", assistant_id: newRun(2, uuid(1)).assistantId });
      expect(thread?.config).toEqual(assistantConfig);
      expect(await store.threads.count({ metadata: { graph_id: "other" }, access: ALL })).toBe(0);
      expect(await store.threads.count({ metadata: { graph_id: "agent" }, access: ALL })).toBe(1);
    }),
  );

  it(
    "makes a missing thread only when asked to",
    withStore(async ({ store }) => {
      const draft = newRun(2, uuid(1), { metadata: { owner: "a" }, assistantConfig: { tags: ["x"] } });
      expect(await store.runs.create({ draft, access: ALL })).toEqual({ kind: "no-thread" });
      expect(await store.threads.count({ access: ALL })).toBe(0);
      const created = await store.runs.create({ draft: { ...draft, createThread: true }, access: owner("a") });
      expect(created.kind).toBe("created");
      const thread = await store.threads.get({ threadId: uuid(1), access: owner("a") });
      expect(thread).toMatchObject({ status: "busy", config: { tags: ["x"] } });
      expect(thread?.metadata).toEqual({ owner: "a", graph_id: "agent", assistant_id: draft.assistantId });
    }),
  );

  it(
    "treats a hidden thread as missing, also when asked to make it",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread({ owner: "a" });
      for (const createThread of [false, true]) {
        const draft = newRun(2, threadId, { createThread });
        expect(await store.runs.create({ draft, access: owner("b") })).toEqual({ kind: "no-thread" });
      }
      expect(await rows.threadStatusOf(threadId)).toBe("idle");
      expect(await store.runs.list({ threadId, limit: 10, offset: 0, access: ALL })).toEqual([]);
    }),
  );
}

function multitaskCases(
  { vitest: { it, expect } }: StoreSuite<MetadataStore>,
  withStore: WithStore<MetadataStore>,
): void {
  it(
    "reject: refuses while any run is in flight, naming it, and changes nothing",
    withStore(async ({ store, clock }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const pending = await rows.run(threadId, { delayMs: 1_000, multitaskStrategy: "reject" });
      const before = await store.threads.get({ threadId, access: ALL });
      clock.advance(1);
      const refused = await rows.create(threadId, { multitaskStrategy: "reject", graphId: "other" });
      expect(refused).toEqual({ kind: "busy", inflight: [{ runId: pending.runId, threadId }] });
      expect(await store.threads.get({ threadId, access: ALL })).toEqual(before);
      clock.advance(1_000);
      const claimed = await rows.claimOne();
      expect((await rows.create(threadId, { multitaskStrategy: "reject" })).kind).toBe("busy");
      expect(await rows.finish(claimed.lease)).toBe(true);
      expect((await rows.create(threadId, { multitaskStrategy: "reject" })).kind).toBe("created");
    }),
  );

  it(
    "enqueue: waits behind what is in flight",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const { lease } = await rows.leased(threadId);
      const second = (await rows.create(threadId, {}, CLAIM)) as Created;
      expect(second).toMatchObject({ lease: null, superseded: [] });
      expect(await rows.claim()).toEqual([]);
      await rows.finish(lease);
      expect((await rows.claim()).map((claimed) => claimed.run.runId)).toEqual([second.run.runId]);
    }),
  );

  it(
    "interrupt: ends pending runs and asks the running one to stop",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const running = await rows.leased(threadId);
      const pending = await rows.run(threadId, { kwargs: { ...KWARGS, temporary: true } });
      const third = (await rows.create(threadId, { multitaskStrategy: "interrupt" }, CLAIM)) as Created;
      expect(third.lease).toBeNull();
      expect(third.superseded).toHaveLength(2);
      expect(third.superseded).toEqual(
        expect.arrayContaining([
          { runId: running.run.runId, threadId, action: "interrupt", was: "running", temporary: false },
          { runId: pending.runId, threadId, action: "interrupt", was: "pending", temporary: true },
        ]),
      );
      expect(await rows.statusOf(pending.runId)).toBe("interrupted");
      expect(await rows.statusOf(running.run.runId)).toBe("running");
      const beat = await store.runs.heartbeat({ leases: [running.lease], leaseMs: LEASE_MS });
      expect(beat).toEqual({ lost: [], cancelRequested: [{ runId: running.run.runId, action: "interrupt" }] });
      expect(await rows.claim()).toEqual([]);
      const interrupted = { kind: "ended", status: "interrupted" } as const;
      const ended = { lease: running.lease, outcome: interrupted, threadPatch: {}, hasNext: true };
      expect(await store.runs.finish(ended)).toEqual({ accepted: true, nextPending: true });
      expect(await rows.threadStatusOf(threadId)).toBe("busy");
      expect((await rows.claim()).map((claimed) => claimed.run.runId)).toEqual([third.run.runId]);
    }),
  );

  it(
    "rollback: removes pending runs and asks the running one to undo itself",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const pending = await rows.run(threadId);
      const second = (await rows.create(threadId, { multitaskStrategy: "rollback" }, CLAIM)) as Created;
      expect(second.superseded).toEqual([
        { runId: pending.runId, threadId, action: "rollback", was: "pending", temporary: false },
      ]);
      expect(await rows.statusOf(pending.runId)).toBeNull();
      // Nothing else is in flight any more.
      expect(second.lease).not.toBeNull();
      const third = (await rows.create(threadId, { multitaskStrategy: "rollback" }, CLAIM)) as Created;
      expect(third).toMatchObject({
        lease: null,
        superseded: [{ runId: second.run.runId, action: "rollback", was: "running" }],
      });
      const fourth = (await rows.create(threadId, { multitaskStrategy: "interrupt" })) as Created;
      const actions = new Map(fourth.superseded.map((run) => [run.runId, run.action]));
      expect(actions).toEqual(
        new Map([
          [second.run.runId, "rollback"],
          [third.run.runId, "interrupt"],
        ]),
      );
    }),
  );
}

function parallelCases(
  { vitest: { it, expect } }: StoreSuite<MetadataStore>,
  withStore: WithStore<MetadataStore>,
): void {
  const race = async (
    store: MetadataStore,
    strategy: MultitaskStrategy,
  ): Promise<{ rows: Rows; threadId: string; outcomes: CreateRunOutcome[] }> => {
    const rows = new Rows(store);
    const threadId = await rows.thread();
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        rows.create(threadId, { multitaskStrategy: strategy }, n % 2 === 0 ? CLAIM : undefined),
      ),
    );
    return { rows, threadId, outcomes };
  };
  const statuses = async (store: MetadataStore, threadId: string): Promise<Record<string, number>> => {
    const counts: Record<string, number> = {};
    for (const run of await store.runs.list({ threadId, limit: 100, offset: 0, access: ALL })) {
      counts[run.status] = (counts[run.status] ?? 0) + 1;
    }
    return counts;
  };

  it(
    "50 parallel creators, reject: one wins",
    withStore(async ({ store }) => {
      const { threadId, outcomes } = await race(store, "reject");
      expect(outcomes.filter((outcome) => outcome.kind === "created")).toHaveLength(1);
      expect(outcomes.filter((outcome) => outcome.kind === "busy")).toHaveLength(49);
      const counts = await statuses(store, threadId);
      expect((counts["running"] ?? 0) + (counts["pending"] ?? 0)).toBe(1);
    }),
  );

  it(
    "50 parallel creators, enqueue: all wait in line, at most one runs",
    withStore(async ({ store }) => {
      const { rows, threadId, outcomes } = await race(store, "enqueue");
      expect(outcomes.every((outcome) => outcome.kind === "created")).toBe(true);
      const leases = outcomes.flatMap((outcome) =>
        outcome.kind === "created" && outcome.lease ? [outcome.lease] : [],
      );
      expect(leases.length).toBeLessThanOrEqual(1);
      let ended = 0;
      for (let lease = leases[0] ?? (await rows.claim())[0]?.lease; lease !== undefined; ended += 1) {
        expect((await statuses(store, threadId))["running"]).toBe(1);
        expect(await rows.finish(lease)).toBe(true);
        lease = (await rows.claim())[0]?.lease;
      }
      expect(ended).toBe(50);
      expect(await rows.threadStatusOf(threadId)).toBe("idle");
    }),
  );

  it(
    "50 parallel creators, interrupt: one is left, the others are interrupted or asked to stop",
    withStore(async ({ store }) => {
      const { threadId, outcomes } = await race(store, "interrupt");
      expect(outcomes.every((outcome) => outcome.kind === "created")).toBe(true);
      const counts = await statuses(store, threadId);
      const { interrupted = 0, running = 0, pending = 0 } = counts;
      expect(interrupted + running + pending).toBe(50);
      expect(running).toBeLessThanOrEqual(1);
      expect(pending).toBeLessThanOrEqual(1);
      expect(running + pending).toBeGreaterThanOrEqual(1);
    }),
  );

  it(
    "50 parallel creators, rollback: one is left, a running one is asked to undo itself",
    withStore(async ({ store }) => {
      const { threadId, outcomes } = await race(store, "rollback");
      expect(outcomes.every((outcome) => outcome.kind === "created")).toBe(true);
      const { running = 0, pending = 0, ...others } = await statuses(store, threadId);
      expect(others).toEqual({});
      expect(running).toBeLessThanOrEqual(1);
      expect(pending).toBeLessThanOrEqual(1);
      expect(running + pending).toBeGreaterThanOrEqual(1);
    }),
  );
}
