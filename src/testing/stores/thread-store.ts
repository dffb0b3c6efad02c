import { toJsonText } from "../../core/json.js";
import { isVisible, jsonContains } from "../../core/metadata-filter.js";
import type { MetadataStore } from "../../core/metadata-store.js";
import type { Thread, ThreadSortField } from "../../core/thread.js";
import { ACCESS_CASES, AWKWARD_JSON, CONTAINMENT_CASES } from "./json-cases.js";
import { ALL, newRun, owner, pushTag, Rows, type StoreSuite, uuid, type WithStore, withStoreOf } from "./suite.js";

/** The contract of `MetadataStore.threads`. */
export function testThreadStore(suite: StoreSuite<MetadataStore>): void {
  const withStore = withStoreOf(suite);
  suite.vitest.describe(`ThreadStore: ${suite.name}`, () => {
    rowCases(suite, withStore);
    stateCases(suite, withStore);
    orderCases(suite, withStore);
    filterCases(suite, withStore);
  });
}

function rowCases({ vitest: { it, expect } }: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  it(
    "creates, and gives back what it was given",
    withStore(async ({ store, clock }) => {
      const draft = { threadId: uuid(1), metadata: AWKWARD_JSON, config: { configurable: AWKWARD_JSON } };
      const outcome = await store.threads.create({ ...draft, access: ALL });
      const now = clock.now();
      const expected = {
        ...draft,
        status: "idle",
        createdAt: now,
        updatedAt: now,
        stateUpdatedAt: now,
        values: null,
        interrupts: null,
        error: null,
        ttl: null,
      };
      expect(outcome).toEqual({ kind: "created", thread: expected });
      expect(await store.threads.get({ threadId: uuid(1), access: ALL })).toEqual(expected);
      expect(await store.threads.get({ threadId: uuid(2), access: ALL })).toBeNull();
    }),
  );

  it(
    "keeps an existing one, and shows it only to who may see it",
    withStore(async ({ store }) => {
      await store.threads.create({ threadId: uuid(1), metadata: { owner: "a" }, access: ALL });
      const again = { threadId: uuid(1), metadata: { owner: "b" } };
      const seen = await store.threads.create({ ...again, access: owner("a") });
      expect(seen).toMatchObject({ kind: "exists", thread: { metadata: { owner: "a" } } });
      expect(await store.threads.create({ ...again, access: owner("b") })).toEqual({ kind: "exists", thread: null });
    }),
  );

  it(
    "creates one of 50 parallel requests for the same id",
    withStore(async ({ store }) => {
      const outcomes = await Promise.all(
        Array.from({ length: 50 }, () => store.threads.create({ threadId: uuid(1), metadata: {}, access: ALL })),
      );
      expect(outcomes.filter((outcome) => outcome.kind === "created")).toHaveLength(1);
      expect(await store.threads.count({ access: ALL })).toBe(1);
    }),
  );

  it(
    "merges metadata shallowly",
    withStore(async ({ store, clock }) => {
      await store.threads.create({ threadId: uuid(1), metadata: { a: { x: 1 }, b: 1 }, access: ALL });
      clock.advance(10);
      const metadata = { a: { y: 2 }, c: null };
      const updated = await store.threads.update({ threadId: uuid(1), metadata, access: ALL });
      expect(updated).toMatchObject({ updatedAt: clock.now(), createdAt: clock.now() - 10 });
      expect(updated?.metadata).toEqual({ a: { y: 2 }, b: 1, c: null });
      expect((await store.threads.update({ threadId: uuid(1), access: ALL }))?.metadata).toEqual(updated?.metadata);
      expect(await store.threads.update({ threadId: uuid(2), metadata: {}, access: ALL })).toBeNull();
      expect(await store.threads.count({ metadata: { c: null, b: 1 }, access: ALL })).toBe(1);
    }),
  );

  it(
    "hands out copies, and keeps copies",
    withStore(async ({ store }) => {
      const metadata = { tags: ["a"] };
      const config = { tags: ["a"] };
      const created = await store.threads.create({ threadId: uuid(1), metadata, config, access: ALL });
      metadata.tags.push("changed by the caller");
      config.tags.push("changed by the caller");
      if (created.kind !== "created") throw new Error("not created");
      pushTag(created.thread.metadata, "changed by the reader");
      const read = await store.threads.get({ threadId: uuid(1), access: ALL });
      pushTag(read?.metadata, "changed by the reader");
      pushTag(read?.config, "changed by the reader");
      const found = await search(store, { metadata: { tags: ["a"] } });
      pushTag(found.rows[0]?.metadata, "changed by the reader");
      const again = await store.threads.get({ threadId: uuid(1), access: ALL });
      expect(again?.metadata).toEqual({ tags: ["a"] });
      expect(again?.config).toEqual({ tags: ["a"] });
    }),
  );

  it(
    "hides rows from get, update and delete",
    withStore(async ({ store }) => {
      await store.threads.create({ threadId: uuid(1), metadata: { owner: "a" }, access: ALL });
      const hidden = { threadId: uuid(1), access: owner("b") };
      expect(await store.threads.get(hidden)).toBeNull();
      expect(await store.threads.update({ ...hidden, metadata: { owner: "b" } })).toBeNull();
      expect(await store.threads.delete(hidden)).toBeNull();
      expect(await store.threads.get({ threadId: uuid(1), access: owner("a") })).not.toBeNull();
    }),
  );

  it(
    "deletes a thread with its runs; a running worker loses its lease",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread({ owner: "a" });
      const other = await rows.thread({ owner: "a" });
      const { run, lease } = await rows.leased(threadId);
      const waiting = await rows.run(threadId);
      const kept = await rows.run(other);
      expect((await store.threads.delete({ threadId, access: owner("a") }))?.threadId).toBe(threadId);
      expect(await rows.statusOf(run.runId)).toBeNull();
      expect(await rows.statusOf(waiting.runId)).toBeNull();
      expect(await rows.statusOf(kept.runId)).toBe("pending");
      expect((await store.runs.heartbeat({ leases: [lease], leaseMs: 1 })).lost).toEqual([run.runId]);
      expect(await rows.finish(lease)).toBe(false);
      expect((await rows.claim()).map((claimed) => claimed.run.runId)).toEqual([kept.runId]);
      expect(await store.threads.count({ metadata: { owner: "a" }, access: ALL })).toBe(1);
      expect(await store.threads.delete({ threadId, access: ALL })).toBeNull();
      const again = await store.threads.create({ threadId, metadata: {}, access: ALL });
      expect(again.kind).toBe("created");
    }),
  );
}

function stateCases({ vitest: { it, expect } }: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  it(
    "writes state, with the status that follows from it",
    withStore(async ({ store, clock }) => {
      await store.threads.create({ threadId: uuid(1), metadata: { a: 1 }, access: ALL });
      clock.advance(10);
      const interrupts = toJsonText({ task: [{ value: AWKWARD_JSON }] });
      const values = toJsonText(AWKWARD_JSON);
      const patched = await store.threads.patchState({
        threadId: uuid(1),
        patch: { values, interrupts },
        hasNext: true,
        metadata: { graph_id: "agent" },
      });
      expect(patched).toMatchObject({ status: "interrupted", values, interrupts, stateUpdatedAt: clock.now() });
      expect(patched?.metadata).toEqual({ a: 1, graph_id: "agent" });
      clock.advance(10);
      const later = await store.threads.patchState({ threadId: uuid(1), patch: {}, hasNext: false });
      expect(later).toMatchObject({ status: "idle", values, interrupts, stateUpdatedAt: clock.now() - 10 });
      expect(await store.threads.get({ threadId: uuid(1), access: ALL })).toEqual(later);
      expect(await store.threads.patchState({ threadId: uuid(2), patch: {}, hasNext: false })).toBeNull();
    }),
  );

  it(
    "leaves the state of a thread with a run in flight to that run",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const run = await rows.run(threadId, { delayMs: 1_000 });
      const patch = { values: toJsonText({ a: 1 }) };
      const patched = await store.threads.patchState({ threadId, patch, hasNext: true, metadata: { b: 1 } });
      expect(patched).toMatchObject({ status: "busy", values: null });
      expect(patched?.metadata).not.toHaveProperty("b");
      await store.runs.requestCancel({ runId: run.runId, action: "interrupt", access: ALL });
      expect((await store.threads.patchState({ threadId, patch, hasNext: true }))?.status).toBe("interrupted");
    }),
  );

  it(
    "leaves state out of a search without it",
    withStore(async ({ store }) => {
      const rows = new Rows(store);
      const threadId = await rows.thread();
      const { lease } = await rows.leased(threadId);
      const error = toJsonText({ error: "E", message: "m" });
      const values = toJsonText({ a: 1 });
      const outcome = { kind: "ended", status: "error", error } as const;
      const threadPatch = { values, interrupts: toJsonText({}), error };
      await store.runs.finish({ lease, outcome, threadPatch, hasNext: false });
      const bare = await search(store, { withState: false });
      expect(bare.rows[0]).toMatchObject({ status: "error", values: null, interrupts: null, error: null });
      const full = await search(store, { withState: true });
      expect(full.rows[0]).toMatchObject({ status: "error", values, interrupts: "{}", error });
    }),
  );
}

const FIRST = {
  limit: 10,
  offset: 0,
  sortBy: "created_at",
  sortOrder: "desc",
  withState: true,
  access: ALL,
} as const;

async function search(
  store: MetadataStore,
  query: Partial<Parameters<MetadataStore["threads"]["search"]>[0]> = {},
): Promise<{ readonly rows: readonly Thread[]; readonly total: number }> {
  return store.threads.search({ ...FIRST, ...query });
}

const SORT_KEYS: Record<ThreadSortField, (row: Thread) => string | number> = {
  thread_id: (row) => row.threadId,
  status: (row) => row.status,
  created_at: (row) => row.createdAt,
  updated_at: (row) => row.updatedAt,
  state_updated_at: (row) => row.stateUpdatedAt,
};

function orderCases({ vitest: { it, expect } }: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  const pages = async (store: MetadataStore, query: Parameters<typeof search>[1], total: number): Promise<Thread[]> => {
    const rows: Thread[] = [];
    for (let offset = 0; offset < total + 7; offset += 7) {
      const page = await search(store, { ...query, limit: 7, offset });
      expect(page.total).toBe(total);
      rows.push(...page.rows);
    }
    expect(new Set(rows.map((row) => row.threadId)).size).toBe(total);
    expect(rows).toHaveLength(total);
    return rows;
  };

  const sorted = (rows: readonly Thread[], sortBy: ThreadSortField, sortOrder: "asc" | "desc"): void => {
    const keys = rows.map(SORT_KEYS[sortBy]);
    const expected = [...keys].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    expect(keys).toEqual(sortOrder === "asc" ? expected : expected.toReversed());
  };

  it(
    "pages through every row once, in both orders, by every field, with and without a filter",
    withStore(async ({ store, clock }) => {
      for (let n = 0; n < 20; n += 1) {
        const threadId = uuid((n * 7) % 20);
        await store.threads.create({ threadId, metadata: { all: true, third: n % 3 === 0 }, access: ALL });
        if (n % 4 === 0) clock.advance(1);
        if (n % 5 === 0) await store.threads.patchState({ threadId, patch: { values: toJsonText({}) }, hasNext: true });
        if (n % 6 === 0) await store.runs.create({ draft: newRun(n + 100, threadId), access: ALL });
        if (n % 3 === 0) clock.advance(1);
      }
      const filters = [
        [{}, 20],
        [{ metadata: { all: true } }, 20],
        [{ metadata: { all: true, third: true } }, 7],
        [{ metadata: { third: true }, access: { kind: "match", where: { all: { $eq: true } } } }, 7],
        [{ status: "busy" }, 4],
        [{ status: "idle", metadata: { all: true } }, 13],
      ] as const;
      for (const [filter, total] of filters) {
        for (const sortBy of Object.keys(SORT_KEYS) as ThreadSortField[]) {
          for (const sortOrder of ["asc", "desc"] as const) {
            sorted(await pages(store, { ...filter, sortBy, sortOrder }, total), sortBy, sortOrder);
          }
        }
      }
      expect(await search(store, { limit: 0 })).toEqual({ rows: [], total: 20 });
    }),
  );

  it(
    "stays exact when there are many rows: pages, totals and orders",
    withStore(async ({ store, clock }) => {
      const size = 2_500;
      for (let n = 0; n < size; n += 50) {
        await Promise.all(
          Array.from({ length: 50 }, (_, i) => {
            const metadata = { all: "yes", half: i % 2, deep: { n: n + i } };
            return store.threads.create({ threadId: uuid(n + i), metadata, access: ALL });
          }),
        );
        if (n % 200 === 0) clock.advance(1);
      }
      const expectPage = async (query: Parameters<typeof search>[1], total: number): Promise<void> => {
        const offset = Math.floor(total * 0.9);
        const { rows, total: counted } = await search(store, { ...query, offset, limit: 10, sortBy: "thread_id" });
        expect(counted).toBe(total);
        expect(rows).toHaveLength(Math.min(10, total - offset));
        sorted(rows, "thread_id", "desc");
        const below = await search(store, { ...query, offset: offset + 1, limit: 9, sortBy: "thread_id" });
        expect(below.rows.map((row) => row.threadId)).toEqual(rows.slice(1).map((row) => row.threadId));
        expect(await store.threads.count({ access: ALL, ...query })).toBe(total);
      };
      await expectPage({}, size);
      await expectPage({ metadata: { all: "yes" } }, size);
      await expectPage({ metadata: { all: "yes", half: 1 } }, size / 2);
      await expectPage({ status: "idle" }, size);
      await expectPage({ status: "idle", metadata: { all: "yes" } }, size);
      await expectPage({ metadata: { deep: {} } }, size);
      await expectPage({ metadata: { deep: { n: 77 } } }, 1);
      await expectPage({ access: { kind: "match", where: { $or: [{ half: 1 }, { half: 0 }] } } }, size);
      await expectPage({ metadata: { all: "no" } }, 0);
      await expectPage({ status: "error" }, 0);
      const newest = await search(store, {
        metadata: { all: "yes" },
        sortBy: "updated_at",
        limit: 1_000,
        offset: 1_400,
      });
      sorted(newest.rows, "updated_at", "desc");
      expect(newest.rows).toHaveLength(1_000);
    }),
  );
}

function filterCases({ vitest: { it, expect } }: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  it(
    "filters by ids, status, values and access together, and counts alike",
    withStore(async ({ store }) => {
      for (let n = 1; n <= 4; n += 1) {
        await store.threads.create({ threadId: uuid(n), metadata: { owner: n % 2 === 0 ? "a" : "b" }, access: ALL });
      }
      const values = toJsonText({ messages: [{ content: "hi" }], n: 2 });
      await store.threads.patchState({ threadId: uuid(2), patch: { values }, hasNext: true });
      await store.threads.patchState({ threadId: uuid(4), patch: { values: toJsonText({ n: 4 }) }, hasNext: false });
      const ids = async (query: Parameters<typeof search>[1]): Promise<string[]> => {
        const { rows, total } = await search(store, { ...query, sortBy: "thread_id", sortOrder: "asc" });
        expect(total).toBe(rows.length);
        expect(await store.threads.count({ access: ALL, ...query })).toBe(total);
        return rows.map((row) => row.threadId);
      };
      expect(await ids({ ids: [uuid(3), uuid(1), uuid(9), uuid(3)] })).toEqual([uuid(1), uuid(3)]);
      expect(await ids({ ids: [] })).toEqual([]);
      expect(await ids({ ids: [uuid(1), uuid(2)], access: owner("a") })).toEqual([uuid(2)]);
      expect(await ids({ status: "interrupted" })).toEqual([uuid(2)]);
      expect(await ids({ status: "idle", ids: [uuid(2), uuid(3)] })).toEqual([uuid(3)]);
      expect(await ids({ values: { messages: [{ content: "hi" }] } })).toEqual([uuid(2)]);
      expect(await ids({ values: {} })).toEqual([uuid(2), uuid(4)]);
      expect(await ids({ values: {}, access: owner("b") })).toEqual([]);
      expect(await ids({ values: { n: 4 }, metadata: { owner: "a" }, status: "idle" })).toEqual([uuid(4)]);
    }),
  );

  it(
    "means by containment and by access what the core means",
    withStore(async ({ store }) => {
      let n = 0;
      for (const [metadata, wanted, matches] of CONTAINMENT_CASES) {
        const ids = [uuid((n += 1))];
        await store.threads.create({ threadId: uuid(n), metadata, access: ALL });
        await store.threads.patchState({ threadId: uuid(n), patch: { values: toJsonText(metadata) }, hasNext: false });
        const byMetadata = await store.threads.count({ ids, metadata: wanted, access: ALL });
        expect([metadata, wanted, byMetadata]).toEqual([metadata, wanted, matches ? 1 : 0]);
        const byValues = await store.threads.count({ ids, values: wanted, access: ALL });
        expect([metadata, wanted, byValues]).toEqual([metadata, wanted, matches ? 1 : 0]);
      }
      for (const [metadata, where, shows] of ACCESS_CASES) {
        await store.threads.create({ threadId: uuid((n += 1)), metadata, access: ALL });
        const access = { kind: "match", where } as const;
        const counted = await store.threads.count({ ids: [uuid(n)], access });
        expect([metadata, where, counted]).toEqual([metadata, where, shows ? 1 : 0]);
        expect((await store.threads.get({ threadId: uuid(n), access })) !== null).toBe(shows);
      }
      // Without ids, so that an index may answer.
      const stored = [...CONTAINMENT_CASES, ...ACCESS_CASES].map(([metadata]) => metadata);
      for (const [, wanted] of CONTAINMENT_CASES) {
        const matching = stored.filter((metadata) => jsonContains(metadata, wanted)).length;
        expect([wanted, await store.threads.count({ metadata: wanted, access: ALL })]).toEqual([wanted, matching]);
        expect((await search(store, { metadata: wanted, limit: 1_000 })).rows).toHaveLength(matching);
      }
      for (const [, where] of ACCESS_CASES) {
        const access = { kind: "match", where } as const;
        const visible = stored.filter((metadata) => isVisible(access, metadata)).length;
        expect([where, await store.threads.count({ access })]).toEqual([where, visible]);
      }
    }),
  );
}
