import type { MetadataStore } from "../../core/metadata-store.js";
import type { ThreadTtl } from "../../core/thread.js";
import { ALL, newRun, owner, Rows, type StoreSuite, uuid, type WithStore, withStoreOf } from "./suite.js";

const DELETE: ThreadTtl = { strategy: "delete", ttlMs: 60_000 };
const KEEP: ThreadTtl = { strategy: "keep_latest", ttlMs: 60_000 };

/** The contract of threads with a time to live, and of `MetadataStore.expiredThreads`. */
export function testThreadTtl(suite: StoreSuite<MetadataStore>): void {
  const withStore = withStoreOf(suite);
  suite.vitest.describe(`Threads that expire: ${suite.name}`, () => {
    keepingCases(suite, withStore);
    removalCases(suite, withStore);
    pruneCases(suite, withStore);
  });
}

/** A store may let go of a thread a moment after its run has ended, once it has noted that end elsewhere. */
async function soonToPrune(
  expiredThreads: MetadataStore["expiredThreads"],
): ReturnType<MetadataStore["expiredThreads"]["toPrune"]> {
  for (let looks = 0; ; looks += 1) {
    const found = await expiredThreads.toPrune({ limit: 10 });
    if (found.length > 0 || looks >= 200) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function keepingCases(
  { vitest: { it, expect } }: StoreSuite<MetadataStore>,
  withStore: WithStore<MetadataStore>,
): void {
  it(
    "keeps a thread's time to live, and gives it back everywhere",
    withStore(async ({ store, clock }) => {
      const created = await store.threads.create({ threadId: uuid(1), metadata: {}, ttl: DELETE, access: ALL });
      expect(created).toMatchObject({ kind: "created", thread: { ttl: DELETE } });
      const plain = await store.threads.create({ threadId: uuid(2), metadata: {}, access: ALL });
      expect(plain).toMatchObject({ kind: "created", thread: { ttl: null } });
      const again = await store.threads.create({ threadId: uuid(1), metadata: {}, ttl: KEEP, access: ALL });
      expect(again).toMatchObject({ kind: "exists", thread: { ttl: DELETE } });
      expect(await store.threads.get({ threadId: uuid(1), access: ALL })).toMatchObject({ ttl: DELETE });
      const page = { limit: 10, offset: 0, sortBy: "thread_id", sortOrder: "asc", access: ALL } as const;
      for (const withState of [true, false]) {
        const { rows } = await store.threads.search({ ...page, withState });
        expect(rows.map(({ ttl }) => ttl)).toEqual([DELETE, null]);
      }
      clock.advance(5);
      const changed = await store.threads.update({ threadId: uuid(1), ttl: KEEP, access: ALL });
      expect(changed).toMatchObject({ ttl: KEEP, updatedAt: clock.now() });
      const merged = await store.threads.update({ threadId: uuid(1), metadata: { a: 1 }, access: ALL });
      expect(merged).toMatchObject({ ttl: KEEP, metadata: { a: 1 } });
      const hidden = await store.threads.update({ threadId: uuid(1), ttl: null, access: owner("bob") });
      expect(hidden).toBeNull();
      expect(await store.threads.update({ threadId: uuid(1), ttl: null, access: ALL })).toMatchObject({ ttl: null });
      expect(await store.threads.get({ threadId: uuid(1), access: ALL })).toMatchObject({ ttl: null });
    }),
  );

  it(
    "gives it to a thread that a run makes, and to no other",
    withStore(async ({ store, clock }) => {
      const made = newRun(1, uuid(0x10), { createThread: true, threadTtl: DELETE });
      await store.runs.create({ draft: made, access: ALL });
      expect(await store.threads.get({ threadId: uuid(0x10), access: ALL })).toMatchObject({ ttl: DELETE });
      await store.threads.create({ threadId: uuid(0x11), metadata: {}, access: ALL });
      clock.advance(5);
      const other = newRun(2, uuid(0x11), { createThread: true, threadTtl: DELETE });
      await store.runs.create({ draft: other, access: ALL });
      expect(await store.threads.get({ threadId: uuid(0x11), access: ALL })).toMatchObject({ ttl: null });
    }),
  );
}

function removalCases(
  { vitest: { it, expect } }: StoreSuite<MetadataStore>,
  withStore: WithStore<MetadataStore>,
): void {
  const idOf = (n: number): string => uuid(0x100 + n);

  it(
    "removes expired threads with their runs, longest expired first, and not a moment before",
    withStore(async ({ store, clock }) => {
      const { expiredThreads } = store;
      for (let n = 0; n < 5; n += 1) {
        await store.threads.create({ threadId: idOf(n), metadata: { n }, ttl: DELETE, access: ALL });
        clock.advance(1);
      }
      await store.threads.create({ threadId: idOf(9), metadata: {}, access: ALL });
      const rows = new Rows(store);
      const { run, lease } = await rows.leased(idOf(4));
      await rows.finish(lease);
      clock.advance(DELETE.ttlMs - 6);
      expect(await expiredThreads.remove({ limit: 10 })).toBe(0);
      clock.advance(2);
      expect(await expiredThreads.remove({ limit: 10 })).toBe(2);
      expect([...(await expiredThreads.removed({ limit: 10 }))].sort()).toEqual([idOf(0), idOf(1)]);
      clock.advance(DELETE.ttlMs);
      expect(await expiredThreads.remove({ limit: 2 })).toBe(2);
      expect(await expiredThreads.remove({ limit: 2 })).toBe(1);
      expect(await expiredThreads.remove({ limit: 2 })).toBe(0);
      expect(await store.runs.get({ runId: run.runId, access: ALL })).toBeNull();
      expect(await store.threads.count({ access: ALL })).toBe(1);
      expect(await store.threads.count({ metadata: { n: 4 }, access: ALL })).toBe(0);
    }),
  );

  it(
    "counts from the last change of the thread: a run's beginning and end, metadata, state",
    withStore(async ({ store, clock }) => {
      const { expiredThreads } = store;
      const threadId = idOf(1);
      await store.threads.create({ threadId, metadata: {}, ttl: DELETE, access: ALL });
      const rows = new Rows(store);
      const almost = (): void => clock.advance(DELETE.ttlMs - 1);
      almost();
      await store.threads.update({ threadId, metadata: { a: 1 }, access: ALL });
      almost();
      await store.threads.patchState({ threadId, patch: {}, hasNext: false });
      almost();
      const { lease } = await rows.leased(threadId);
      // A thread with a run in flight never expires.
      clock.advance(10 * DELETE.ttlMs);
      expect(await expiredThreads.remove({ limit: 10 })).toBe(0);
      await rows.finish(lease);
      almost();
      expect(await expiredThreads.remove({ limit: 10 })).toBe(0);
      await rows.run(threadId, { delayMs: 5 * DELETE.ttlMs });
      clock.advance(2 * DELETE.ttlMs);
      expect(await expiredThreads.remove({ limit: 10 })).toBe(0);
      await rows.claim(1);
      expect(await expiredThreads.remove({ limit: 10 })).toBe(0);
      expect(await rows.threadStatusOf(threadId)).toBe("busy");
    }),
  );

  it(
    "keeps the id of a removed thread until it is forgotten, also from runs and copies that would make it",
    withStore(async ({ store, clock }) => {
      const { expiredThreads } = store;
      const threadId = idOf(1);
      const create = () => store.threads.create({ threadId, metadata: {}, access: ALL });
      await store.threads.create({ threadId, metadata: {}, ttl: DELETE, access: ALL });
      clock.advance(DELETE.ttlMs);
      expect(await expiredThreads.remove({ limit: 10 })).toBe(1);
      expect(await store.threads.get({ threadId, access: ALL })).toBeNull();
      const busy = { code: "THREAD_BUSY", details: { threadId, removing: true } };
      await expect(create()).rejects.toMatchObject(busy);
      const draft = newRun(7, threadId, { createThread: true });
      await expect(store.runs.create({ draft, access: ALL })).rejects.toMatchObject(busy);
      expect(await store.threads.count({ access: ALL })).toBe(0);
      await expiredThreads.forget({ threadIds: [idOf(2)] });
      await expect(create()).rejects.toMatchObject(busy);
      expect(await expiredThreads.removed({ limit: 10 })).toEqual([threadId]);
      await expiredThreads.forget({ threadIds: [threadId] });
      expect(await expiredThreads.removed({ limit: 10 })).toEqual([]);
      expect(await create()).toMatchObject({ kind: "created" });
      expect(await store.runs.create({ draft, access: ALL })).toMatchObject({ kind: "created" });
    }),
  );

  it(
    "removes a thread or lets it live, when it is removed while runs are made on it",
    withStore(async ({ store, clock }) => {
      const ids = Array.from({ length: 12 }, (_, n) => idOf(0x20 + n));
      for (const threadId of ids) {
        await store.threads.create({ threadId, metadata: {}, ttl: DELETE, access: ALL });
      }
      clock.advance(DELETE.ttlMs);
      const [outcomes] = await Promise.all([
        Promise.all(ids.map((threadId, n) => store.runs.create({ draft: newRun(0x50 + n, threadId), access: ALL }))),
        ...Array.from({ length: 4 }, () => store.expiredThreads.remove({ limit: 4 })),
      ]);
      const removed = new Set(await store.expiredThreads.removed({ limit: 100 }));
      for (const [n, threadId] of ids.entries()) {
        const lives = outcomes[n]?.kind === "created";
        expect(removed.has(threadId)).toBe(!lives);
        const thread = await store.threads.get({ threadId, access: ALL });
        expect(thread?.status ?? null).toBe(lives ? "busy" : null);
        const runs = await store.runs.list({ threadId, limit: 10, offset: 0, access: ALL });
        expect(runs).toHaveLength(lives ? 1 : 0);
      }
    }),
  );
}

function pruneCases({ vitest: { it, expect } }: StoreSuite<MetadataStore>, withStore: WithStore<MetadataStore>): void {
  it(
    "names expired threads of keep_latest once, and again after they were active",
    withStore(async ({ store, clock }) => {
      const { expiredThreads } = store;
      const threadId = uuid(0x200);
      await store.threads.create({ threadId, metadata: {}, ttl: KEEP, access: ALL });
      const createdAt = clock.now();
      clock.advance(KEEP.ttlMs - 1);
      expect(await expiredThreads.toPrune({ limit: 10 })).toEqual([]);
      clock.advance(1);
      expect(await expiredThreads.remove({ limit: 10 })).toBe(0);
      const [found, ...rest] = await expiredThreads.toPrune({ limit: 10 });
      expect([found, rest]).toEqual([{ threadId, updatedAt: createdAt }, []]);
      await expiredThreads.pruned({ threadId, updatedAt: createdAt });
      expect(await expiredThreads.toPrune({ limit: 10 })).toEqual([]);
      // Its age is no secret, and its place among others stays.
      expect(await store.threads.get({ threadId, access: ALL })).toMatchObject({ updatedAt: createdAt, ttl: KEEP });
      const rows = new Rows(store);
      const { lease } = await rows.leased(threadId);
      clock.advance(KEEP.ttlMs);
      expect(await expiredThreads.toPrune({ limit: 10 })).toEqual([]);
      await rows.finish(lease);
      clock.advance(KEEP.ttlMs);
      const [again] = await soonToPrune(expiredThreads);
      // It was active while it was pruned: the next sweep prunes it again.
      await store.threads.update({ threadId, metadata: {}, access: ALL });
      await expiredThreads.pruned(again ?? { threadId, updatedAt: 0 });
      clock.advance(KEEP.ttlMs);
      expect(await soonToPrune(expiredThreads)).toHaveLength(1);
      await store.threads.update({ threadId, ttl: null, access: ALL });
      clock.advance(2 * KEEP.ttlMs);
      expect(await expiredThreads.toPrune({ limit: 10 })).toEqual([]);
    }),
  );
}
